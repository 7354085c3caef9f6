// SPDX-License-Identifier: MIT
//! Requests that are a line of words. The one that is JSON is
//! [`Attach`](crate::Attach).

use std::fmt;

/// Longest request of either kind, in bytes.
pub const REQUEST_MAX: usize = 1024;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// What is served.
    Status,
    /// A break on the console of that name, `DOMID/CONSOLE`.
    Break(&'a str),
}

impl<'a> Request<'a> {
    /// The request that a line makes, which comes without its end.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        match std::str::from_utf8(line).ok()?.split_once(' ') {
            None if line == b"status" => Some(Self::Status),
            Some(("break", console)) => Some(Self::Break(console)),
            _ => None,
        }
    }
}

/// As a line, without its end.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Break(console) => write!(f, "break {console}"),
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
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Some(request));
            assert_eq!(request.to_string(), line);
        }
        for line in [&b""[..], b"Status", b"status ", b"break", b"\xff", b"{}"] {
            assert_eq!(Request::parse(line), None, "{line:?}");
        }
    }
}
