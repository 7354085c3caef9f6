// SPDX-License-Identifier: MIT
//! The daemon's control socket: one line per request, one line of JSON per answer.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use console_proto::{Attach, Attached, Code, Error, Request, To, VERSION};
pub(crate) use console_proto::{Row, Status};

use crate::exit::{self, Why};

/// The timeout of a request.
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

    /// Whether the control socket's file exists.
    pub(crate) fn is_known(&self) -> bool {
        self.control.exists()
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// The answer to `status`, unparsed.
    pub(crate) fn status_line(&self) -> anyhow::Result<String> {
        self.ask_list(Request::Status)
    }

    /// The answer to a request, unparsed, unless it is an error.
    pub(crate) fn ask_list(&self, request: Request) -> anyhow::Result<String> {
        let line = self.ask(request, u64::MAX)?;
        match serde_json::from_str(&line) {
            Ok(error) => Err(Refusal::of(error).into()),
            Err(_) => Ok(line),
        }
    }

    fn ask(&self, request: Request, most: u64) -> anyhow::Result<String> {
        let ask = || {
            let mut stream = self.connect()?;
            stream.write_all(format!("{request}\n").as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream.take(most)).read_line(&mut answer)?;
            Ok::<String, io::Error>(answer)
        };
        ask().map_err(|error| exit::because(Why::Silent, format!("{self}: {error}")))
    }

    /// All consoles of the daemon.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        let line = self.status_line()?;
        let status: Status =
            serde_json::from_str(&line).context("invalid answer from the daemon")?;
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
        self.order(Request::Break(&console)).map(drop)
    }

    /// Sends a message to viewers; returns how many there are.
    pub(crate) fn message(&self, to: To, text: &str) -> anyhow::Result<u64> {
        let answer = self.order(Request::Message(to, text))?;
        Ok(answer["viewers"].as_u64().unwrap_or_default())
    }

    fn order(&self, request: Request) -> anyhow::Result<serde_json::Value> {
        let answer = self.ask(request, LINE_MAX as u64)?;
        match serde_json::from_str(&answer) {
            Ok(error) => Err(Refusal::of(error).into()),
            Err(_) => serde_json::from_str(&answer).context("invalid answer from the daemon"),
        }
    }

    /// Attaches. Afterwards the stream carries frames.
    pub(crate) fn attach(&self, wanted: &Attach) -> Result<(Attached, UnixStream), Refusal> {
        let mut stream = self.connect()?;
        stream.write_all(&wanted.line())?;
        // Byte by byte: the stream's frames follow the line.
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
        Err(Refusal::Other("the answer is too long".to_owned()))
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vconsoled at {}", self.control.display())
    }
}

/// Why a console cannot be attached.
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
    /// The caller does not have the right.
    Denied(String),
    /// Another user types exclusively, or too many are attached.
    Busy(String),
    /// Another error, for which a retry does not help.
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
            Self::NoDomain(why)
            | Self::NoConsole(why)
            | Self::NotKnown(why)
            | Self::Denied(why)
            | Self::Busy(why)
            | Self::Other(why) => f.write_str(why),
        }
    }
}

impl Refusal {
    fn of(error: Error) -> Self {
        let why = error.error;
        match error.code {
            Some(Code::NoDomain) => Self::NoDomain(why),
            Some(Code::NoConsole) => Self::NoConsole(why),
            Some(Code::NotKnown) => Self::NotKnown(why),
            Some(Code::Denied) => Self::Denied(why),
            Some(Code::Busy | Code::TooMany) => Self::Busy(why),
            _ => Self::Other(why),
        }
    }
}

impl From<Refusal> for anyhow::Error {
    fn from(refusal: Refusal) -> Self {
        let why = match &refusal {
            Refusal::NoDomain(_) | Refusal::NoConsole(_) => Why::Missing,
            Refusal::Denied(_) => Why::Denied,
            Refusal::Busy(_) => Why::Busy,
            Refusal::Silent(_) | Refusal::NotKnown(_) => Why::Silent,
            Refusal::Other(_) => Why::Other,
        };
        exit::because(why, refusal)
    }
}

fn parse(line: &[u8]) -> Result<Attached, Refusal> {
    if let Ok(error) = serde_json::from_slice(line) {
        return Err(Refusal::of(error));
    }
    serde_json::from_slice(line)
        .map_err(|error| Refusal::Other(format!("invalid answer from the daemon: {error}")))
}
