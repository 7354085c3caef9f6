// SPDX-License-Identifier: MIT
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;

/// An event between two reads of a log.
#[derive(Clone, Debug)]
enum Event {
    Append(u8),
    /// Rotates all files; so many remain.
    Rotate(u32),
    /// Truncates the file, after it was read.
    Empty,
    /// Compresses a rotated file.
    Compress(u32),
    /// Removes the file, or a rotated one.
    Remove(u32),
    /// Sets the clock back by so much.
    Clock(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..20_u8).prop_map(Event::Append),
        3 => (1..4_u32).prop_map(Event::Rotate),
        2 => (1..4_u32).prop_map(Event::Compress),
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
        // No two times are equal.
        self.clock += Duration::from_nanos(1);
        file.set_modified(self.clock).unwrap();
        text
    }

    fn compressed(&self, number: u32) -> PathBuf {
        self.dir.path().join(format!("log.{number}.zst"))
    }

    fn rotate(&self, count: u32) {
        let _missing = std::fs::remove_file(self.numbered(count));
        let _missing = std::fs::remove_file(self.compressed(count));
        for number in (0..count).rev() {
            let _missing = std::fs::rename(self.numbered(number), self.numbered(number + 1));
            let (from, to) = (self.compressed(number), self.compressed(number + 1));
            let _missing = std::fs::rename(from, to);
        }
    }

    /// As the daemon compresses a file.
    fn compress(&self, number: u32) {
        let Ok(file) = File::open(self.numbered(number)) else {
            return;
        };
        let metadata = file.metadata().unwrap();
        let origin = console_proto::archive::Origin {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        let frame = ruzstd::encoding::compress_to_vec(&file, level);
        let bytes = [&origin.to_frame()[..], &frame].concat();
        std::fs::write(self.compressed(number), bytes).unwrap();
        std::fs::remove_file(self.numbered(number)).unwrap();
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
    /// Every line once and in order, whatever happens to the files after they were
    /// read.
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
                Event::Compress(number) => log.compress(number),
                Event::Empty if log.path().exists() => {
                    printed += &print(&mut place, &log.path());
                    std::fs::write(log.path(), "").unwrap();
                }
                Event::Remove(number) => {
                    printed += &print(&mut place, &log.path());
                    let _missing = std::fs::remove_file(log.numbered(number));
                    let _missing = std::fs::remove_file(log.compressed(number));
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
        "log",
        "log.1",
        "log.3.zst",
        "log.10",
        "log.x",
        "logs",
        "log.1.gz",
        "other.2",
        "log.zst",
        "log.zst.part",
        "log.4.zst.part",
    ] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    std::fs::create_dir(dir.path().join("log.2")).unwrap();
    let parts = list(&dir.path().join("log")).unwrap();
    let numbers: Vec<u32> = parts.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [10, 3, 1, 0]);
}
