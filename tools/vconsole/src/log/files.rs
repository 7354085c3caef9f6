// SPDX-License-Identifier: MIT
//! A log and its rotated files: `NAME`, the newest, and `NAME.1`, `NAME.2` and so
//! on, or compressed `NAME.1.zst`. Numbers may be missing, files are renamed and
//! compressed while they are read, and modification times do not order them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// How often the folder is read again if names changed meanwhile.
const TRIES: usize = 10;
/// How much of the last bytes that were read is compared.
const LAST_MAX: usize = 64;

use super::archive::{self, Archive};

/// One file of a log.
pub(super) struct Part {
    number: u32,
    file: File,
    identity: Identity,
    compressed: bool,
}

impl Part {
    /// Whether it is that file, or its compressed form.
    fn is(&self, other: Identity, compressed: bool) -> bool {
        // While both are uncompressed, no other file has their inode.
        if self.compressed || compressed {
            self.identity == other
        } else {
            self.identity.is_same_file(other)
        }
    }
}

/// A file's identity, which rotation keeps; a new file with the same inode differs.
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

    /// The identity of a file before its compression, as far as it is recorded.
    fn before_compression(file: &File, metadata: &Metadata) -> Self {
        archive::origin(file).map_or(Self::of(metadata), |origin| Self {
            device: origin.device,
            inode: origin.inode,
            size: origin.size,
            modified: origin.modified,
        })
    }

    fn is_same_file(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// The file of that name, without the others of its log.
pub(super) fn one(path: &Path) -> io::Result<Part> {
    let file = File::open(path)?;
    Ok(Part {
        number: 0,
        identity: Identity::of(&file.metadata()?),
        file,
        compressed: path.extension().is_some_and(|extension| extension == "zst"),
    })
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
    let log = path.file_name().unwrap_or_default().as_encoded_bytes();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut parts: Vec<Part> = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        // A file that is gone by now was renamed, and is found by its new name.
        if let Some((number, compressed)) = number(name.as_encoded_bytes(), log)
            && let Ok(file) = File::open(entry.path())
        {
            let metadata = file.metadata()?;
            if metadata.is_file() {
                let identity = if compressed {
                    Identity::before_compression(&file, &metadata)
                } else {
                    Identity::of(&metadata)
                };
                parts.push(Part {
                    number,
                    file,
                    identity,
                    compressed,
                });
            }
        }
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.number));
    parts.dedup_by(|one, other| one.is(other.identity, other.compressed));
    Ok(parts)
}

/// The number of a log's file by its name, and whether it is compressed.
fn number(name: &[u8], log: &[u8]) -> Option<(u32, bool)> {
    let rest = match name.strip_prefix(log)? {
        [] => return Some((0, false)),
        [b'.', rest @ ..] => rest,
        _ => return None,
    };
    let uncompressed = rest.strip_suffix(b".zst");
    let digits = str::from_utf8(uncompressed.unwrap_or(rest)).ok()?;
    Some((digits.parse().ok()?, uncompressed.is_some()))
}

/// A position in a log: in one of its files, after the older ones.
#[derive(Default)]
pub(super) struct Place {
    current: Option<Current>,
    /// The older files, when they were last seen.
    before: Vec<Identity>,
}

/// The file that is read.
enum Current {
    Plain {
        file: File,
        /// How much of it was read, and the last bytes of that.
        position: u64,
        last: Vec<u8>,
    },
    Compressed(Identity, Box<Archive>),
}

impl Current {
    fn identity(&self) -> io::Result<Identity> {
        match self {
            Self::Plain { file, .. } => Ok(Identity::of(&file.metadata()?)),
            Self::Compressed(identity, _) => Ok(*identity),
        }
    }
}

impl Place {
    /// The files newer than the position, the oldest first; the position is
    /// unchanged.
    pub(super) fn newer(&mut self, path: &Path) -> io::Result<Vec<Part>> {
        let mut parts = match list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            parts => parts?,
        };
        let Some(current) = &self.current else {
            return Ok(parts);
        };
        let current = current.identity()?;
        let compressed = self.is_in_archive();
        let at = parts.iter().position(|part| part.is(current, compressed));
        if let Some(at) = at {
            self.before = parts[..at].iter().map(|part| part.identity).collect();
        }
        // If the current file is gone, the known older files mark the position.
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
        if let Some(Ok(current)) = self.current.as_ref().map(Current::identity) {
            self.before.push(current);
        }
        self.current = Some(if part.compressed {
            Current::Compressed(part.identity, Box::new(Archive::new(part.file)))
        } else {
            Current::Plain {
                file: part.file,
                position: 0,
                last: Vec::new(),
            }
        });
    }

    /// Whether the position is in a file.
    pub(super) fn is_in_file(&self) -> bool {
        self.current.is_some()
    }

    /// Whether that file is compressed: it may be damaged.
    pub(super) fn is_in_archive(&self) -> bool {
        matches!(self.current, Some(Current::Compressed(..)))
    }

    /// Moves to the beginning of the file if it was truncated and rewritten, as
    /// `copytruncate` does.
    pub(super) fn rewind(&mut self) -> io::Result<bool> {
        let Some(Current::Plain {
            file,
            position,
            last,
        }) = &mut self.current
        else {
            return Ok(false);
        };
        let mut now = vec![0; last.len()];
        let from = *position - now.len() as u64;
        let same = match file.read_exact_at(&mut now, from) {
            Ok(()) => now == *last,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            Err(error) => return Err(error),
        };
        if !same {
            *position = 0;
            last.clear();
        }
        Ok(!same)
    }

    /// Reads into `buffer` and advances.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.current {
            None => Ok(0),
            Some(Current::Compressed(_, archive)) => archive.read(buffer),
            Some(Current::Plain {
                file,
                position,
                last,
            }) => {
                let length = file.read_at(buffer, *position)?;
                *position += length as u64;
                last.extend_from_slice(&buffer[length.saturating_sub(LAST_MAX)..length]);
                last.drain(..last.len().saturating_sub(LAST_MAX));
                Ok(length)
            }
        }
    }
}

#[cfg(test)]
mod tests;
