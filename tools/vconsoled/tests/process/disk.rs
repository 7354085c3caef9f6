// SPDX-License-Identifier: MIT
//! A disk that does not answer, is slow, or is full: only the log is affected.

use std::time::{Duration, Instant};

use crate::host::{Host, Running, in_common, pattern, same};
use crate::support::{PATIENCE, Serial as _, guest, wait_for};
use crate::tracer::Tracer;

pub(crate) fn a_disk_that_does_not_answer_delays_no_guest() {
    let host = Host::new("");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let daemon = host.start(|_| ());
    pv.send(b"before\n");
    let log = host.log("guest-guest.log");
    wait_for("the log", || {
        (std::fs::read(&log).ok()? == b"before\n").then_some(())
    });
    // For the rest of the daemon the reason of the stall does not matter.
    let tracer = Tracer::hold(&daemon.0, "logs");
    let flood = pattern(0, 3_000_000);
    pv.send(&flood);
    wait_for("all of it taken", || {
        (pv.index(3080) == pv.index(3084)).then_some(())
    });
    assert_eq!(std::fs::read(&log).unwrap(), b"before\n");
    drop(tracer);
    daemon.stop();
    let logged = host.logged("guest-guest.log");
    let rest = logged.strip_prefix(b"before\n\r\n[").unwrap();
    let end = rest
        .windows(13)
        .position(|part| part == b" bytes lost]\r")
        .unwrap();
    let lost: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
    let kept = &rest[end + b" bytes lost]\r\n".len()..];
    assert_eq!(7 + flood.len(), 7 + lost + kept.len());
    assert!(kept.len() >= 1_000_000 && flood.ends_with(kept));
}

pub(crate) fn a_disk_that_is_slow_slows_the_guest_and_loses_nothing() {
    let host = Host::new("size = 0");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let daemon = host.start(|_| ());
    pv.send(b"\n");
    let log = host.log("guest-guest.log");
    let length = || std::fs::metadata(&log).map_or(0, |log| log.len());
    wait_for("the log", || (length() == 1).then_some(()));
    let mut tracer = Tracer::hold(&daemon.0, "logs");
    let sender = std::thread::spawn(move || {
        for chunk in pattern(0, 4_000_000).chunks(10_000) {
            pv.send(chunk);
        }
    });
    let deadline = Instant::now() + 6 * PATIENCE;
    tracer.slow_down(Duration::from_micros(300), || {
        assert!(Instant::now() < deadline, "{} bytes in the log", length());
        length() >= 4_000_001 || sender.is_finished() && length() > 3_500_000
    });
    sender.join().unwrap();
    drop(tracer);
    daemon.stop();
    same("the log", &host.logged("guest-guest.log")[1..], 4_000_000);
}

pub(crate) fn a_full_disk_costs_what_does_not_fit_and_no_more() {
    let host = Host::new("size = 0");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let log = host.log("guest-guest.log");
    let errors = host.dir.path().join("errors");
    let daemon = host.start(|command| {
        command.stderr(std::fs::File::create(&errors).unwrap());
    });
    let limit = |bytes| limit_files(&daemon, bytes);
    // The buffer is smaller.
    limit(Some(2_000_000));
    let sent = pattern(0, 2_500_000);
    for chunk in sent.chunks(100_000) {
        pv.send(chunk);
    }
    wait_for("a full log", || {
        let said = std::fs::read_to_string(&errors).ok()?;
        said.contains("ERROR").then_some(())
    });
    limit(None);
    wait_for("the rest", || {
        (std::fs::metadata(&log).ok()?.len() == 2_500_000).then_some(())
    });
    daemon.stop();
    assert!(std::fs::read(&log).unwrap() == sent);
    let errors = std::fs::read_to_string(errors).unwrap();
    let said = errors.lines().filter(|line| line.contains("ERROR"));
    assert_eq!(said.count(), 1, "{errors}");
}

/// Limits the size of files: for a program this is like a full disk.
fn limit_files(daemon: &Running, bytes: Option<u64>) {
    let pid = rustix::process::Pid::from_child(&daemon.0);
    let limit = rustix::process::Rlimit {
        current: bytes,
        maximum: None,
    };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).unwrap();
}

/// More output comes than is kept for a log that is behind. No guest waits, and
/// the log has the exact number of missing bytes.
pub(crate) fn a_disk_that_stays_full_costs_what_the_log_reports() {
    let host = Host::new("size = 0");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let log = host.log("guest-guest.log");
    let daemon = host.start(|_| {});
    limit_files(&daemon, Some(1_500_000));
    let sent = pattern(0, 5_000_000);
    for chunk in sent.chunks(100_000) {
        pv.send(chunk);
    }
    limit_files(&daemon, None);
    let end = &sent[sent.len() - 1000..];
    wait_for("the rest", || {
        // A failed log is retried when there is something to write.
        pv.send(b".");
        let seen = std::fs::read(&log).ok()?;
        seen.trim_ascii_end()
            .windows(end.len())
            .rev()
            .take(100_000)
            .any(|part| part == end)
            .then_some(())
    });
    daemon.stop();
    let log = std::fs::read(&log).unwrap();
    // Bytes lost while a note waits for the disk have their own note.
    let (mut at, mut position, mut lost) = (0, 0, 0);
    loop {
        let run = in_common(&log[at..], &sent[position..]);
        at += run;
        position += run;
        if position == sent.len() {
            break;
        }
        // Lost bytes may begin like the note.
        let common = (0..3).find(|common| log[at - common..].starts_with(b"\r\n["));
        at -= common.unwrap_or(0);
        position -= common.unwrap_or(0);
        let rest = &log[at..];
        let note = String::from_utf8_lossy(&rest[..rest.len().min(40)]).into_owned();
        let count = note
            .strip_prefix("\r\n[")
            .and_then(|note| note.split_once(" bytes lost]\r\n"));
        let (count, _) = count.unwrap_or_else(|| panic!("{note:?} at {position}"));
        at += format!("\r\n[{count} bytes lost]\r\n").len();
        let count: usize = count.parse().unwrap();
        position += count;
        lost += count;
    }
    assert!(lost > 1_000_000, "{lost}");
}
