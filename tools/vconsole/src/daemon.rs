// SPDX-License-Identifier: MIT
//! The daemon's control socket: a line asks, a line of JSON answers.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use console_proto::{Attach, Attached, Code, Error, Request, VERSION};
pub(crate) use console_proto::{Row, Status};

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer to a request other than `status`.
const LINE_MAX: usize = 4096;

/// The daemon, reached by its control socket.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    control: PathBuf,
}

impl Daemon {
    pub(crate) fn at(control: &Path) -> Self {
        Self {
            control: control.to_owned(),
        }
    }

    /// Whether there is, or was, one.
    pub(crate) fn is_known(&self) -> bool {
        self.control.exists()
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// The line that answers `status`, as it came.
    pub(crate) fn status_line(&self) -> anyhow::Result<String> {
        let ask = || {
            let mut stream = self.connect()?;
            stream.write_all(format!("{}\n", Request::Status).as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            Ok::<String, io::Error>(answer)
        };
        ask().with_context(|| self.to_string())
    }

    /// Every console it knows of.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        let line = self.status_line()?;
        let status: Status = serde_json::from_str(&line).context("an answer like no other")?;
        if status.version != VERSION {
            bail!(
                "the daemon speaks version {}, this program {VERSION}",
                status.version
            );
        }
        Ok(status)
    }

    /// Asks for a break on a console.
    pub(crate) fn send_break(&self, domid: u16, console: &str) -> anyhow::Result<()> {
        let console = format!("{domid}/{console}");
        let request = format!("{}\n", Request::Break(&console));
        let ask = || {
            let mut stream = self.connect()?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            BufReader::new(stream.take(LINE_MAX as u64)).read_until(b'\n', &mut answer)?;
            Ok::<Vec<u8>, io::Error>(answer)
        };
        let answer = ask().with_context(|| self.to_string())?;
        match serde_json::from_slice(&answer) {
            Ok(Error { error, .. }) => bail!("{error}"),
            Err(_) => Ok(()),
        }
    }

    /// Asks to be attached. The stream then carries frames.
    pub(crate) fn attach(&self, wanted: &Attach) -> Result<(Attached, UnixStream), Refusal> {
        let mut stream = self.connect()?;
        stream.write_all(&wanted.line())?;
        // Byte by byte: what follows the line is the stream's.
        let mut line = Vec::new();
        let mut byte = [0];
        while line.len() < LINE_MAX {
            stream.read_exact(&mut byte)?;
            if byte == *b"\n" {
                stream.set_nonblocking(true)?;
                return Ok((parse(&line)?, stream));
            }
            line.push(byte[0]);
        }
        Err(Refusal::Other("an answer without end".to_owned()))
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vconsoled at {}", self.control.display())
    }
}

/// Why there is nothing to view.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The daemon does not answer.
    Silent(io::Error),
    /// There is no such domain.
    NoDomain(String),
    /// The domain has no such console now.
    NoConsole(String),
    /// Xenstore does not answer the daemon.
    NotKnown(String),
    /// Something else that will not change by asking again.
    Other(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Silent(error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(error) => write!(f, "the daemon does not answer: {error}"),
            Self::NoDomain(why) | Self::NoConsole(why) | Self::NotKnown(why) | Self::Other(why) => {
                f.write_str(why)
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Attached, Refusal> {
    if let Ok(Error { error, code, .. }) = serde_json::from_slice(line) {
        return Err(match code {
            Some(Code::NoDomain) => Refusal::NoDomain(error),
            Some(Code::NoConsole) => Refusal::NoConsole(error),
            Some(Code::NotKnown) => Refusal::NotKnown(error),
            _ => Refusal::Other(error),
        });
    }
    serde_json::from_slice(line)
        .map_err(|error| Refusal::Other(format!("an answer like no other: {error}")))
}
