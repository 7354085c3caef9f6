// SPDX-License-Identifier: MIT
//! Guests' lines in journald, each an entry whose fields say where it comes
//! from (systemd's "Journal native protocol"). What carries a host's journal
//! to others carries them too.
//!
//! Of each console only so many lines a second are sent: what is left out is
//! counted, and an entry says how much. A journal that is full is waited for, but
//! not for long.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use text_filter::{Filter, Policy};

/// Longest line; a longer one becomes several entries.
const LINE_MAX: usize = 4096;
/// How long a journal may be full before lines are left out, and how often it is
/// tried meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(5);
/// How long after lines were left out an entry says so.
const REPORT: Duration = Duration::from_secs(1);

/// How many lines are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// In each second; no limit if 0.
    pub(crate) lines: u32,
    /// At once, after a silence.
    pub(crate) burst: u32,
}

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

    fn send(&self, entry: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send_to(entry, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }

    /// Says once that entries do not arrive.
    fn fail(&self, error: &io::Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::error!("{path}: {error}; lines are missing from the journal");
        }
    }
}

/// What became of what waits to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// There is nothing more to send now.
    All,
    /// So much was sent as was asked for.
    Some,
    /// The journal is full: to be tried again then.
    Full(Instant),
}

/// One console's lines on their way there.
pub(crate) struct Lines {
    filter: Filter,
    /// The fields that every entry has, and the value of one more.
    fields: Vec<u8>,
    domain: String,
    /// The line that has no end yet.
    line: String,
    /// Lines to send.
    ready: VecDeque<String>,
    rate: Rate,
    /// When as many lines as were sent would have been, at the rate.
    earned: Option<Instant>,
    full_since: Option<Instant>,
    lost: u64,
    /// Of these, how many no entry tells of yet, and since when.
    untold: u64,
    since: Option<Instant>,
}

impl Lines {
    /// Of a console, by its domain and its own name.
    pub(crate) fn new(domid: u16, domain: &str, console: &str, rate: Rate) -> Self {
        let mut fields = Vec::new();
        field(&mut fields, "PRIORITY", b"6");
        field(&mut fields, "SYSLOG_IDENTIFIER", b"vconsoled-guest");
        field(&mut fields, "DOMID", domid.to_string().as_bytes());
        field(&mut fields, "CONSOLE", console.as_bytes());
        Self {
            domain: domain.to_owned(),
            // Always: anything else is a binary field, which is not shown.
            filter: Filter::new(Policy::File),
            fields,
            line: String::new(),
            ready: VecDeque::new(),
            rate,
            earned: None,
            full_since: None,
            lost: 0,
            untold: 0,
            since: None,
        }
    }

    /// Goes on at another rate.
    pub(crate) fn limit(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// Goes on for a domain that has another name.
    pub(crate) fn rename(&mut self, domain: &str) {
        domain.clone_into(&mut self.domain);
    }

    /// Lines that did not arrive.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes output. A carriage return ends a line too. Returns whether a line was
    /// cut because it is too long.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let mut text = Vec::with_capacity(bytes.len());
        self.filter.push(bytes, &mut text);
        self.add(&String::from_utf8_lossy(&text))
    }

    /// There is no more output: what there is of a line is one.
    pub(crate) fn finish(&mut self) {
        let mut text = Vec::new();
        self.filter.finish(&mut text);
        self.add(&String::from_utf8_lossy(&text));
        self.end_line();
        // To be told now.
        self.since = None;
    }

    fn add(&mut self, text: &str) -> bool {
        let mut long = false;
        for part in text.split_inclusive(['\r', '\n']) {
            let mut rest = part.trim_end_matches(['\r', '\n']);
            let ends = rest.len() < part.len();
            while self.line.len() + rest.len() > LINE_MAX {
                let room = 0..=LINE_MAX - self.line.len();
                let cut = room.rev().find(|at| rest.is_char_boundary(*at));
                let (now, after) = rest.split_at(cut.unwrap_or(0));
                self.line.push_str(now);
                self.end_line();
                rest = after;
                long = true;
            }
            self.line.push_str(rest);
            if ends {
                self.end_line();
            }
        }
        long
    }

    fn end_line(&mut self) {
        let line = self.line.trim_ascii_end();
        if !line.is_empty() {
            self.ready.push_back(line.to_owned());
        }
        self.line.clear();
    }

    /// Sends lines that are complete, at most so many.
    pub(crate) fn send(&mut self, journal: &Journal, most: usize, now: Instant) -> Sent {
        for _ in 0..most {
            let report = self.since.is_none_or(|since| since + REPORT <= now);
            let note =
                (report && self.untold > 0).then(|| format!("[{} lines left out]", self.untold));
            let Some(text) = note.as_ref().or(self.ready.front()) else {
                return Sent::All;
            };
            if note.is_none() && !self.is_within_rate(now) {
                self.lose(now);
                continue;
            }
            let mut entry = self.fields.clone();
            field(&mut entry, "DOMAIN", self.domain.as_bytes());
            field(&mut entry, "MESSAGE", text.as_bytes());
            match journal.send(&entry) {
                Ok(()) => {
                    self.full_since = None;
                    journal.failed.store(false, Ordering::Relaxed);
                    if note.is_some() {
                        (self.untold, self.since) = (0, None);
                    } else {
                        self.ready.pop_front();
                        self.earn(now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.waits(now) => {
                    return Sent::Full(now + RETRY);
                }
                Err(error) => {
                    journal.fail(&error);
                    if note.is_some() {
                        self.since = Some(now);
                    } else {
                        self.lose(now);
                    }
                }
            }
        }
        Sent::Some
    }

    /// When to say what was left out, if anything was.
    pub(crate) fn report(&self) -> Option<Instant> {
        let since = self.since.filter(|_| self.untold > 0);
        since.map(|since| since + REPORT)
    }

    /// Leaves out the next line.
    fn lose(&mut self, now: Instant) {
        self.ready.pop_front();
        self.miss(now);
    }

    /// Counts a line that is missing.
    pub(crate) fn miss(&mut self, now: Instant) {
        self.lost += 1;
        self.untold += 1;
        self.since.get_or_insert(now);
    }

    fn is_within_rate(&self, now: Instant) -> bool {
        let Rate { lines, burst } = self.rate;
        let Some(each) = Duration::from_secs(1).checked_div(lines) else {
            return true;
        };
        let ahead = self
            .earned
            .map(|earned| earned.saturating_duration_since(now));
        ahead.unwrap_or_default() + each <= each * burst.max(1)
    }

    fn earn(&mut self, now: Instant) {
        let each = Duration::from_secs(1).checked_div(self.rate.lines);
        let earned = self.earned.map_or(now, |earned| earned.max(now));
        self.earned = Some(earned + each.unwrap_or_default());
    }

    /// Whether to wait for a journal that is full.
    fn waits(&mut self, now: Instant) -> bool {
        let since = *self.full_since.get_or_insert(now);
        now.saturating_duration_since(since) < PATIENCE
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

        /// What sends all of a text now.
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
    fn an_entry_says_where_its_line_comes_from() {
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

    /// journalctl shows no other message as text.
    #[test]
    fn every_message_is_printable_text() {
        let journald = Journald::new();
        let mut lines = lines("web");
        journald.send(&mut lines, "10%\r20%\r\n".as_bytes());
        assert_eq!(journald.messages(), ["10%", "20%"]);
        // However the cut falls within a character.
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
    fn only_so_many_lines_are_sent_and_what_is_left_out_is_said() {
        let journald = Journald::new();
        let mut lines = lines("web");
        lines.limit(Rate {
            lines: 10,
            burst: 5,
        });
        let now = Instant::now();
        let mut said = Vec::new();
        // A line each 10 ms for ten seconds, ten times the rate.
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
        // After a silence as many as at first.
        for _ in 0..9 {
            lines.take(b"again\n");
        }
        lines.send(&journald.journal, usize::MAX, after);
        assert_eq!(journald.messages(), ["again"; 5]);
        lines.finish();
        lines.send(&journald.journal, usize::MAX, after);
        assert_eq!(journald.messages(), ["[4 lines left out]"]);
    }
}
