// SPDX-License-Identifier: MIT
//! What a viewer and the daemon say to each other on the control socket: a
//! line of JSON each, then frames (docs/vconsoled.md).

use serde::{Deserialize, Serialize};

/// The version of requests and answers.
pub(crate) const VERSION: u32 = 1;

/// Bytes of the stream, or typed.
pub(crate) const DATA: u8 = 1;
/// Bytes that the viewer was too slow for: how many, as a u64.
pub(crate) const LOST: u8 = 2;
/// The console is not served any more: why.
pub(crate) const ENDED: u8 = 3;
/// 0 for read-only, 1 for read-write.
pub(crate) const MODE: u8 = 4;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;
/// Longest payload other than data.
pub(crate) const PAYLOAD_MAX: usize = 256;

/// Whether what a viewer types reaches the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Mode {
    /// It does not.
    #[serde(rename = "ro")]
    ReadOnly,
    /// It does.
    #[default]
    #[serde(rename = "rw")]
    ReadWrite,
}

/// A request to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attach {
    /// The domain, by number,
    pub(crate) domid: Option<u16>,
    /// or by name.
    pub(crate) name: Option<String>,
    /// Which of its consoles.
    pub(crate) console: String,
    #[serde(default)]
    pub(crate) mode: Mode,
    /// How much of what was said before to show, in bytes.
    pub(crate) scrollback: Option<u64>,
    /// The stream of an earlier connection,
    pub(crate) stream: Option<String>,
    /// and how far that one got.
    pub(crate) from: Option<u64>,
}

impl Attach {
    /// What a line asks for; an error says what is wrong with it.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Line {
            version: u32,
            attach: serde_json::Value,
        }
        let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if line.version != VERSION {
            return Err(format!("version {} is not known", line.version));
        }
        let attach: Self =
            serde_json::from_value(line.attach).map_err(|error| error.to_string())?;
        if attach.domid.is_some() == attach.name.is_some() {
            return Err("either `domid` or `name` says which domain".to_owned());
        }
        Ok(attach)
    }
}

/// The answer to a viewer that is let in.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attached {
    pub(crate) version: u32,
    pub(crate) domid: u16,
    pub(crate) name: String,
    pub(crate) console: String,
    /// The kind of ring.
    pub(crate) kind: String,
    pub(crate) mode: Mode,
    pub(crate) stream: String,
    /// Where the stream's first byte belongs.
    pub(crate) position: u64,
    /// Where history ends at this moment.
    pub(crate) end: u64,
}

/// The answer to one that is not.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refused {
    pub(crate) version: u32,
    pub(crate) error: String,
    /// `bad-request`, `no-domain`, `no-console` or `too-many`.
    pub(crate) code: &'static str,
}

impl Refused {
    pub(crate) fn new(code: &'static str, error: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            error: error.into(),
            code,
        }
    }
}

/// An answer as it is sent.
pub(crate) fn line(answer: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(answer).unwrap_or_else(|_| b"{}".to_vec());
    line.push(b'\n');
    line
}

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&[kind][..], &length.to_le_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let line = br#"{"version":1,"attach":{"domid":3,"console":"pv0","mode":"ro",
            "scrollback":0,"stream":"s","from":7}}"#;
        let attach = Attach::parse(line).unwrap();
        assert_eq!((attach.domid, attach.mode), (Some(3), Mode::ReadOnly));
        assert_eq!((attach.scrollback, attach.from), (Some(0), Some(7)));
        let short = br#"{"version":1,"attach":{"name":"web","console":"vuart0"}}"#;
        let attach = Attach::parse(short).unwrap();
        assert_eq!(attach.mode, Mode::ReadWrite);
        assert_eq!((attach.scrollback, attach.stream), (None, None));
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
                r#"{"version":1,"attach":{"console":"pv0","domid":1,"x":1}}"#,
                "`x`",
            ),
        ] {
            let why = Attach::parse(line.as_bytes()).unwrap_err();
            assert!(why.contains(words), "{line}: {why}");
        }
    }

    #[test]
    fn frames_are_as_documented() {
        assert_eq!(frame(1, b"abc"), b"\x01\x03\0\0\0abc");
        assert_eq!(
            frame(2, &258_u64.to_le_bytes()),
            b"\x02\x08\0\0\0\x02\x01\0\0\0\0\0\0"
        );
    }
}
