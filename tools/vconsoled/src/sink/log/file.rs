// SPDX-License-Identifier: MIT
//! The file of a log: opened without following links, rotated by size, and
//! completed after an interrupted write. What other programs wrote to it stays.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::Rotation;
use super::names::{self, compressed};

/// Identity and size of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sink) struct Extent {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
}

/// An open log file. Its content up to the size is complete.
pub(in crate::sink) struct LogFile {
    path: PathBuf,
    file: File,
    extent: Extent,
    /// Size from which it is due for rotation.
    full_at: u64,
}

impl LogFile {
    /// Opens or creates the file at `path`. Only a regular file is accepted: a
    /// link, a pipe or a device is refused.
    pub(in crate::sink) fn open(path: &Path) -> io::Result<Self> {
        let file = options().append(true).create(true).mode(0o640).open(path)?;
        must_be_regular(&file)?;
        let metadata = file.metadata()?;
        if metadata.mode() & 0o002 != 0 {
            tracing::warn!("{}: everyone may write to this log", path.display());
        }
        Ok(Self {
            path: path.to_owned(),
            extent: Extent::of(&file)?,
            file,
            full_at: 0,
        })
    }

    /// Updates the size: other programs may write to the file, or truncate it.
    pub(in crate::sink) fn look(&mut self) -> io::Result<()> {
        self.extent = Extent::of(&self.file)?;
        Ok(())
    }

    pub(in crate::sink) fn extent(&self) -> Extent {
        self.extent
    }

    /// The first bytes of the file with this name, at most `most`.
    pub(super) fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let file = options().read(true).open(&self.path)?;
        must_be_regular(&file)?;
        let mut head = vec![0; most];
        let length = file.read_at(&mut head, 0)?;
        head.truncate(length);
        Ok(head)
    }

    /// Whether its name still refers to it: it may have been moved or removed.
    pub(in crate::sink) fn is_in_place(&self) -> bool {
        let there = std::fs::symlink_metadata(&self.path);
        there.is_ok_and(|there| Extent::from(there).is_same_file(self.extent))
    }

    /// Appends all of `bytes` or, unless another program writes meanwhile, nothing.
    pub(in crate::sink) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(length) => left = &left[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.take_back(bytes.len() - left.len())?;
                    return Err(error);
                }
            }
        }
        self.look()
    }

    /// Removes the bytes appended last, unless others follow them.
    fn take_back(&self, length: usize) -> io::Result<()> {
        if Extent::of(&self.file)?.size == self.extent.size + length as u64 {
            self.file.set_len(self.extent.size)?;
        }
        Ok(())
    }

    /// Whether `more` bytes would exceed the size.
    pub(super) fn is_full(&self, rotation: Rotation, more: usize) -> bool {
        let size = self.extent.size;
        rotation.size > 0 && size > 0 && size >= self.full_at && size + more as u64 > rotation.size
    }

    /// Renames the file to `.1`, that to `.2` and so on, and begins another. On
    /// failure the file is continued and is due again later.
    pub(super) fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        let rotated = self.try_rotate(rotation.count);
        if rotated.is_err() {
            self.full_at = self.extent.size + rotation.size;
        }
        rotated
    }

    fn try_rotate(&mut self, count: u32) -> io::Result<()> {
        let path = self.path.clone();
        if count == 0 {
            std::fs::remove_file(&path)?;
        }
        // Up to the first gap, which an interrupted rotation left: this continues
        // it.
        let gap = (1..=count).find(|n| !forms(&path, *n).iter().any(|form| form.exists()));
        if gap.is_none() && count > 0 {
            for oldest in forms(&path, count) {
                found(std::fs::remove_file(oldest))?;
            }
        }
        for n in (2..=gap.unwrap_or(count)).rev() {
            for (from, to) in forms(&path, n - 1).iter().zip(forms(&path, n)) {
                found(std::fs::rename(from, to))?;
            }
        }
        if count > 0 {
            std::fs::rename(&path, names::old(&path, 1))?;
        }
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

impl From<Metadata> for Extent {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
        }
    }
}

impl Extent {
    fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(Self::from)
    }

    pub(super) fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Completes `bytes`, whose write a daemon had begun when the file had the extent
/// `before`. The file may have been renamed to `.1` since. `false`, without any
/// change, if other content follows there.
pub(super) fn complete(path: &Path, before: Extent, bytes: &[u8]) -> io::Result<bool> {
    for path in [path, &names::old(path, 1)] {
        let opened = options().read(true).append(true).open(path);
        let Some(mut file) = opened.ok().filter(|file| must_be_regular(file).is_ok()) else {
            continue;
        };
        let now = Extent::of(&file)?;
        if !before.is_same_file(now) {
            continue;
        }
        let Some(added) = now.size.checked_sub(before.size) else {
            return Ok(false);
        };
        let added = usize::try_from(added).map_or(bytes.len(), |added| added.min(bytes.len()));
        let mut found = vec![0; added];
        file.read_exact_at(&mut found, before.size)?;
        let (written, left) = bytes.split_at(added);
        if written != found {
            return Ok(false);
        }
        file.write_all(left)?;
        return Ok(true);
    }
    Ok(false)
}

/// Follows no link. Non-blocking, so that a pipe cannot block before it is
/// refused.
fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options.custom_flags(flags.bits().cast_signed());
    options
}

fn must_be_regular(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        return Ok(());
    }
    let why = "not a regular file";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// The two possible names of an old file.
fn forms(path: &Path, number: u32) -> [PathBuf; 2] {
    [names::old(path, number), compressed(path, number)]
}

/// Ignores that a file does not exist.
pub(super) fn found(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
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
        assert!(LogFile::open(&link).is_err());
        assert!(LogFile::open(dir.path()).is_err());
        assert!(LogFile::open(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn so_many_old_ones_are_kept() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path).unwrap();
        for round in 0..5 {
            log.append(format!("round {round}").as_bytes()).unwrap();
            assert!(log.is_full(TWO, 2) && !log.is_full(TWO, 1));
            log.rotate(TWO).unwrap();
            assert!(!log.is_full(TWO, 100), "an empty file takes anything");
        }
        assert_eq!(read(&path), "");
        assert_eq!(read(&names::old(&path, 1)), "round 4");
        assert_eq!(read(&names::old(&path, 2)), "round 3");
        assert!(!names::old(&path, 3).exists());
    }

    #[test]
    fn without_old_ones_the_file_begins_anew() {
        let (dir, path) = dir();
        let mut log = LogFile::open(&path).unwrap();
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
        // `.1` was renamed, and then the daemon was killed.
        std::fs::write(names::old(&path, 2), "older").unwrap();
        let mut log = LogFile::open(&path).unwrap();
        log.rotate(TWO).unwrap();
        assert_eq!(read(&names::old(&path, 1)), "now");
        assert_eq!(read(&names::old(&path, 2)), "older");
    }

    #[test]
    fn compressed_ones_move_with_the_others() {
        let (dir, path) = dir();
        let mut log = LogFile::open(&path).unwrap();
        for round in 0..5 {
            log.append(format!("round {round}").as_bytes()).unwrap();
            log.rotate(TWO).unwrap();
            if round % 2 == 0 {
                std::fs::rename(names::old(&path, 1), compressed(&path, 1)).unwrap();
            }
            let number = |name: &str| {
                let entries = std::fs::read_dir(dir.path()).unwrap();
                let names = entries.map(|one| one.unwrap().file_name().into_string().unwrap());
                names.filter(|one| one.starts_with(name)).count()
            };
            assert_eq!((number("log.1"), number("log.3")), (1, 0));
            assert_eq!(number("log.2"), usize::from(round > 0));
        }
        assert_eq!(read(&compressed(&path, 1)), "round 4");
        assert_eq!(read(&names::old(&path, 2)), "round 3");
    }

    #[test]
    fn a_rotation_that_fails_is_tried_again_later() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"12345678").unwrap();
        // A directory cannot be replaced by a file.
        std::fs::create_dir_all(names::old(&path, 1).join("x")).unwrap();
        std::fs::create_dir_all(names::old(&path, 2).join("x")).unwrap();
        assert!(log.rotate(TWO).is_err());
        assert!(!log.is_full(TWO, 1));
        log.append(b"12345678").unwrap();
        assert!(log.is_full(TWO, 1));
        assert_eq!(read(&path), "1234567812345678");
    }

    /// For any written part, and any lines of others before or after it, every
    /// byte of all writers is there once.
    #[test]
    fn what_was_interrupted_is_completed_and_what_others_wrote_stays() {
        let (_dir, path) = dir();
        let bytes = b"about to be written\n";
        for moved in [false, true] {
            for others in ["", "somebody's line\n"] {
                for written in 0..=bytes.len() {
                    std::fs::write(&path, "before\n").unwrap();
                    let noted = LogFile::open(&path).unwrap().extent();
                    let part = std::str::from_utf8(&bytes[..written]).unwrap();
                    std::fs::write(&path, format!("before\n{part}{others}")).unwrap();
                    let mut at = path.clone();
                    if moved {
                        at = names::old(&path, 1);
                        std::fs::rename(&path, &at).unwrap();
                    }
                    let done = complete(&path, noted, bytes).unwrap();
                    let whole = others.is_empty() || written == bytes.len();
                    assert_eq!(done, whole, "{written} {others}");
                    let part = if done {
                        bytes.as_slice()
                    } else {
                        part.as_bytes()
                    };
                    let part = std::str::from_utf8(part).unwrap();
                    assert_eq!(read(&at), format!("before\n{part}{others}"));
                    std::fs::remove_file(&at).unwrap();
                }
            }
        }
    }

    #[test]
    fn another_file_or_a_shorter_one_is_left_alone() {
        let (_dir, path) = dir();
        std::fs::write(&path, "short").unwrap();
        let now = LogFile::open(&path).unwrap().extent();
        for before in [Extent { size: 100, ..now }, Extent { inode: 1, ..now }] {
            assert!(!complete(&path, before, b"more").unwrap());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!complete(&path, now, b"more").unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn emptied_by_hand_its_size_is_seen() {
        let (_dir, path) = dir();
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"much that is gone").unwrap();
        std::fs::write(&path, "").unwrap();
        log.append(b"new").unwrap();
        assert_eq!((log.extent().size, read(&path).as_str()), (3, "new"));
    }
}
