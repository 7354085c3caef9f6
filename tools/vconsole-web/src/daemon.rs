// SPDX-License-Identifier: MIT
//! Requests to vconsoled for a tenant, each on a connection of its own.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use console_proto::{Attach, Attached, Code, Error, Request, Row, Status, Tenant, VERSION};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// The timeout of a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer to `status`, and to other requests.
const STATUS_MAX: u64 = 4 << 20;
const LINE_MAX: usize = 4096;

/// The daemon, reached by its control socket.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    control: PathBuf,
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The daemon does not answer: a retry may help.
    Gone(io::Error),
    /// The daemon refused the request.
    Refused(Error),
}

impl Daemon {
    pub(crate) fn at(control: PathBuf) -> Self {
        Self { control }
    }

    /// The consoles that a tenant may see.
    pub(crate) async fn consoles(&self, tenant: &Tenant) -> Result<Vec<Row>, Trouble> {
        let status: Status = self.ask(tenant, Request::Status).await?;
        if status.version == VERSION {
            Ok(status.consoles)
        } else {
            Err(strange("the daemon uses another version of the protocol"))
        }
    }

    /// Sends a request that has no result.
    pub(crate) async fn order(&self, tenant: &Tenant, request: Request<'_>) -> Result<(), Trouble> {
        let _done: serde_json::Value = self.ask(tenant, request).await?;
        Ok(())
    }

    /// Attaches a tenant to a console; the stream then carries frames.
    pub(crate) async fn attach(
        &self,
        tenant: &Tenant,
        wanted: &Attach,
    ) -> Result<(Attached, UnixStream), Trouble> {
        let attach = async {
            let mut stream = self.connect(tenant, &wanted.line()).await?;
            // Byte by byte: the stream's frames follow the line.
            let mut line = Vec::new();
            while line.len() < LINE_MAX {
                match stream.read_u8().await? {
                    b'\n' => return Ok((line, stream)),
                    byte => line.push(byte),
                }
            }
            Err(io::Error::other("the answer is too long"))
        };
        let (line, stream) = within(attach).await?;
        Ok((parse(&line)?, stream))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        tenant: &Tenant,
        request: Request<'_>,
    ) -> Result<T, Trouble> {
        let ask = async {
            let line = format!("{request}\n");
            let stream = self.connect(tenant, line.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(STATUS_MAX).read_to_end(&mut answer).await?;
            Ok(answer)
        };
        let answer = within(ask).await?;
        if answer.is_empty() {
            return Err(Trouble::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        parse(&answer)
    }

    async fn connect(&self, tenant: &Tenant, request: &[u8]) -> io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.control).await?;
        let lines = [tenant.line().as_slice(), request].concat();
        stream.write_all(&lines).await?;
        Ok(stream)
    }
}

async fn within<T>(ask: impl Future<Output = io::Result<T>>) -> Result<T, Trouble> {
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    let answer = timeout(PATIENCE, ask).await.unwrap_or_else(late);
    answer.map_err(Trouble::Gone)
}

fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Trouble> {
    if let Ok(error) = serde_json::from_slice::<Error>(answer) {
        return Err(Trouble::Refused(error));
    }
    serde_json::from_slice(answer).map_err(|_| strange("the daemon's answer is invalid"))
}

fn strange(what: &str) -> Trouble {
    Trouble::Refused(Error::new(what))
}

impl Trouble {
    /// Whether the same request may succeed soon.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Gone(_) => true,
            Self::Refused(error) => matches!(
                error.code,
                Some(Code::NoDomain | Code::NoConsole | Code::NotKnown | Code::TooMany)
            ),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(error) => write!(f, "the console daemon does not answer: {error}"),
            Self::Refused(error) => f.write_str(&error.error),
        }
    }
}
