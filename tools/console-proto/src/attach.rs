// SPDX-License-Identifier: MIT
//! The request that attaches a connection to a console, and its answer.

use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::answer::line;

/// Whether a viewer's input reaches the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Mode {
    /// No.
    #[serde(rename = "ro")]
    ReadOnly,
    /// Yes.
    #[default]
    #[serde(rename = "rw")]
    ReadWrite,
}

/// The domain of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Domain {
    /// By number.
    #[serde(rename = "domid")]
    Id(u16),
    /// By name.
    #[serde(rename = "name")]
    Name(String),
}

/// A place in the output of a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resume {
    /// The stream of an earlier connection.
    pub stream: String,
    /// The position that connection reached.
    pub from: u64,
}

/// A request to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Fields")]
pub struct Attach {
    /// Which domain.
    #[serde(flatten)]
    pub domain: Domain,
    /// The console of that domain.
    pub console: String,
    /// The viewer's mode.
    pub mode: Mode,
    /// How much earlier output to show, in bytes; without it, the daemon's
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrollback: Option<u64>,
    /// The position that an earlier connection reached.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// The user's origin as the client states it, such as an address. No decision
    /// depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Exclusive input: no other viewer may type meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<Exclusive>,
}

/// How a viewer gets exclusive input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusive {
    /// If no other viewer has it.
    IfFree,
    /// In place of the viewer that has it.
    Force,
}

/// A request with its version.
#[derive(Deserialize, Serialize)]
struct Line<T> {
    version: u32,
    attach: T,
}

/// The fields of a request; an unknown field is an error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    domid: Option<u16>,
    name: Option<String>,
    console: String,
    #[serde(default)]
    mode: Mode,
    scrollback: Option<u64>,
    stream: Option<String>,
    from: Option<u64>,
    origin: Option<String>,
    exclusive: Option<Exclusive>,
}

impl TryFrom<Fields> for Attach {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let domain = match (fields.domid, fields.name) {
            (Some(domid), None) => Domain::Id(domid),
            (None, Some(name)) => Domain::Name(name),
            _ => return Err("either `domid` or `name` says which domain"),
        };
        Ok(Self {
            domain,
            console: fields.console,
            mode: fields.mode,
            scrollback: fields.scrollback,
            origin: fields.origin,
            exclusive: fields.exclusive,
            resume: (fields.stream.zip(fields.from)).map(|(stream, from)| Resume { stream, from }),
        })
    }
}

impl Attach {
    /// Parses a request. The error describes the fault.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line<serde_json::Value> =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if line.version != VERSION {
            return Err(format!("version {} is not known", line.version));
        }
        serde_json::from_value(line.attach).map_err(|error| error.to_string())
    }

    /// The request's line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        line(&Line {
            version: VERSION,
            attach: self,
        })
    }
}

/// The answer to a viewer that is attached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Attached {
    /// The version of the protocol.
    pub version: u32,
    /// The domain.
    pub domid: u16,
    /// The domain's name.
    pub name: String,
    /// The console.
    pub console: String,
    /// The kind of ring.
    pub kind: String,
    /// The viewer's mode.
    pub mode: Mode,
    /// Identifies this console's output.
    pub stream: String,
    /// Position of the first byte to come.
    pub position: u64,
    /// Position of the end of the output now.
    pub end: u64,
    /// Other domains with the requested name; the newest is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<u16>,
    /// The operator's banner for all viewers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub banner: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let line = br#"{"version":1,"attach":{"domid":3,"console":"pv0","mode":"ro",
            "scrollback":0,"stream":"s","from":7,"origin":"192.0.2.1 50000",
            "exclusive":"if-free"}}"#;
        let attach = Attach::parse(line).unwrap();
        assert_eq!(
            (&attach.domain, attach.mode),
            (&Domain::Id(3), Mode::ReadOnly)
        );
        let resume = Resume {
            stream: "s".into(),
            from: 7,
        };
        assert_eq!(
            (attach.scrollback, &attach.resume),
            (Some(0), &Some(resume))
        );
        assert_eq!(attach.origin.as_deref(), Some("192.0.2.1 50000"));
        assert_eq!(attach.exclusive, Some(Exclusive::IfFree));
        assert_eq!(Attach::parse(&attach.line()).unwrap(), attach);
        let short = br#"{"version":1,"attach":{"name":"web","console":"vuart0"}}"#;
        let attach = Attach::parse(short).unwrap();
        assert_eq!(attach.mode, Mode::ReadWrite);
        assert_eq!((attach.scrollback, &attach.resume), (None, &None));
        assert_eq!(
            attach.line(),
            b"{\"version\":1,\"attach\":{\"name\":\"web\",\"console\":\"vuart0\",\"mode\":\"rw\"}}\n"
        );
    }

    #[test]
    fn an_invalid_request_gets_a_message() {
        for (line, words) in [
            ("{", "EOF"),
            ("{}", "version"),
            (r#"{"version":2,"attach":{}}"#, "version 2"),
            (r#"{"version":1}"#, "attach"),
            (r#"{"version":1,"attach":{"domid":1}}"#, "console"),
            (r#"{"version":1,"attach":{"console":"pv0"}}"#, "domid"),
            (
                r#"{"version":1,"attach":{"console":"pv0","domid":1,"name":"a"}}"#,
                "either",
            ),
            (
                r#"{"version":1,"attach":{"console":"pv0","domid":70000}}"#,
                "70000",
            ),
            (
                r#"{"version":1,"attach":{"console":"pv0","domid":1,"mode":"w"}}"#,
                "`w`",
            ),
            (
                r#"{"version":1,"attach":{"console":"pv0","domid":1,"exclusive":"yes"}}"#,
                "if-free",
            ),
            (
                r#"{"version":1,"attach":{"console":"pv0","domid":1,"x":1}}"#,
                "`x`",
            ),
        ] {
            let why = Attach::parse(line.as_bytes()).unwrap_err();
            assert!(why.contains(words), "{line}: {why}");
        }
    }
}
