// SPDX-License-Identifier: MIT
//! A console's log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Zoned;
use rustix::fs::OFlags;

const ESC: u8 = 0x1b;

/// Longest name of a domain that names its log.
const NAME_MAX: usize = 128;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Start each line with the local time.
    pub timestamps: bool,
    /// Write a dot for each ESC.
    pub replace_escape: bool,
}

/// An open log.
pub struct Log {
    path: PathBuf,
    file: File,
    style: Style,
    /// The next byte starts a line.
    line_start: bool,
    /// The last write failed, and that was said.
    failed: bool,
}

impl Log {
    /// Opens, or makes, the log at `path`. Only a regular file will do: a
    /// link, a pipe or a device put there by somebody else is refused.
    pub fn open(path: PathBuf, style: Style) -> io::Result<Self> {
        let file = open(&path)?;
        let mut log = Self {
            path,
            file,
            style,
            line_start: true,
            failed: false,
        };
        if style.timestamps {
            log.write(b"Logfile Opened\n");
        }
        Ok(log)
    }

    /// Opens the file of the same name again, after it was moved away.
    pub fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(self.path.clone(), self.style)?;
        Ok(())
    }

    /// Adds bytes. A failure is said once; the bytes are then missing from
    /// the log and the guest goes on.
    pub fn write(&mut self, bytes: &[u8]) {
        let written = if self.style.timestamps || self.style.replace_escape {
            let styled = self.styled(bytes);
            self.file.write_all(&styled)
        } else {
            self.file.write_all(bytes)
        };
        match written {
            Ok(()) => self.failed = false,
            Err(_) if self.failed => {}
            Err(error) => {
                self.failed = true;
                tracing::error!(
                    "{}: {error}; output is missing from it",
                    self.path.display()
                );
            }
        }
    }

    fn styled(&mut self, bytes: &[u8]) -> Vec<u8> {
        let stamp = self
            .style
            .timestamps
            .then(|| Zoned::now().strftime("[%F %T] ").to_string());
        let mut styled = Vec::with_capacity(bytes.len() + 32);
        for byte in bytes {
            if let Some(stamp) = &stamp {
                // A carriage return right after the line feed says nothing.
                if self.line_start && *byte == b'\r' {
                    continue;
                }
                if self.line_start {
                    styled.extend_from_slice(stamp.as_bytes());
                }
                self.line_start = *byte == b'\n';
            }
            let hidden = self.style.replace_escape && *byte == ESC;
            styled.push(if hidden { b'.' } else { *byte });
        }
        styled
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Non-blocking, so that a pipe cannot hold us up before it is refused.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    if metadata.permissions().mode() & 0o002 != 0 {
        tracing::warn!("{}: everyone may write to this log", path.display());
    }
    Ok(file)
}

/// Whether a domain's name can be part of a file's name as it is.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with('.')
        && !name.chars().any(|one| one == '/' || one.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: Style, chunks: &[&[u8]]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(path.clone(), style).unwrap();
        for chunk in chunks {
            log.write(chunk);
        }
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn bytes_go_in_as_they_are() {
        let text = written(Style::default(), &[b"a\r\n\x1b[1mb", b"c"]);
        assert_eq!(text, "a\r\n\x1b[1mbc");
    }

    #[test]
    fn escape_becomes_a_dot() {
        let style = Style {
            replace_escape: true,
            timestamps: false,
        };
        assert_eq!(written(style, &[b"\x1b[1mb\n"]), ".[1mb\n");
    }

    #[test]
    fn each_line_starts_with_the_time_however_it_is_cut() {
        let style = Style {
            timestamps: true,
            replace_escape: false,
        };
        let text = written(style, &[b"one\n\rtw", b"o\r\n", b"three"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        for (line, rest) in lines.iter().zip(["Logfile Opened", "one", "two", "three"]) {
            let (stamp, said) = line.split_at(22);
            assert!(
                stamp.starts_with("[20") && stamp.ends_with("] "),
                "{line:?}"
            );
            assert_eq!(said, rest);
        }
    }

    #[test]
    fn only_a_regular_file_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(Log::open(link, Style::default()).is_err());
        assert!(Log::open(dir.path().to_owned(), Style::default()).is_err());
        assert!(Log::open("/dev/null".into(), Style::default()).is_err());
    }

    #[test]
    fn a_log_that_was_moved_away_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(path.clone(), Style::default()).unwrap();
        log.write(b"before");
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        log.reopen().unwrap();
        log.write(b"after");
        assert_eq!(std::fs::read(&path).unwrap(), b"after");
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_not_plain() {
        for name in ["guest", "web-1", "a b", "\u{fc}ber"] {
            assert!(is_plain(name), "{name:?}");
        }
        for name in [
            "",
            "..",
            ".hidden",
            "a/b",
            "../../etc/x",
            "a\nb",
            "a\0b",
            &"x".repeat(129),
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
