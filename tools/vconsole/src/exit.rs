// SPDX-License-Identifier: MIT
//! The exit codes of `vconsole` (docs/reference/client.md).

use std::fmt;

/// Why the program did not do what it was asked for. A user who leaves has had
/// what they wanted: that is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Something else; 2 is for words that mean nothing.
    Other = 1,
    /// There is no such domain, console or log.
    Missing = 3,
    /// The caller may not.
    Denied = 4,
    /// The domain has ended.
    Gone = 5,
    /// Nothing was typed for too long.
    Idle = 6,
    /// Somebody else types alone, or too many are attached.
    Busy = 7,
    /// The daemon does not answer, or does not know yet.
    Silent = 8,
    /// What was waited for did not come in time.
    Late = 9,
}

/// An error that has a code of its own.
#[derive(Debug)]
struct Exit {
    why: Why,
    /// For people; nothing if they were told.
    text: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Exit {}

/// An error with the code that says why.
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
    fn a_code_outlives_what_is_said_around_it() {
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
