// SPDX-License-Identifier: MIT
use std::collections::BTreeMap;

use super::*;

type Entry = BTreeMap<String, Vec<u8>>;

struct Journald {
    socket: UnixDatagram,
    _dir: tempfile::TempDir,
    journal: Arc<Journal>,
}

impl Journald {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            _dir: dir,
            journal: Journal::at(&path).unwrap(),
        }
    }

    /// Sends all of a text now.
    fn send(&self, lines: &mut Lines, text: &[u8]) {
        lines.take(text);
        assert_eq!(
            lines.send(&self.journal, usize::MAX, Instant::now()),
            Sent::All
        );
    }

    fn next(&self) -> Option<Entry> {
        let mut buffer = vec![0; 65536];
        let length = self.socket.recv(&mut buffer).ok()?;
        let mut rest = &buffer[..length];
        let mut entry = Entry::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(rest[..end].to_vec()).unwrap();
            let (size, value) = rest[end + 1..].split_at(8);
            let size = u64::from_le_bytes(size.try_into().unwrap());
            let (value, after) = value.split_at(usize::try_from(size).unwrap());
            assert_eq!(after[0], b'\n');
            entry.insert(name, value.to_vec());
            rest = &after[1..];
        }
        Some(entry)
    }

    fn messages(&self) -> Vec<String> {
        std::iter::from_fn(|| self.next())
            .map(|entry| String::from_utf8(entry["MESSAGE"].clone()).unwrap())
            .collect()
    }
}

const UNLIMITED: Rate = Rate { lines: 0, burst: 0 };

fn lines(domain: &str) -> Lines {
    Lines::new(7, domain, "vuart0", UNLIMITED)
}

#[test]
fn an_entry_names_the_source_of_its_line() {
    let journald = Journald::new();
    journald.send(&mut lines("web"), b"[    0.0] Linux\r\n");
    let entry = journald.next().unwrap();
    let text = |name: &str| std::str::from_utf8(&entry[name]).unwrap();
    assert_eq!(text("MESSAGE"), "[    0.0] Linux");
    assert_eq!((text("DOMID"), text("DOMAIN")), ("7", "web"));
    assert_eq!((text("CONSOLE"), text("PRIORITY")), ("vuart0", "6"));
    assert_eq!(entry.len(), 6);
    assert!(journald.next().is_none());
}

#[test]
fn lines_come_whole_however_they_are_cut() {
    let journald = Journald::new();
    let mut lines = lines("web");
    for part in [&b"o"[..], b"ne\r", b"\n\r\n\x1b[1mtw", b"o\x1b[0m\nlogin: "] {
        journald.send(&mut lines, part);
    }
    assert_eq!(journald.messages(), ["one", "two"]);
    lines.finish();
    journald.send(&mut lines, b"");
    assert_eq!(journald.messages(), ["login:"], "what was left at the end");
}

#[test]
fn a_line_without_an_end_becomes_several() {
    let journald = Journald::new();
    let mut lines = lines("web");
    for _ in 0..10 {
        journald.send(&mut lines, &[b'x'; 1000]);
    }
    assert!(lines.line.len() <= LINE_MAX && lines.line.capacity() < 3 * LINE_MAX);
    assert!(lines.take(&[b'y'; 10_000]));
    journald.send(&mut lines, b"\n");
    let messages = journald.messages();
    assert!(messages.iter().all(|message| message.len() <= LINE_MAX));
    let all = format!("{}{}", "x".repeat(10_000), "y".repeat(10_000));
    assert_eq!(messages.concat(), all);
}

#[test]
fn names_and_lines_cannot_forge_fields() {
    let journald = Journald::new();
    let mut lines = lines("a\nPRIORITY=0");
    journald.send(&mut lines, b"text\rDOMAIN=dom0\0\xff\n");
    let entry = journald.next().unwrap();
    assert_eq!(entry["DOMAIN"], b"a\nPRIORITY=0");
    assert_eq!(entry["PRIORITY"], b"6");
    assert_eq!(entry["MESSAGE"], b"text");
    assert_eq!(journald.messages(), ["DOMAIN=dom0\u{fffd}"]);
}

/// journalctl shows only printable messages as text.
#[test]
fn every_message_is_printable_text() {
    let journald = Journald::new();
    let mut lines = lines("web");
    journald.send(&mut lines, "10%\r20%\r\n".as_bytes());
    assert_eq!(journald.messages(), ["10%", "20%"]);
    // For any cut within a character.
    for before in 0..4 {
        let line = format!("{}{}", "x".repeat(before), "\u{1f427}".repeat(LINE_MAX / 2));
        for part in line.as_bytes().chunks(1000) {
            journald.send(&mut lines, part);
        }
        journald.send(&mut lines, b"\n");
        let messages = journald.messages();
        assert!(messages.iter().all(|message| message.len() <= LINE_MAX));
        assert_eq!(messages.concat(), line);
    }
    let mut messages = String::new();
    for byte in 0..=255 {
        journald.send(&mut lines, &[b'a', byte, b'b', b'\n', 0x1b, byte, b'\n']);
        messages += &journald.messages().concat();
    }
    assert!(!messages.chars().any(|one| one.is_control() && one != '\t'));
}

#[test]
fn a_journal_that_is_full_is_waited_for_and_then_costs_lines() {
    let journald = Journald::new();
    let mut lines = lines("web");
    for _ in 0..1000 {
        lines.take(b"more than it takes\n");
    }
    let now = Instant::now();
    let send = |lines: &mut Lines, now| lines.send(&journald.journal, usize::MAX, now);
    let mut arrived = 0;
    while let Sent::Full(again) = send(&mut lines, now) {
        assert_eq!(again, now + RETRY);
        assert_eq!(
            send(&mut lines, now + PATIENCE / 2),
            Sent::Full(now + PATIENCE / 2 + RETRY)
        );
        arrived += journald.messages().len();
    }
    arrived += journald.messages().len();
    assert_eq!((arrived, lines.lost()), (1000, 0));
    for _ in 0..1000 {
        lines.take(b"more than it takes\n");
    }
    assert!(matches!(send(&mut lines, now), Sent::Full(_)));
    let later = now + PATIENCE;
    assert_eq!(send(&mut lines, later), Sent::All);
    assert_eq!(lines.report(), Some(later + REPORT));
    let arrived = journald.messages().len() as u64;
    assert_eq!(arrived + lines.lost(), 1000);
    lines.take(b"again\n");
    assert_eq!(send(&mut lines, later + REPORT), Sent::All);
    let note = format!("[{} lines left out]", 1000 - arrived);
    assert_eq!(journald.messages(), [note.as_str(), "again"]);
    std::fs::remove_file(&journald.journal.path).unwrap();
    let before = lines.lost();
    lines.take(b"nobody\n");
    assert_eq!(send(&mut lines, later), Sent::All);
    assert_eq!(lines.lost(), before + 1);
}

#[test]
fn the_number_of_lines_is_bounded_and_omissions_are_reported() {
    let journald = Journald::new();
    let mut lines = lines("web");
    lines.limit(Rate {
        lines: 10,
        burst: 5,
    });
    let now = Instant::now();
    let mut said = Vec::new();
    // A line every 10 ms for ten seconds, ten times the rate.
    for at in 0..1000 {
        lines.take(format!("{at}\n").as_bytes());
        lines.send(
            &journald.journal,
            usize::MAX,
            now + Duration::from_millis(at * 10),
        );
        said.append(&mut journald.messages());
    }
    let after = now + Duration::from_secs(20);
    assert_eq!(lines.send(&journald.journal, usize::MAX, after), Sent::All);
    said.append(&mut journald.messages());
    let left_out = |line: &String| -> Option<u64> {
        line.strip_prefix('[')?
            .strip_suffix(" lines left out]")?
            .parse()
            .ok()
    };
    let notes: Vec<u64> = said.iter().filter_map(left_out).collect();
    let sent = said.len() - notes.len();
    assert!((100..=105).contains(&sent), "{sent} lines");
    assert_eq!(said[..5], ["0", "1", "2", "3", "4"]);
    assert!((9..=11).contains(&notes.len()), "{notes:?}");
    assert_eq!(notes.iter().sum::<u64>() + sent as u64, 1000);
    assert_eq!(lines.lost() + sent as u64, 1000);
    // After a pause as many as at first.
    for _ in 0..9 {
        lines.take(b"again\n");
    }
    lines.send(&journald.journal, usize::MAX, after);
    assert_eq!(journald.messages(), ["again"; 5]);
    lines.finish();
    lines.send(&journald.journal, usize::MAX, after);
    assert_eq!(journald.messages(), ["[4 lines left out]"]);
}
