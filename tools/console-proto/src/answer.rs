// SPDX-License-Identifier: MIT
//! Answers, and errors among them.

use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::status::Status;
use crate::who::Who;

/// The answer to a [`Request`](crate::Request).
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What is served.
    Status(Status),
    /// Every attached viewer.
    Who(Who),
    /// The request was carried out.
    Done {
        /// The request's name.
        done: &'static str,
        /// How many viewers a message reached.
        #[serde(skip_serializing_if = "Option::is_none")]
        viewers: Option<usize>,
    },
    /// The request failed.
    Error(Error),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Error {
    /// The version, in the answer to a request that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The reason, in words.
    pub error: String,
    /// The reason, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// A reason that a program can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request is malformed.
    BadRequest,
    /// There is no such domain.
    NoDomain,
    /// The domain has no such console now.
    NoConsole,
    /// Xenstore does not answer, so it is not known yet.
    NotKnown,
    /// The caller lacks the right.
    Denied,
    /// The limit of viewers is reached.
    TooMany,
    /// Another viewer types exclusively.
    Busy,
    /// A code of a newer version.
    #[serde(other)]
    Unknown,
}

impl Error {
    /// The answer to a request without a version.
    pub fn new(error: impl Into<String>) -> Self {
        Self {
            version: None,
            error: error.into(),
            code: None,
        }
    }

    /// The answer to an [`Attach`](crate::Attach).
    pub fn coded(code: Code, error: impl Into<String>) -> Self {
        Self {
            version: Some(VERSION),
            error: error.into(),
            code: Some(code),
        }
    }
}

/// An answer as sent, with its newline.
pub fn line(answer: &impl Serialize) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(answer).unwrap_or_else(|_| br#"{"error":"internal"}"#.to_vec());
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_as_documented() {
        for (error, wire) in [
            (Error::new("why"), r#"{"error":"why"}"#),
            (
                Error::coded(Code::NoDomain, "why"),
                r#"{"version":1,"error":"why","code":"no-domain"}"#,
            ),
        ] {
            assert_eq!(line(&error), format!("{wire}\n").as_bytes());
            assert_eq!(line(&Answer::Error(error.clone())), line(&error));
            assert_eq!(serde_json::from_str::<Error>(wire).unwrap(), error);
        }
        for (code, wire) in [
            (Code::BadRequest, "bad-request"),
            (Code::NoDomain, "no-domain"),
            (Code::NoConsole, "no-console"),
            (Code::NotKnown, "not-known"),
            (Code::Denied, "denied"),
            (Code::TooMany, "too-many"),
            (Code::Busy, "busy"),
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), wire);
        }
        let newer: Error = serde_json::from_str(r#"{"error":"why","code":"new"}"#).unwrap();
        assert_eq!(newer.code, Some(Code::Unknown));
    }
}
