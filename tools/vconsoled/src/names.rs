// SPDX-License-Identifier: MIT
//! Names from xenstore that may become part of a file's name.

use xen_io::DomId;

/// Longest domain name in a file name, in bytes.
const NAME_MAX: usize = 128;

/// Whether a domain's name can be part of a file's name as it is.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with('.')
        && !name.chars().any(|one| one == '/' || one.is_control())
}

/// Names for a file of a console with that ending, the best one first. It may be
/// taken by another console: two domains can have the same name, and one's name
/// can look like a console of the other. So further names contain the domid.
pub(crate) fn files(
    domid: DomId,
    name: &str,
    suffix: &str,
    ending: &'static str,
) -> impl Iterator<Item = String> + Clone + use<> {
    let stem = if is_plain(name) {
        format!("guest-{name}{suffix}")
    } else {
        format!("guest-dom{domid}{suffix}")
    };
    (0_u64..).map(move |number| match number {
        0 => format!("{stem}.{ending}"),
        1 => format!("{stem}.dom{domid}.{ending}"),
        more => format!("{stem}.dom{domid}-{more}.{ending}"),
    })
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
