// SPDX-License-Identifier: MIT
//! The audit file, whose lines are a chain ([`console_proto::audit`]). It
//! continues where the last daemon ended, in a new file if the old one was moved,
//! and also after an incomplete line.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use console_proto::audit::{Chain, End, TORN, end};

use super::event::{Event, Stamped};
use super::outlet::Done;
use crate::sink::log::file::LogFile;

/// The file and its chain.
pub(super) struct AuditFile {
    path: PathBuf,
    file: Option<LogFile>,
    /// The end of the chain, once it is known.
    chain: Option<Chain>,
    /// The failure was reported.
    failed: bool,
}

impl AuditFile {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: None,
            chain: None,
            failed: false,
        }
    }

    /// Writes an event, or reports the error once.
    pub(super) fn write(&mut self, event: &Stamped) -> Done {
        let written = self.try_write(event);
        let failed = std::mem::replace(&mut self.failed, written.is_err());
        match written {
            Ok(()) => Done::Written,
            Err(error) => {
                if !failed {
                    tracing::error!("{}: {error}; the audit waits", self.path.display());
                }
                Done::Again
            }
        }
    }

    fn try_write(&mut self, event: &Stamped) -> io::Result<()> {
        if !self.file.as_ref().is_some_and(LogFile::is_in_place) {
            self.open()?;
        }
        let (Some(file), Some(chain)) = (&mut self.file, &mut self.chain) else {
            return Ok(());
        };
        let (line, next) = chain.seal(event)?;
        let before = file.extent();
        let written = file.append(line.as_bytes());
        if written.is_ok() {
            *chain = next;
        } else if file.look().is_err() || file.extent() != before {
            // A part was written; the next line must report that.
            self.file = None;
        }
        written
    }

    fn open(&mut self) -> io::Result<()> {
        let mut file = LogFile::open(&self.path)?;
        let End { chain, torn, ends } = end(BufReader::new(File::open(&self.path)?))?;
        let chain = match (&self.chain, chain) {
            // This takes precedence over the file's content.
            (Some(own), _) => own.clone(),
            (None, Some(left)) => left,
            (None, None) => self.rotated()?,
        };
        let mut rest = if ends { "\n".to_owned() } else { String::new() };
        let chain = match torn {
            Some(torn) => {
                let event = Stamped::now(Event::new(TORN).with(TORN, torn));
                let (line, next) = chain.seal(&event)?;
                rest += &line;
                next
            }
            None => chain,
        };
        file.append(rest.as_bytes())?;
        (self.file, self.chain) = (Some(file), Some(chain));
        Ok(())
    }

    /// The end of the chain in the file moved by rotation.
    fn rotated(&self) -> io::Result<Chain> {
        let mut path = self.path.clone().into_os_string();
        path.push(".1");
        let chain = match File::open(path) {
            Ok(file) => end(BufReader::new(file))?.chain,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(chain.unwrap_or_default())
    }
}
