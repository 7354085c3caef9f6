// SPDX-License-Identifier: MIT
//! Names from xenstore that may become part of a file's name.

/// Longest name of a domain that names a file, in bytes.
const NAME_MAX: usize = 128;

/// Whether a domain's name can be part of a file's name as it is.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with('.')
        && !name.chars().any(|one| one == '/' || one.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_lead_elsewhere_are_not_plain() {
        for name in ["guest", "web-1", "a b", "\u{fc}ber"] {
            assert!(is_plain(name), "{name:?}");
        }
        for name in [
            "",
            "..",
            ".hidden",
            "a/b",
            "../../etc/x",
            "a\nb",
            "a\0b",
            &"x".repeat(129),
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
