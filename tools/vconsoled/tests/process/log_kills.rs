// SPDX-License-Identifier: MIT
//! Times, rotation and compression of logs, when the disk stalls and when the
//! daemon is killed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::host::Host;
use crate::support::{
    STAMP, Serial, content, guest, is_compressed, logged, old_files, time, wait_for,
};
use crate::tracer::Tracer;

const LOG: &str = "guest-guest.log";

/// The resolution of times in the log.
const UNIT: Duration = Duration::from_millis(1);

/// The guest's lines in a log, with their times.
fn lines(text: &[u8]) -> Vec<(SystemTime, String)> {
    let text = str::from_utf8(text).unwrap();
    let lines = text.lines().map(|line| {
        let time = time(line).unwrap_or_else(|| panic!("no time before {line:?}"));
        (time, line[STAMP..].to_owned())
    });
    lines.filter(|(_, line)| line != "Logfile Opened").collect()
}

/// The disk stalls while the guest writes, and the daemon is killed with nothing
/// written.
pub(crate) fn a_line_has_the_time_at_which_it_came_whenever_it_is_written() {
    let host = Host::new("timestamps = true");
    let dir = host.dir.path().join("log");
    let (domid, mut pv, _uart) = guest(&host.machine, "guest");
    let mut sent = Vec::new();
    for killed in [false, true, true, false] {
        let daemon = host.start(|_| ());
        wait_for("what the last one left", || {
            let began = dir.join(LOG).exists();
            (began && lines(&logged(&dir, LOG)).len() == sent.len()).then_some(())
        });
        let tracer = Tracer::hold(&daemon.0, "logs");
        for _ in 0..2 {
            let before = SystemTime::now();
            pv.send(format!("line {}\n", sent.len()).as_bytes());
            wait_for("it to be taken", || {
                (pv.index(3080) == pv.index(3084)).then_some(())
            });
            let taken = SystemTime::now();
            sent.push((before, taken));
            // Bytes after this are written at another time.
            wait_for("the clock", || {
                (SystemTime::now() > taken + 10 * UNIT).then_some(())
            });
        }
        if killed {
            tracer.kill(daemon);
            wait_for("Xen to unmap its pages", || {
                (host.machine.mapped_pages(domid) == 0).then_some(())
            });
        } else {
            drop(tracer);
            daemon.stop();
        }
    }
    host.start(|_| ()).stop();
    let logged = lines(&logged(&dir, LOG));
    assert_eq!(logged.len(), sent.len());
    for (number, ((told, line), (before, taken))) in logged.iter().zip(sent).enumerate() {
        assert_eq!(*line, format!("line {number}"));
        assert!(
            (before - UNIT..=taken).contains(told),
            "{told:?} for what came between {before:?} and {taken:?}"
        );
    }
}

/// A daemon is killed at each system call of the thread that writes logs, during
/// writes, rotation, compression and removal.
pub(crate) fn a_kill_at_every_system_call_of_the_log_loses_nothing_and_leaves_nothing_behind() {
    let host = Host::new("timestamps = true\nsize = 3000\ncount = 1000\ncompress = true");
    let dir = host.dir.path().join("log");
    let (domid, mut pv, uart) = guest(&host.machine, "guest");
    drop(uart);
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(&dir).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(LOG)).collect()
    };
    // All lines are logged, and all old files are compressed.
    let complete = |sent: usize, taken: &[u8]| {
        let plain = names().iter().filter(|name| !is_compressed(name)).count();
        let all = [taken, &logged(&dir, LOG)].concat();
        plain == 1 && lines(&all).len() == sent
    };
    let (mut sent, mut stops, mut taken) = (0, 0, Vec::new());
    for kill_at in 1.. {
        let daemon = host.start(|_| ());
        wait_for("what the last one left", || {
            // The ring releases the bytes last.
            (sent == 0 || complete(sent, &taken) && pv.index(3080) == pv.index(3084)).then_some(())
        });
        let mut tracer = Tracer::hold(&daemon.0, "logs");
        let length = 70;
        let lines = sent..sent + length;
        let lines: Vec<String> = lines
            .map(|line| {
                format!(
                    "line {line}
"
                )
            })
            .collect();
        sent += length;
        pv.send(lines.concat().as_bytes());
        stops = tracer.run(kill_at, || complete(sent, &taken));
        tracer.kill(daemon);
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        if stops < kill_at {
            break;
        }
        // Listing many files takes many system calls.
        for (number, path) in old_files(&dir, LOG) {
            if number > 3 {
                taken.extend(content(&path));
                for form in ["", ".zst"] {
                    let form = dir.join(format!("{LOG}.{number}{form}"));
                    let _one_of_them = std::fs::remove_file(form);
                }
            }
        }
    }
    assert!(stops > 60, "{stops} stops are too few");
    host.start(|_| ()).stop();
    taken.extend(logged(&dir, LOG));
    let lines = lines(&taken);
    let expected = (0..sent).map(|line| format!("line {line}"));
    assert!(lines.iter().map(|(_, line)| line.clone()).eq(expected));
    assert!(lines.is_sorted_by_key(|(time, _)| *time));
    let mut names = names();
    names.sort();
    assert_eq!(names[0], LOG);
    assert!(names[1..].iter().all(is_compressed), "{names:?}");
}

const CAST: &str = "guest-guest.cast";

/// The text of a recording's events, as far as written; each file begins with its
/// header.
fn recorded(dir: &Path) -> Vec<u8> {
    let files = old_files(dir, CAST).into_iter().map(|(_, path)| path);
    let mut text = String::new();
    for path in files.chain([dir.join(CAST)]) {
        let file = String::from_utf8(content(&path)).unwrap();
        let mut lines = file.lines();
        let Some(header) = lines.next() else {
            continue;
        };
        let header: serde_json::Value = serde_json::from_str(header).unwrap();
        assert_eq!(header["version"], 2);
        for line in lines {
            let (_, kind, said): (f64, String, String) =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(kind, "o");
            text += &said;
        }
    }
    text.into_bytes()
}

/// A daemon is killed at each system call of the writing thread, while a console
/// is recorded and logged, and both files are rotated.
pub(crate) fn a_kill_at_every_system_call_of_a_recording_loses_nothing_and_repeats_nothing() {
    let host = Host::new("record = true\nsize = 1500\ncount = 10000");
    let dir = host.dir.path().join("log");
    let (domid, mut pv, uart) = guest(&host.machine, "guest");
    drop(uart);
    let mut sent = Vec::new();
    let mut stops = 0;
    for kill_at in 1.. {
        let daemon = host.start(|_| ());
        wait_for("what the last one left", || {
            let taken = pv.index(3080) == pv.index(3084);
            (recorded(&dir) == sent && logged(&dir, LOG) == sent && taken).then_some(())
        });
        let mut tracer = Tracer::hold(&daemon.0, "logs");
        // Characters of two bytes, which a piece may split.
        let text = format!("line {kill_at} gr\u{fc}\u{df}e\n").repeat(12);
        sent.extend_from_slice(text.as_bytes());
        pv.send(text.as_bytes());
        stops = tracer.run(kill_at, || {
            recorded(&dir) == sent && logged(&dir, LOG) == sent
        });
        tracer.kill(daemon);
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        if stops < kill_at {
            break;
        }
    }
    assert!(stops > 20, "{stops} stops are too few");
    host.start(|_| ()).stop();
    assert_eq!(recorded(&dir), sent);
    assert_eq!(logged(&dir, LOG), sent);
    assert!(old_files(&dir, CAST).len() > 3);
}
