// SPDX-License-Identifier: MIT
//! Compresses an old log (Zstandard) in small steps, because logs are written
//! meanwhile. The old file is removed when the compressed one is complete and on
//! the disk, so nothing is lost if the daemon is killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use console_proto::archive::{FRAME_SIZE, Origin};
use rustix::fs::OFlags;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::names;
use super::retention::{self, Entry};

/// Bytes compressed at once; each piece is a frame of its own.
const PIECE: usize = 64 * 1024;

/// A compression in progress.
pub(super) struct Compression {
    log: PathBuf,
    source: File,
    origin: Origin,
    part: File,
    done: u64,
    buffer: Vec<u8>,
}

impl Compression {
    /// Begins with the old file at `path` of that log.
    pub(super) fn begin(log: &Path, path: &Path) -> io::Result<Self> {
        let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
        let source = OpenOptions::new()
            .read(true)
            .custom_flags(nofollow)
            .open(path)?;
        let metadata = source.metadata()?;
        let part = names::part(log);
        super::file::found(std::fs::remove_file(&part))?;
        let part = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(metadata.mode() & 0o777)
            .open(part)?;
        let this = Self {
            log: log.to_owned(),
            origin: origin(&source)?,
            source,
            part,
            done: 0,
            buffer: vec![0; PIECE],
        };
        (&this.part).write_all(&this.origin.to_frame())?;
        Ok(this)
    }

    /// Compresses the next piece; `true` when done.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        let length = self.source.read_at(&mut self.buffer, self.done)?;
        if length == 0 {
            return self.finish().map(|()| true);
        }
        self.done += length as u64;
        let frame = compress_to_vec(&self.buffer[..length], CompressionLevel::Fastest);
        (&self.part).write_all(&frame)?;
        Ok(false)
    }

    /// Replaces the old file, under its current name, by the compressed one.
    fn finish(&self) -> io::Result<()> {
        if origin(&self.source)? != self.origin {
            return Err(io::Error::other("it was written to meanwhile"));
        }
        self.part
            .set_modified(self.source.metadata()?.modified()?)?;
        self.part.sync_all()?;
        let Some(number) = self.number()? else {
            return Ok(());
        };
        let compressed = names::compressed(&self.log, number);
        if std::fs::symlink_metadata(&compressed).is_ok() {
            return Err(io::Error::other("another file has its name"));
        }
        std::fs::rename(names::part(&self.log), compressed)?;
        std::fs::remove_file(names::old(&self.log, number))
    }

    /// The file's current number: rotation increases it, and removes the last
    /// one.
    fn number(&self) -> io::Result<Option<u32>> {
        let dir = self.log.parent().unwrap_or(Path::new("."));
        let is_it = |entry: &Entry| {
            let plain = names::old(&self.log, entry.number());
            entry.path == plain
                && std::fs::symlink_metadata(plain).is_ok_and(|there| of(&there) == self.origin)
        };
        let entries = retention::list(dir)?;
        Ok(entries.iter().find(|entry| is_it(entry)).map(Entry::number))
    }

    /// The log of the file.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Compression {
    fn drop(&mut self) {
        // A completed file has another name.
        let _gone = std::fs::remove_file(names::part(&self.log));
    }
}

/// Whether a file is the compressed form of another, which a killed daemon did
/// not remove.
pub(super) fn is_same(compressed: &Path, old: &Path) -> bool {
    let mut frame = [0; FRAME_SIZE];
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nofollow)
        .open(compressed);
    let read = file.and_then(|file| file.read_exact_at(&mut frame, 0));
    let origin = read.ok().and_then(|()| Origin::from_frame(&frame));
    let metadata = std::fs::symlink_metadata(old);
    origin.is_some_and(|origin| metadata.is_ok_and(|metadata| of(&metadata) == origin))
}

fn origin(file: &File) -> io::Result<Origin> {
    file.metadata().map(|metadata| of(&metadata))
}

fn of(metadata: &std::fs::Metadata) -> Origin {
    Origin {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    pub(super) fn unpack(path: &Path) -> Vec<u8> {
        let bytes = std::fs::read(path).unwrap();
        let (mut rest, mut all) = (&bytes[FRAME_SIZE..], Vec::new());
        while !rest.is_empty() {
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap();
            decoder.read_to_end(&mut all).unwrap();
        }
        all
    }

    fn lines(count: usize) -> Vec<u8> {
        let lines = (0..count).map(|line| format!("line {line} of many\n"));
        lines.collect::<Vec<String>>().concat().into_bytes()
    }

    struct Place {
        _dir: tempfile::TempDir,
        log: PathBuf,
    }

    impl Place {
        fn new(text: &[u8]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let log = dir.path().join("guest-a.log");
            std::fs::write(names::old(&log, 1), text).unwrap();
            Self { _dir: dir, log }
        }

        fn begin(&self) -> Compression {
            Compression::begin(&self.log, &names::old(&self.log, 1)).unwrap()
        }
    }

    #[test]
    fn a_file_is_compressed_and_keeps_its_place_and_its_time() {
        for text in [lines(20_000), Vec::new()] {
            let place = Place::new(&text);
            let old = names::old(&place.log, 1);
            let before = std::fs::metadata(&old).unwrap();
            let mut compression = place.begin();
            while !compression.step().unwrap() {}
            drop(compression);
            let compressed = names::compressed(&place.log, 1);
            assert_eq!(unpack(&compressed), text);
            let after = std::fs::metadata(&compressed).unwrap();
            assert_eq!(after.modified().unwrap(), before.modified().unwrap());
            assert_eq!(after.mode(), before.mode());
            assert!(text.is_empty() || after.len() < before.len() / 5);
            assert!(!old.exists() && !names::part(&place.log).exists());
        }
    }

    #[test]
    fn what_was_moved_meanwhile_is_found_and_what_was_removed_or_written_is_not() {
        let place = Place::new(b"old");
        let mut compression = place.begin();
        compression.step().unwrap();
        std::fs::rename(names::old(&place.log, 1), names::old(&place.log, 2)).unwrap();
        std::fs::write(names::compressed(&place.log, 1), "newer").unwrap();
        assert!(compression.step().unwrap());
        assert_eq!(unpack(&names::compressed(&place.log, 2)), b"old");
        assert_eq!(
            std::fs::read(names::compressed(&place.log, 1)).unwrap(),
            b"newer"
        );

        let place = Place::new(b"old");
        let mut compression = place.begin();
        compression.step().unwrap();
        std::fs::write(names::old(&place.log, 1), "other").unwrap();
        assert!((0..3).any(|_| compression.step().is_err()));
        drop(compression);
        assert!(!names::part(&place.log).exists());

        let place = Place::new(b"old");
        let mut compression = place.begin();
        std::fs::remove_file(names::old(&place.log, 1)).unwrap();
        while !compression.step().unwrap() {}
        drop(compression);
        assert_eq!(
            std::fs::read_dir(place.log.parent().unwrap())
                .unwrap()
                .count(),
            0
        );

        let place = Place::new(b"old");
        let mut compression = place.begin();
        compression.step().unwrap();
        std::fs::write(names::compressed(&place.log, 1), "another").unwrap();
        assert!(compression.step().is_err());
        assert_eq!(std::fs::read(names::old(&place.log, 1)).unwrap(), b"old");
    }

    #[test]
    fn one_that_was_killed_before_its_end_is_recognised() {
        let place = Place::new(b"old");
        let old = names::old(&place.log, 1);
        std::fs::hard_link(&old, place.log.with_extension("kept")).unwrap();
        let mut compression = place.begin();
        while !compression.step().unwrap() {}
        let compressed = names::compressed(&place.log, 1);
        std::fs::rename(place.log.with_extension("kept"), &old).unwrap();
        assert!(is_same(&compressed, &old));
        std::fs::write(&old, "another").unwrap();
        assert!(!is_same(&compressed, &old));
        assert!(!is_same(&old, &old));
    }
}
