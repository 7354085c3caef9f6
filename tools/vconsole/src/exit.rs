// SPDX-License-Identifier: MIT
//! The exit codes of `vconsole` (docs/reference/client.md).

use std::fmt;

/// Why the program failed. If the user leaves, the code is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Another error; 2 is for an invalid command line.
    Other = 1,
    /// There is no such domain, console or log.
    Missing = 3,
    /// The caller does not have the right.
    Denied = 4,
    /// The domain has ended.
    Gone = 5,
    /// Nothing was typed for too long.
    Idle = 6,
    /// Another user types exclusively, or too many are attached.
    Busy = 7,
    /// The daemon does not answer, or does not have the answer yet.
    Silent = 8,
    /// What was waited for did not come in time.
    Late = 9,
}

/// An error with an exit code.
#[derive(Debug)]
struct Exit {
    why: Why,
    /// The message; empty if the user has already seen it.
    text: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Exit {}

/// An error with the code for `why`.
pub(crate) fn because(why: Why, text: impl fmt::Display) -> anyhow::Error {
    let text = text.to_string();
    Exit { why, text }.into()
}

/// The code of an error.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    let why = error
        .downcast_ref()
        .map_or(Why::Other, |exit: &Exit| exit.why);
    why as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn an_exit_code_outlives_added_context() {
        let error = because(Why::Denied, "no");
        assert_eq!((code(&error), error.to_string()), (4, "no".to_owned()));
        let error = Err::<(), _>(error).context("around").unwrap_err();
        assert_eq!(
            (code(&error), format!("{error:#}")),
            (4, "around: no".to_owned())
        );
        assert_eq!(code(&anyhow::anyhow!("else")), 1);
    }
}
