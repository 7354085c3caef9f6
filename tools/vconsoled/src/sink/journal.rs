// SPDX-License-Identifier: MIT
//! Guests' lines in journald, each an entry whose fields say where it comes
//! from (systemd's "Journal native protocol"). What carries a host's journal
//! to others carries them too.
//!
//! A journal that is full or gone costs lines, which are counted, and never
//! time. A line that a killed daemon had not seen the end of begins where the
//! next one takes the ring up.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use text_filter::{Filter, Policy};

/// Longest line; a longer one becomes several entries.
const LINE_MAX: usize = 4096;

/// The way to journald.
pub(crate) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// Entries do not arrive, which was said.
    failed: AtomicBool,
}

impl Journal {
    /// By the socket at `path`, which need not be there yet.
    pub(crate) fn at(path: &Path) -> io::Result<Arc<Self>> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(Self {
            socket,
            path: path.to_owned(),
            failed: AtomicBool::new(false),
        }))
    }

    /// Whether the entry arrived.
    fn send(&self, entry: &[u8]) -> bool {
        let sent = loop {
            match self.socket.send_to(entry, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => break sent,
            }
        };
        let failed = sent.is_err();
        if let Err(error) = sent
            && !self.failed.load(Ordering::Relaxed)
        {
            let path = self.path.display();
            tracing::error!("{path}: {error}; lines are missing from the journal");
        }
        self.failed.store(failed, Ordering::Relaxed);
        !failed
    }
}

/// One console's lines on their way there.
pub(crate) struct Lines {
    journal: Arc<Journal>,
    filter: Filter,
    /// The fields that every entry has.
    fields: Vec<u8>,
    line: String,
    lost: u64,
}

impl Lines {
    /// Of a console, by its domain and its own name.
    pub(crate) fn new(journal: Arc<Journal>, domid: u16, domain: &str, console: &str) -> Self {
        let mut fields = Vec::new();
        field(&mut fields, "PRIORITY", b"6");
        field(&mut fields, "SYSLOG_IDENTIFIER", b"vconsoled-guest");
        field(&mut fields, "DOMID", domid.to_string().as_bytes());
        field(&mut fields, "DOMAIN", domain.as_bytes());
        field(&mut fields, "CONSOLE", console.as_bytes());
        Self {
            journal,
            // Always: anything else is a binary field, which is not shown.
            filter: Filter::new(Policy::File),
            fields,
            line: String::new(),
            lost: 0,
        }
    }

    /// Lines that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes output, and sends the lines that it completes. A carriage return
    /// ends a line too.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let mut text = Vec::with_capacity(bytes.len());
        self.filter.push(bytes, &mut text);
        self.add(&String::from_utf8_lossy(&text));
    }

    fn add(&mut self, text: &str) {
        for part in text.split_inclusive(['\r', '\n']) {
            let mut rest = part.trim_end_matches(['\r', '\n']);
            let ends = rest.len() < part.len();
            while self.line.len() + rest.len() > LINE_MAX {
                let room = 0..=LINE_MAX - self.line.len();
                let cut = room.rev().find(|at| rest.is_char_boundary(*at));
                let (now, after) = rest.split_at(cut.unwrap_or(0));
                self.line.push_str(now);
                self.send();
                rest = after;
            }
            self.line.push_str(rest);
            if ends {
                self.send();
            }
        }
    }

    /// Sends what there is of a line.
    fn send(&mut self) {
        let line = self.line.trim_ascii_end();
        if !line.is_empty() {
            let mut entry = self.fields.clone();
            field(&mut entry, "MESSAGE", line.as_bytes());
            self.lost += u64::from(!self.journal.send(&entry));
        }
        self.line.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut text = Vec::new();
        self.filter.finish(&mut text);
        self.add(&String::from_utf8_lossy(&text));
        self.send();
    }
}

/// Adds a field in the form that any bytes can have: its name, the length of
/// its value, its value.
fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
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

        fn lines(&self, domain: &str) -> Lines {
            let journal = Arc::clone(&self.journal);
            Lines::new(journal, 7, domain, "vuart0")
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

    #[test]
    fn an_entry_says_where_its_line_comes_from() {
        let journald = Journald::new();
        journald.lines("web").take(b"[    0.0] Linux\r\n");
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
        let mut lines = journald.lines("web");
        for part in [&b"o"[..], b"ne\r", b"\n\r\n\x1b[1mtw", b"o\x1b[0m\nlogin: "] {
            lines.take(part);
        }
        assert_eq!(journald.messages(), ["one", "two"]);
        drop(lines);
        assert_eq!(journald.messages(), ["login:"], "what was left at the end");
    }

    #[test]
    fn a_line_without_an_end_becomes_several() {
        let journald = Journald::new();
        let mut lines = journald.lines("web");
        for _ in 0..10 {
            lines.take(&[b'x'; 1000]);
        }
        assert!(lines.line.len() <= LINE_MAX && lines.line.capacity() < 3 * LINE_MAX);
        lines.take(&[b'y'; 10_000]);
        lines.take(b"\n");
        let messages = journald.messages();
        assert!(messages.iter().all(|message| message.len() <= LINE_MAX));
        let all = format!("{}{}", "x".repeat(10_000), "y".repeat(10_000));
        assert_eq!(messages.concat(), all);
    }

    #[test]
    fn names_and_lines_cannot_forge_fields() {
        let journald = Journald::new();
        let mut lines = journald.lines("a\nPRIORITY=0");
        lines.take(b"text\rDOMAIN=dom0\0\xff\n");
        let entry = journald.next().unwrap();
        assert_eq!(entry["DOMAIN"], b"a\nPRIORITY=0");
        assert_eq!(entry["PRIORITY"], b"6");
        assert_eq!(entry["MESSAGE"], b"text");
        assert_eq!(journald.messages(), ["DOMAIN=dom0\u{fffd}"]);
    }

    /// journalctl shows no other message as text.
    #[test]
    fn every_message_is_printable_text() {
        let journald = Journald::new();
        let mut lines = journald.lines("web");
        lines.take("10%\r20%\r\n".as_bytes());
        assert_eq!(journald.messages(), ["10%", "20%"]);
        // However the cut falls within a character.
        for before in 0..4 {
            let line = format!("{}{}", "x".repeat(before), "\u{1f427}".repeat(LINE_MAX / 2));
            for part in line.as_bytes().chunks(1000) {
                lines.take(part);
            }
            lines.take(b"\n");
            let messages = journald.messages();
            assert!(messages.iter().all(|message| message.len() <= LINE_MAX));
            assert_eq!(messages.concat(), line);
        }
        for byte in 0..=255 {
            lines.take(&[b'a', byte, b'b', b'\n', 0x1b, byte, b'\n']);
        }
        let messages = journald.messages().concat();
        assert!(!messages.chars().any(|one| one.is_control() && one != '\t'));
    }

    #[test]
    fn a_journal_that_is_full_or_gone_costs_lines_and_no_time() {
        let journald = Journald::new();
        let mut lines = journald.lines("web");
        for _ in 0..5000 {
            lines.take(b"more than it takes\n");
        }
        let arrived = journald.messages().len() as u64;
        assert_eq!(arrived + lines.lost(), 5000);
        assert!(lines.lost() > 0);
        lines.take(b"again\n");
        assert_eq!(journald.messages(), ["again"]);
        std::fs::remove_file(&journald.journal.path).unwrap();
        let before = lines.lost();
        lines.take(b"nobody\n");
        assert_eq!(lines.lost(), before + 1);
    }
}
