// SPDX-License-Identifier: MIT
//! The file of a log: opened without following links, rotated by size, and
//! cut back to where the last daemon's notes say it ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Rotation;

/// A file beyond its size in a note by more than this was written to by
/// somebody else: it is left as it is.
pub(super) const UNNOTED_MAX: u64 = 1024 * 1024;

/// Which file, and how long it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
}

/// An open log file. What it holds up to its size is complete.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    extent: Extent,
    /// It is due for rotation from this size on.
    full_at: u64,
}

impl LogFile {
    /// Opens, or makes, the file at `path`. Only a regular file will do: a
    /// link, a pipe or a device put there by somebody else is refused.
    ///
    /// `noted` is what the last daemon said of it. What that daemon wrote
    /// after it said so is cut off; also when the file was moved aside as
    /// `.1` since.
    pub(super) fn open(path: &Path, noted: Option<Extent>) -> io::Result<Self> {
        let file = open(path, true)?;
        let metadata = file.metadata()?;
        if metadata.mode() & 0o002 != 0 {
            tracing::warn!("{}: everyone may write to this log", path.display());
        }
        let mut log = Self {
            path: path.to_owned(),
            extent: Extent::of(&file)?,
            file,
            full_at: 0,
        };
        if let Some(noted) = noted {
            if noted.is_same_file(log.extent) {
                log.extent = noted.restore(&log.file)?;
            } else if let Ok(moved) = open(&numbered(path, 1), false)
                && noted.is_same_file(Extent::of(&moved)?)
            {
                noted.restore(&moved)?;
            }
        }
        Ok(log)
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent
    }

    /// Adds all of `bytes` or nothing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        if written.is_err() {
            // Part of it may be there. If it stays, so be it.
            let _cut = self.file.set_len(self.extent.size);
        }
        written?;
        // Asked rather than counted: it may have been emptied by hand.
        self.extent = Extent::of(&self.file)?;
        Ok(())
    }

    /// Whether so many bytes more would be too much.
    pub(super) fn is_full(&self, rotation: Rotation, more: usize) -> bool {
        let size = self.extent.size;
        rotation.size > 0 && size > 0 && size >= self.full_at && size + more as u64 > rotation.size
    }

    /// Moves the file aside as `.1`, that as `.2` and so on, and begins
    /// another. On failure the file goes on and is due again later.
    pub(super) fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        let rotated = self.try_rotate(rotation.count);
        if rotated.is_err() {
            self.full_at = self.extent.size + rotation.size;
        }
        rotated
    }

    fn try_rotate(&mut self, count: u32) -> io::Result<()> {
        if count == 0 {
            std::fs::remove_file(&self.path)?;
        }
        // Up to the first gap: a rotation that was cut short left one, and
        // goes on where it ended.
        let gap = (1..=count).find(|n| !numbered(&self.path, *n).exists());
        for n in (1..=gap.unwrap_or(count)).rev() {
            let from = match n {
                1 => self.path.clone(),
                _ => numbered(&self.path, n - 1),
            };
            std::fs::rename(from, numbered(&self.path, n))?;
        }
        *self = Self::open(&self.path, None)?;
        Ok(())
    }
}

impl Extent {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
        })
    }

    pub(super) fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Cuts the file back to this.
    fn restore(self, file: &File) -> io::Result<Self> {
        let now = Self::of(file)?;
        let unnoted = now.size.checked_sub(self.size);
        if unnoted.is_none_or(|size| size > UNNOTED_MAX) {
            return Ok(now);
        }
        file.set_len(self.size)?;
        Ok(self)
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    // Non-blocking, so that a pipe cannot hold us up before it is refused.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .append(true)
        .create(create)
        .mode(0o640)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let why = "not a regular file";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        (dir, path)
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    const TWO: Rotation = Rotation { size: 8, count: 2 };

    #[test]
    fn only_a_regular_file_will_do() {
        let (dir, path) = dir();
        std::fs::write(&path, "").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(LogFile::open(&link, None).is_err());
        assert!(LogFile::open(dir.path(), None).is_err());
        assert!(LogFile::open(Path::new("/dev/null"), None).is_err());
    }

    #[test]
    fn so_many_old_ones_are_kept() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path, None).unwrap();
        for round in 0..5 {
            log.append(format!("round {round}").as_bytes()).unwrap();
            assert!(log.is_full(TWO, 2) && !log.is_full(TWO, 1));
            log.rotate(TWO).unwrap();
            assert!(!log.is_full(TWO, 100), "an empty file takes anything");
        }
        assert_eq!(read(&path), "");
        assert_eq!(read(&numbered(&path, 1)), "round 4");
        assert_eq!(read(&numbered(&path, 2)), "round 3");
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn without_old_ones_the_file_begins_anew() {
        let (dir, path) = dir();
        let mut log = LogFile::open(&path, None).unwrap();
        log.append(b"gone").unwrap();
        log.rotate(Rotation { size: 1, count: 0 }).unwrap();
        log.append(b"new").unwrap();
        assert_eq!(read(&path), "new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_rotation_that_was_cut_short_loses_nothing() {
        let (_dir, path) = dir();
        std::fs::write(&path, "now").unwrap();
        // `.1` was moved on already, and then the daemon was killed.
        std::fs::write(numbered(&path, 2), "older").unwrap();
        let mut log = LogFile::open(&path, None).unwrap();
        log.rotate(TWO).unwrap();
        assert_eq!(read(&numbered(&path, 1)), "now");
        assert_eq!(read(&numbered(&path, 2)), "older");
    }

    #[test]
    fn a_rotation_that_fails_is_tried_again_later() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path, None).unwrap();
        log.append(b"12345678").unwrap();
        // A directory cannot be replaced by a file.
        std::fs::create_dir_all(numbered(&path, 1).join("x")).unwrap();
        std::fs::create_dir_all(numbered(&path, 2).join("x")).unwrap();
        assert!(log.rotate(TWO).is_err());
        assert!(!log.is_full(TWO, 1));
        log.append(b"12345678").unwrap();
        assert!(log.is_full(TWO, 1));
        assert_eq!(read(&path), "1234567812345678");
    }

    #[test]
    fn what_was_written_after_the_note_is_cut_off() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path, None).unwrap();
        log.append(b"noted").unwrap();
        let noted = log.extent();
        log.append(b" and not").unwrap();
        drop(log);
        let log = LogFile::open(&path, Some(noted)).unwrap();
        assert_eq!((read(&path).as_str(), log.extent()), ("noted", noted));

        std::fs::write(&path, "noted again").unwrap();
        std::fs::rename(&path, numbered(&path, 1)).unwrap();
        let log = LogFile::open(&path, Some(noted)).unwrap();
        assert_eq!(read(&numbered(&path, 1)), "noted");
        assert_eq!(log.extent().size, 0);
    }

    #[test]
    fn a_file_that_others_wrote_to_is_left_alone() {
        let (_dir, path) = dir();
        std::fs::write(&path, "short").unwrap();
        let now = LogFile::open(&path, None).unwrap().extent();
        let cut = Extent { size: 100, ..now };
        assert_eq!(LogFile::open(&path, Some(cut)).unwrap().extent(), now);
        let other = Extent {
            inode: 1,
            size: 1,
            ..now
        };
        assert_eq!(LogFile::open(&path, Some(other)).unwrap().extent(), now);
        std::fs::write(&path, vec![b'x'; 2 * 1024 * 1024]).unwrap();
        LogFile::open(&path, Some(now)).unwrap();
        assert_eq!(read(&path).len(), 2 * 1024 * 1024);
    }

    #[test]
    fn emptied_by_hand_its_size_is_seen() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path, None).unwrap();
        log.append(b"much that is gone").unwrap();
        std::fs::write(&path, "").unwrap();
        log.append(b"new").unwrap();
        assert_eq!((log.extent().size, read(&path).as_str()), (3, "new"));
    }
}
