// SPDX-License-Identifier: MIT
//! Logs, recordings and lines for the journal that are closed and opened again.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::*;
use crate::sink::journal::Rate;

/// How often each sink is opened.
const ROUNDS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

fn begun() -> Logs {
    let logs = Logs::start("logs").unwrap();
    logs.begin();
    logs
}

/// Writes a line in each round. `open` creates the sink, which is closed after the
/// line, in every tenth round after it was written. Returns all lines.
fn reopen(logs: &Logs, mut open: impl FnMut(Arc<OutputBuffer>) -> Log) -> String {
    let output = Arc::new(OutputBuffer::in_memory(1 << 16).unwrap());
    let mut all = String::new();
    for round in 0..ROUNDS {
        let log = open(Arc::clone(&output));
        let line = format!("{round}\n");
        output.append(line.as_bytes(), output.checkpoint()).unwrap();
        all += &line;
        log.more(output.end());
        if round % 10 == 0 {
            logs.finish(PATIENCE);
        }
    }
    logs.finish(PATIENCE);
    all
}

fn style(timestamps: bool) -> LogOptions {
    LogOptions {
        style: Style {
            timestamps,
            filter: Filter::None,
        },
        rotation: Rotation { size: 0, count: 0 },
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_log_that_is_opened_again_at_once_has_each_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let logs = begun();
    let path = dir.path().join("log");
    let all = reopen(&logs, |output| {
        logs.open([path.clone()], style(false), output).unwrap()
    });
    assert_eq!(read(&path), all);
}

/// The next log of an output has another file, and is opened while the first has more
/// to write than one write takes.
#[test]
fn a_log_that_is_opened_again_elsewhere_continues_there() {
    let dir = tempfile::tempdir().unwrap();
    let logs = begun();
    let output = Arc::new(OutputBuffer::in_memory(1 << 16).unwrap());
    let path = |round: usize| dir.path().join(format!("{round:03}"));
    let open = |round| {
        logs.open([path(round)], style(false), Arc::clone(&output))
            .unwrap()
    };
    let mut all = String::new();
    for round in 0..ROUNDS / 10 {
        let log = open(round);
        for _ in 0..40 {
            let line = format!("{round:04095}\n");
            output.append(line.as_bytes(), output.checkpoint()).unwrap();
            all += &line;
        }
        drop(log);
        drop(open(round + 1));
        logs.finish(PATIENCE);
    }
    let files = (0..=ROUNDS / 10).map(|round| read(&path(round)));
    assert!(
        files.collect::<String>() == all,
        "output is lost or repeated"
    );
}

/// The first file cannot be opened.
#[test]
fn a_log_that_fails_does_not_delay_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let logs = begun();
    let (bad, good) = (dir.path().join("missing/log"), dir.path().join("log"));
    let output = Arc::new(OutputBuffer::in_memory(1 << 16).unwrap());
    drop(logs.open([bad], style(false), Arc::clone(&output)).unwrap());
    output.append(b"line\n", output.checkpoint()).unwrap();
    let log = logs
        .open([good.clone()], style(false), Arc::clone(&output))
        .unwrap();
    logs.finish(PATIENCE);
    let deadline = Instant::now() + PATIENCE;
    while log.position() < output.end() {
        assert!(Instant::now() < deadline, "the log waits for the other");
        thread::yield_now();
    }
    assert_eq!(read(&good), "line\n");
}

#[test]
fn a_recording_that_is_opened_again_at_once_has_each_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let logs = begun();
    let path = dir.path().join("cast");
    let rotation = Rotation { size: 0, count: 0 };
    let all = reopen(&logs, |output| {
        logs.record([path.clone()], rotation, "title", output)
            .unwrap()
    });
    let text = read(&path);
    let events = text.lines().skip(1).map(|line| {
        let (_, _, text): (f64, String, String) = serde_json::from_str(line).unwrap();
        text
    });
    assert_eq!(events.collect::<String>(), all);
}

/// The times of output that the second log has not written are kept, although
/// another reader needs them no more.
#[test]
fn a_log_that_is_opened_again_keeps_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let logs = begun();
    for round in 0..ROUNDS {
        let output = Arc::new(OutputBuffer::in_memory(1 << 16).unwrap());
        let open = |name: &str| {
            let path = dir.path().join(name);
            logs.open([path], style(true), Arc::clone(&output)).unwrap()
        };
        drop(open("log"));
        let _waiting = open(&format!("missing/{round}"));
        logs.finish(PATIENCE);
        let from = output.end();
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(2));
            output.append(b"line\n", output.checkpoint()).unwrap();
        }
        output.set_times(u64::MAX, true, from);
        output.forget_times(u64::MAX, output.end());
        assert_eq!(
            output.arrivals(from, output.end()).len(),
            2,
            "round {round}"
        );
    }
}

/// A socket as journald's, and the journal that sends to it.
fn journal(dir: &Path) -> (UnixDatagram, Arc<Journal>) {
    let path = dir.join("journal");
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    (journald, Journal::at(&path).unwrap())
}

/// The message of the next entry.
fn message(journald: &UnixDatagram) -> String {
    let mut entry = [0; 4096];
    let length = journald.recv(&mut entry).unwrap();
    let entry = String::from_utf8_lossy(&entry[..length]).into_owned();
    let (_, message) = entry.split_once("MESSAGE\n").unwrap();
    // The length has eight bytes.
    message[8..].to_owned()
}

#[test]
fn lines_reach_the_journal_once_when_it_is_switched_off_and_on() {
    let dir = tempfile::tempdir().unwrap();
    let (journald, journal) = journal(dir.path());
    let logs = Logs::start("logs").unwrap();
    let rate = Rate { lines: 0, burst: 0 };
    let reader = thread::spawn(move || {
        let mut lines = String::new();
        for _ in 0..ROUNDS {
            lines += &message(&journald);
        }
        lines
    });
    let all = reopen(&logs, |output| {
        let lines = Lines::new(1, "web", "pv0", rate);
        logs.feed(Arc::clone(&journal), lines, output, Record::Journal)
    });
    assert_eq!(reader.join().unwrap(), all);
}

#[test]
fn lines_that_wait_for_the_journal_are_sent_after_logs_were_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journald, journal) = journal(dir.path());
    let logs = Logs::start("logs").unwrap();
    let output = Arc::new(OutputBuffer::in_memory(1 << 16).unwrap());
    let lines = Lines::new(1, "web", "pv0", Rate { lines: 0, burst: 0 });
    let feed = logs.feed(journal, lines, Arc::clone(&output), Record::Journal);
    // More than the socket takes.
    for line in 0..ROUNDS {
        let line = format!("{line}\n");
        output.append(line.as_bytes(), output.checkpoint()).unwrap();
    }
    feed.more(output.end());
    let mut sent = vec![message(&journald)];
    logs.reopen();
    sent.extend((1..ROUNDS).map(|_| message(&journald)));
    let expected: Vec<String> = (0..ROUNDS).map(|line| format!("{line}\n")).collect();
    assert_eq!(sent, expected);
}
