// SPDX-License-Identifier: MIT
//! Keys of the client.

use std::str::FromStr;

/// The default key that leaves the console: ^].
pub(super) const DEFAULT_ESCAPE: u8 = 0x1d;
/// The default menu key: ^T.
pub(super) const DEFAULT_MENU: u8 = 0x14;

/// The menu key, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MenuKey(pub(crate) Option<u8>);

impl FromStr for MenuKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "none" => Ok(Self(None)),
            _ => escape(text).map(|key| Self(Some(key))),
        }
    }
}

/// A key, literally or like `^]`.
pub(super) fn escape(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b'^', letter @ (b'@'..=b'_' | b'a'..=b'z')] => Ok(letter & 0x1f),
        [one] if one.is_ascii() => Ok(*one),
        [] => Ok(DEFAULT_ESCAPE),
        _ => Err(format!("{text:?} is neither one character nor like ^]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_characters_or_like_a_control_key() {
        for (text, code) in [
            ("^]", 0x1d),
            ("^a", 1),
            ("^A", 1),
            ("^@", 0),
            ("~", b'~'),
            ("^", b'^'),
        ] {
            assert_eq!(escape(text), Ok(code), "{text:?}");
        }
        for text in ["^1", "ab", "^^^", "\u{e9}"] {
            assert!(escape(text).is_err(), "{text:?}");
        }
    }
}
