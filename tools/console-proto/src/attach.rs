// SPDX-License-Identifier: MIT
//! How a connection is attached to a console.

use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::answer::line;

/// Whether what a viewer types reaches the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Mode {
    /// It does not.
    #[serde(rename = "ro")]
    ReadOnly,
    /// It does.
    #[default]
    #[serde(rename = "rw")]
    ReadWrite,
}

/// Which domain is meant.
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
    /// How far that connection got.
    pub from: u64,
}

/// A request to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Fields")]
pub struct Attach {
    /// Which domain.
    #[serde(flatten)]
    pub domain: Domain,
    /// Which of its consoles.
    pub console: String,
    /// What the viewer may do.
    pub mode: Mode,
    /// How much earlier output to show, in bytes; the daemon's choice without
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrollback: Option<u64>,
    /// Where an earlier connection got to.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Where the user says to come from, such as an address: nothing is decided
    /// by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Nobody else is to type meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<Exclusive>,
}

/// How a viewer comes to be the only one who types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusive {
    /// If nobody else is that already.
    IfFree,
    /// In place of whoever is.
    Force,
}

/// A request with its version.
#[derive(Deserialize, Serialize)]
struct Line<T> {
    version: u32,
    attach: T,
}

/// A request as it is read: an unknown field is an error.
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
    /// What a line asks for; an error says what is wrong with it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let line: Line<serde_json::Value> =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if line.version != VERSION {
            return Err(format!("version {} is not known", line.version));
        }
        serde_json::from_value(line.attach).map_err(|error| error.to_string())
    }

    /// The line that asks for it.
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
    /// Its name.
    pub name: String,
    /// Which of its consoles.
    pub console: String,
    /// The kind of ring.
    pub kind: String,
    /// What the viewer may do.
    pub mode: Mode,
    /// Tells the console's output from that of any other.
    pub stream: String,
    /// Where the first byte to come belongs.
    pub position: u64,
    /// Where the output ends at this moment.
    pub end: u64,
    /// Other domains of the name that was asked for; the newest is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<u16>,
    /// What the operator has everybody told.
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
    fn what_is_wrong_with_a_request_is_said() {
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
