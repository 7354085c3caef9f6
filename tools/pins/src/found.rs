// SPDX-License-Identifier: MIT
//! The result of fetching a pin, and its message.

use std::path::PathBuf;

use anyhow::anyhow;

use crate::lock::Pin;

/// A pin that no origin has any more. Steps that need it cannot run on any machine.
#[derive(Debug, thiserror::Error)]
#[error("{pin} is not available:\n  {}\n{HELP}", tried.join("\n  "))]
pub struct Unavailable {
    pin: String,
    /// Each origin and its result.
    tried: Vec<String>,
}

const HELP: &str = "\
Give a folder that holds the file with --from DIR, use a snapshot archive with \
--snapshot URL, or move the pin with `cargo xtask pins update` (docs/reference/pins.md).";

/// An origin without the pin.
#[derive(Debug)]
pub struct Attempt {
    pub(crate) origin: String,
    pub(crate) said: String,
    /// Whether the origin answered that it does not have the file.
    pub(crate) gone: bool,
}

impl Attempt {
    pub(crate) fn gone(origin: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            said: said.into(),
            gone: true,
        }
    }

    pub(crate) fn failed(origin: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            gone: false,
            ..Self::gone(origin, said)
        }
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.said)
    }
}

/// The result of looking for a pin.
#[derive(Debug)]
pub struct Found<'a> {
    /// The pin.
    pub pin: &'a Pin,
    /// The file in the store, and where it came from.
    pub file: Option<(PathBuf, String)>,
    /// The origins without it.
    pub tried: Vec<Attempt>,
}

impl Found<'_> {
    /// Why the pin was not found, and whether the mirror is out of reach.
    #[must_use]
    pub fn error(&self) -> anyhow::Error {
        let error = explain(&self.pin.to_string(), &self.tried);
        let mut said = self.tried.iter().map(|attempt| attempt.said.as_str());
        match said.find_map(offline) {
            Some(offline) if !error.is::<Unavailable>() => offline.context(error.to_string()),
            _ => error,
        }
    }
}

/// An error for a mirror out of reach, if apt reported one.
#[must_use]
pub fn offline(said: &str) -> Option<anyhow::Error> {
    const SIGNS: [&str; 6] = [
        "Could not resolve",
        "Temporary failure resolving",
        "Could not connect",
        "Connection failed",
        "Unable to connect",
        "Network is unreachable",
    ];
    let is_sign = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    let line = said.lines().rev().find(is_sign)?;
    Some(anyhow!(
        "apt cannot reach its package mirror: {}\n\
         Connect this machine, or set its proxy (Acquire::http::Proxy), and run this again; \
         what was fetched before is kept.",
        line.trim()
    ))
}

/// [`Unavailable`] only if no origin failed: a mirror out of reach, or one with other
/// contents, does not mean that the file is gone elsewhere.
fn explain(pin: &str, tried: &[Attempt]) -> anyhow::Error {
    let unavailable = Unavailable {
        pin: pin.to_owned(),
        tried: tried.iter().map(Attempt::to_string).collect(),
    };
    if tried.iter().all(|attempt| attempt.gone) {
        unavailable.into()
    } else {
        anyhow!("{unavailable}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_no_source_has_is_unavailable() {
        let is_unavailable = |tried: &[Attempt]| explain("n 1", tried).is::<Unavailable>();
        let gone = || Attempt::gone("the pool", "404");
        assert!(is_unavailable(&[gone(), gone()]));
        let failed = Attempt::failed("the index", "Could not connect");
        assert!(!is_unavailable(&[gone(), failed]));
    }
}
