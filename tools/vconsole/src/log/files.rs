// SPDX-License-Identifier: MIT
//! A log and the files that it was rotated into: `NAME`, the newest, and
//! `NAME.1`, `NAME.2` and so on. Numbers may be missing, names move while they
//! are read, and no time of any file is believed.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// How often the names are read again that moved meanwhile.
const TRIES: usize = 10;
/// How much of what was read last is compared.
const LAST_MAX: usize = 64;

/// One file of a log.
pub(super) struct Part {
    number: u32,
    file: File,
    identity: Identity,
}

/// What a rotated file keeps, and another that gets its inode does not.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// All files of the log at `path` that can be read, the oldest first.
pub(super) fn list(path: &Path) -> io::Result<Vec<Part>> {
    let mut parts = look(path)?;
    for _ in 1..TRIES {
        let again = look(path)?;
        let key = |part: &Part| (part.number, part.identity.device, part.identity.inode);
        let same = again.iter().map(key).eq(parts.iter().map(key));
        parts = again;
        if same {
            break;
        }
    }
    Ok(parts)
}

fn look(path: &Path) -> io::Result<Vec<Part>> {
    let name = path.file_name().unwrap_or_default();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut parts: Vec<Part> = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let number = match entry
            .file_name()
            .as_encoded_bytes()
            .strip_prefix(name.as_encoded_bytes())
        {
            Some(b"") => Some(0),
            Some([b'.', digits @ ..]) => str::from_utf8(digits)
                .ok()
                .and_then(|text| text.parse().ok()),
            _ => None,
        };
        // One that is gone by now has another name, and is found by it.
        if let Some(number) = number
            && let Ok(file) = File::open(entry.path())
        {
            let metadata = file.metadata()?;
            if metadata.is_file() {
                parts.push(Part {
                    number,
                    identity: Identity::of(&metadata),
                    file,
                });
            }
        }
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.number));
    parts.dedup_by(|one, other| one.identity.is_same_file(other.identity));
    Ok(parts)
}

/// A place in a log: in one of its files, after those before it.
#[derive(Default)]
pub(super) struct Place {
    current: Option<File>,
    /// The files before it, when they were last seen.
    before: Vec<Identity>,
    /// How much of the file was read, and the end of that.
    position: u64,
    last: Vec<u8>,
}

impl Place {
    /// The files that came after the place, the oldest first; it is not moved.
    pub(super) fn newer(&mut self, path: &Path) -> io::Result<Vec<Part>> {
        let mut parts = match list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            parts => parts?,
        };
        let Some(current) = &self.current else {
            return Ok(parts);
        };
        // While it is open nobody else has its inode.
        let current = Identity::of(&current.metadata()?);
        let at = parts
            .iter()
            .position(|part| part.identity.is_same_file(current));
        if let Some(at) = at {
            self.before = parts[..at].iter().map(|part| part.identity).collect();
        }
        // Without it, what is still there of those before it comes before.
        let first = at.map(|at| at + 1).or_else(|| {
            let last = parts
                .iter()
                .rposition(|part| self.before.contains(&part.identity));
            last.map(|last| last + 1)
        });
        Ok(parts.split_off(first.unwrap_or(0)))
    }

    /// Moves to the beginning of a file.
    pub(super) fn enter(&mut self, part: Part) {
        if let Some(current) = &self.current
            && let Ok(metadata) = current.metadata()
        {
            self.before.push(Identity::of(&metadata));
        }
        self.current = Some(part.file);
        self.position = 0;
        self.last.clear();
    }

    /// Whether there is a file at all.
    pub(super) fn is_in_file(&self) -> bool {
        self.current.is_some()
    }

    /// If the file was emptied and begun anew, as `copytruncate` does, moves to
    /// its beginning.
    pub(super) fn rewind(&mut self) -> io::Result<bool> {
        let Some(file) = &self.current else {
            return Ok(false);
        };
        let mut last = vec![0; self.last.len()];
        let from = self.position - last.len() as u64;
        let same = match file.read_exact_at(&mut last, from) {
            Ok(()) => last == self.last,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !same {
            self.position = 0;
            self.last.clear();
        }
        Ok(!same)
    }

    /// Moves on over what it puts into `buffer`.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.current else {
            return Ok(0);
        };
        let length = file.read_at(buffer, self.position)?;
        self.position += length as u64;
        self.last
            .extend_from_slice(&buffer[length.saturating_sub(LAST_MAX)..length]);
        self.last.drain(..self.last.len().saturating_sub(LAST_MAX));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::*;

    /// Something that happens to a log between two looks.
    #[derive(Clone, Debug)]
    enum Event {
        Append(u8),
        /// Moves all files on, of which so many stay.
        Rotate(u32),
        /// Empties the file, after what was in it has been read.
        Empty,
        /// Somebody removes the file, or one that it was rotated into.
        Remove(u32),
        /// The clock is set so far back.
        Clock(u64),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => (1..20_u8).prop_map(Event::Append),
            3 => (1..4_u32).prop_map(Event::Rotate),
            1 => Just(Event::Empty),
            1 => (0..4_u32).prop_map(Event::Remove),
            1 => (0..2_000_000_u64).prop_map(Event::Clock),
        ]
    }

    struct Log {
        dir: tempfile::TempDir,
        lines: usize,
        clock: SystemTime,
    }

    impl Log {
        fn path(&self) -> PathBuf {
            self.dir.path().join("log")
        }

        fn numbered(&self, number: u32) -> PathBuf {
            match number {
                0 => self.path(),
                _ => self.dir.path().join(format!("log.{number}")),
            }
        }

        fn append(&mut self, lines: u8) -> String {
            let range = self.lines..self.lines + usize::from(lines);
            self.lines = range.end;
            let lines: Vec<String> = range.map(|line| format!("line {line}\n")).collect();
            let text = lines.concat();
            let mut options = OpenOptions::new();
            let mut file = options.append(true).create(true).open(self.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.set_modified(self.clock).unwrap();
            text
        }

        fn rotate(&self, count: u32) {
            for number in (0..count).rev() {
                let _missing = std::fs::rename(self.numbered(number), self.numbered(number + 1));
            }
        }
    }

    fn print(place: &mut Place, path: &Path) -> String {
        let mut text = Vec::new();
        let mut rest = |place: &mut Place| {
            let mut buffer = [0; 50];
            while let length @ 1.. = place.read(&mut buffer).unwrap() {
                text.extend_from_slice(&buffer[..length]);
            }
        };
        let newer = place.newer(path).unwrap();
        place.rewind().unwrap();
        rest(place);
        for part in newer {
            place.enter(part);
            rest(place);
        }
        String::from_utf8(text).unwrap()
    }

    proptest! {
        /// Every line once and in order, whatever happens to the files after
        /// they were read.
        #[test]
        fn a_log_is_followed_through_whatever_happens_to_it(
            events in proptest::collection::vec((event(), any::<bool>()), 1..30),
        ) {
            let mut log = Log {
                dir: tempfile::tempdir().unwrap(),
                lines: 0,
                clock: SystemTime::now(),
            };
            let (mut expected, mut place) = (String::new(), Place::default());
            let mut printed = String::new();
            for (event, look) in events {
                match event {
                    Event::Append(lines) => expected += &log.append(lines),
                    // What is rotated away unread is lost.
                    Event::Rotate(count) => {
                        printed += &print(&mut place, &log.path());
                        log.rotate(count);
                    }
                    Event::Empty if log.path().exists() => {
                        printed += &print(&mut place, &log.path());
                        std::fs::write(log.path(), "").unwrap();
                    }
                    Event::Remove(number) => {
                        printed += &print(&mut place, &log.path());
                        let _missing = std::fs::remove_file(log.numbered(number));
                    }
                    Event::Clock(back) => log.clock -= Duration::from_secs(back),
                    Event::Empty => {}
                }
                if look {
                    printed += &print(&mut place, &log.path());
                }
            }
            printed += &print(&mut place, &log.path());
            prop_assert_eq!(printed, expected);
        }
    }

    #[test]
    fn only_the_files_of_this_log_are_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "log", "log.1", "log.3", "log.10", "log.x", "logs", "log.1.gz", "other.2",
        ] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::create_dir(dir.path().join("log.2")).unwrap();
        let parts = list(&dir.path().join("log")).unwrap();
        let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
        assert_eq!(numbers, [10, 3, 1, 0]);
    }
}
