// SPDX-License-Identifier: MIT
//! The audit file: lines of JSON. Each contains the hash of the line before and
//! is sealed by a SHA-256 over itself up to there. The daemon writes it,
//! `vconsole audit` checks it.
//!
//! A line ends with `,"hash":"…"}`; every byte before that is hashed. A daemon
//! that was killed may leave an incomplete line: the next daemon ends it and
//! writes a line `torn` with the hash of the incomplete part.
//!
//! No secret is involved: a user with write access to the file can make another
//! chain. A hash that is kept elsewhere shows that.

use std::fmt::{self, Write as _};
use std::io::{self, BufRead, Read as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The name of the line that reports an incomplete one.
pub const TORN: &str = "torn";

/// Longest line, in bytes.
const LINE_MAX: u64 = 16 << 10;

const SEAL: &str = ",\"hash\":\"";
const HASH: usize = 64;

/// The end of a chain: the number and the hash of its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The number of the last line, from 1.
    pub number: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// Before the first line.
impl Default for Chain {
    fn default() -> Self {
        Self {
            number: 0,
            hash: "0".repeat(HASH),
        }
    }
}

impl Chain {
    /// The next line, with its newline, and the chain after it. `says` must
    /// serialise to a non-empty object.
    pub fn seal(&self, says: &impl Serialize) -> serde_json::Result<(String, Self)> {
        let says = serde_json::to_string(says)?;
        let number = self.number + 1;
        let text = format!(
            "{{\"number\":{number},\"previous\":\"{}\",{}",
            self.hash,
            says[1..].strip_suffix('}').unwrap_or_default()
        );
        let hash = hexadecimal(Sha256::digest(&text));
        Ok((format!("{text}{SEAL}{hash}\"}}\n"), Self { number, hash }))
    }
}

fn hexadecimal(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref().iter();
    bytes.fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// A line whose hash is that of its contents.
#[derive(Debug, Deserialize)]
struct Line {
    number: u64,
    previous: String,
    hash: String,
    #[serde(default)]
    time: String,
    /// The hash of the incomplete bytes before it.
    torn: Option<String>,
}

impl Line {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes.strip_suffix(b"\n")?).ok()?;
        let (hashed, _) = text.rsplit_once(SEAL)?;
        let line: Self = serde_json::from_str(text).ok()?;
        let is_whole = text.len() == hashed.len() + SEAL.len() + HASH + 2;
        (is_whole && line.hash == hexadecimal(Sha256::digest(hashed))).then_some(line)
    }
}

/// Bytes that are not a valid line.
#[derive(Clone, Default)]
struct Damage {
    /// The number of the first damaged line.
    line: u64,
    hash: Sha256,
    /// Its last line ends with a newline.
    ended: bool,
}

impl Damage {
    fn hash(&self) -> String {
        hexadecimal(self.hash.clone().finalize())
    }
}

/// The end of a file, for a writer that continues it.
#[derive(Debug, Default)]
pub struct End {
    /// The last valid line.
    pub chain: Option<Chain>,
    /// The hash of invalid bytes after it, with their newline, if there are any.
    pub torn: Option<String>,
    /// Whether the last line lacks its newline.
    pub ends: bool,
}

/// Finds the end of a file's chain.
pub fn end(file: impl BufRead) -> io::Result<End> {
    let (mut chain, mut damage, mut ends) = (None, None::<Damage>, false);
    pieces(file, |number, piece, line| {
        ends = !piece.ends_with(b"\n");
        // A line may lack its newline only.
        let line = line.or_else(|| Line::parse(&[piece, b"\n"].concat()));
        match line {
            Some(Line { number, hash, .. }) => {
                chain = Some(Chain { number, hash });
                damage = None;
            }
            None => add(&mut damage, number, piece),
        }
    })?;
    let torn = damage.map(|mut damage| {
        if ends {
            damage.hash.update("\n");
        }
        damage.hash()
    });
    Ok(End { chain, torn, ends })
}

fn add(damage: &mut Option<Damage>, line: u64, piece: &[u8]) {
    let damage = damage.get_or_insert_with(|| Damage {
        line,
        ..Damage::default()
    });
    damage.hash.update(piece);
    damage.ended = piece.ends_with(b"\n");
}

/// Passes each line of a file with its number, and parsed if valid.
fn pieces(
    mut file: impl BufRead,
    mut take: impl FnMut(u64, &[u8], Option<Line>),
) -> io::Result<()> {
    let (mut number, mut piece) = (1, Vec::new());
    while file.by_ref().take(LINE_MAX).read_until(b'\n', &mut piece)? > 0 {
        take(number, &piece, Line::parse(&piece));
        number += u64::from(piece.ends_with(b"\n"));
        piece.clear();
    }
    Ok(())
}

/// Where a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// A line differs from what was sealed.
    Changed(u64),
    /// A line does not continue the chain.
    Follows(u64),
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(line) => write!(f, "line {line} is not what was written there"),
            Self::Follows(line) => write!(
                f,
                "line {line} does not follow the one before it: lines were removed, moved or \
                 added"
            ),
        }
    }
}

/// The result of checking a chain's files, oldest first.
#[derive(Debug, Default)]
pub struct Check {
    /// The last line, if there is one.
    pub last: Option<Chain>,
    /// Number of valid lines.
    pub lines: u64,
    /// Number of incomplete parts that a line reports.
    pub torn: u64,
    /// The times of the first and the last line.
    pub times: Option<(String, String)>,
    /// The last line is incomplete.
    pub unfinished: bool,
    /// Whether one of the hashes is the wanted one.
    pub found: bool,
}

impl Check {
    /// Checks the next file; the inner error is where the chain breaks. `wanted`
    /// is a hash to look for.
    pub fn file(
        &mut self,
        file: impl BufRead,
        wanted: Option<&str>,
    ) -> io::Result<Result<(), Break>> {
        let (mut damage, mut broken) = (None::<Damage>, None);
        self.unfinished = false;
        pieces(file, |number, piece, line| {
            let Some(line) = line else {
                return add(&mut damage, number, piece);
            };
            if broken.is_some() {
                return;
            }
            let torn = damage.take();
            broken = match &torn {
                Some(torn) if line.torn != Some(torn.hash()) => Some(Break::Changed(torn.line)),
                None if line.torn.is_some() => Some(Break::Follows(number)),
                _ => self.take(number, &line),
            };
            self.torn += u64::from(torn.is_some());
            self.found |= wanted == Some(line.hash.as_str());
        })?;
        if let Some(damage) = damage {
            self.unfinished = !damage.ended;
            if damage.ended {
                broken.get_or_insert(Break::Changed(damage.line));
            }
        }
        Ok(broken.map_or(Ok(()), Err))
    }

    fn take(&mut self, at: u64, line: &Line) -> Option<Break> {
        let follows = match &self.last {
            Some(last) => (line.number, &line.previous) == (last.number + 1, &last.hash),
            // Earlier lines may be in a file that was deleted.
            None => line.number > 1 || line.previous == Chain::default().hash,
        };
        if !follows {
            return Some(Break::Follows(at));
        }
        self.lines += 1;
        let (number, hash) = (line.number, line.hash.clone());
        self.last = Some(Chain { number, hash });
        let first = self.times.take().map(|(first, _)| first);
        let first = first.unwrap_or_else(|| line.time.clone());
        self.times = Some((first, line.time.clone()));
        None
    }
}

#[cfg(test)]
mod tests;
