// SPDX-License-Identifier: MIT
//! Requests that are a line of words. The request in JSON is
//! [`Attach`](crate::Attach).

use std::fmt;

/// Longest request of either kind, in bytes.
pub const REQUEST_MAX: usize = 1024;

/// A client's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Every served console.
    Status,
    /// A break on the console of that name, `DOMID/CONSOLE`.
    Break(&'a str),
    /// Every attached viewer.
    Who,
    /// A message to the viewers of some consoles.
    Message(To<'a>, &'a str),
}

/// The viewers that get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To<'a> {
    /// Those of every console.
    All,
    /// Those of a domain, `DOMID`, or of one of its consoles, `DOMID/CONSOLE`.
    Some(&'a str),
}

/// The word for every console.
const ALL: &str = "all";

/// Longest message, in bytes.
pub const MESSAGE_MAX: usize = 200;

impl<'a> Request<'a> {
    /// Parses a line without its newline.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        match std::str::from_utf8(line).ok()?.split_once(' ') {
            None if line == b"status" => Some(Self::Status),
            None if line == b"who" => Some(Self::Who),
            Some(("break", console)) => Some(Self::Break(console)),
            Some(("message", rest)) => {
                let (to, text) = rest.split_once(' ')?;
                let to = if to == ALL { To::All } else { To::Some(to) };
                Some(Self::Message(to, text))
            }
            _ => None,
        }
    }
}

/// As a line, without its newline.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Break(console) => write!(f, "break {console}"),
            Self::Who => f.write_str("who"),
            Self::Message(to, text) => {
                let to = match to {
                    To::All => ALL,
                    To::Some(console) => console,
                };
                write!(f, "message {to} {text}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_words() {
        for (line, request) in [
            ("status", Request::Status),
            ("break 3/vuart0", Request::Break("3/vuart0")),
            ("break ", Request::Break("")),
            ("who", Request::Who),
            ("message all a b", Request::Message(To::All, "a b")),
            ("message 3 ", Request::Message(To::Some("3"), "")),
            ("message 3/pv0 x", Request::Message(To::Some("3/pv0"), "x")),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Some(request));
            assert_eq!(request.to_string(), line);
        }
        for line in [
            &b""[..],
            b"Status",
            b"status ",
            b"break",
            b"who ",
            b"message",
            b"message 3",
            b"\xff",
            b"{}",
        ] {
            assert_eq!(Request::parse(line), None, "{line:?}");
        }
    }
}
