// SPDX-License-Identifier: MIT
//! A tenant: a person without an account on the host, named by a service in a line
//! before its request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name, in bytes.
const NAME_MAX: usize = 128;
/// The prefix of the line.
const WORD: &[u8] = b"as ";

/// The name of a tenant: text on one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct Tenant(String);

impl Tenant {
    /// A tenant, if the name is valid.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_name = !name.is_empty()
            && name.len() <= NAME_MAX
            && name.trim() == name
            && !name.chars().any(char::is_control);
        is_name.then(|| Self(name.to_owned()))
    }

    /// Whether a line without its newline begins as one that names a tenant.
    #[must_use]
    pub fn is_named_by(line: &[u8]) -> bool {
        line.starts_with(WORD)
    }

    /// Parses the line that names a tenant.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let name = line.strip_prefix(WORD)?;
        Self::new(std::str::from_utf8(name).ok()?)
    }

    /// The line that names the tenant, with its newline.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        [WORD, self.0.as_bytes(), b"\n"].concat()
    }
}

impl TryFrom<String> for Tenant {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name).ok_or("the name of a tenant: 1 to 128 bytes on one line")
    }
}

impl AsRef<str> for Tenant {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_tenant() {
        for name in ["alice", "alice@example.com", "Alice Ä", &"a".repeat(128)] {
            let tenant = Tenant::new(name).unwrap();
            let line = tenant.line();
            let (end, line) = line.split_last().unwrap();
            assert_eq!(*end, b'\n');
            assert!(Tenant::is_named_by(line));
            assert_eq!(Tenant::parse(line), Some(tenant));
        }
        for name in ["", " a", "a ", "a\nb", "a\u{7f}", &"a".repeat(129)] {
            assert_eq!(Tenant::new(name), None, "{name:?}");
        }
        assert_eq!(Tenant::parse(b"as \xff"), None);
        assert!(!Tenant::is_named_by(b"status"));
    }
}
