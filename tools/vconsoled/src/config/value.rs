// SPDX-License-Identifier: MIT
//! Structured values of the configuration file, checked when they are read.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wildmatch::WildMatch;

/// Bytes, written as a number or as `64KiB`, `16MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(&str, u32); 3] = [("KiB", 10), ("MiB", 20), ("GiB", 30)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .rev()
            .find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match unit {
            Some((name, shift)) => write!(f, "{}{name}", self.0 >> shift),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (digits, shift) = UNITS
            .iter()
            .find_map(|(name, shift)| Some((text.strip_suffix(name)?, *shift)))
            .unwrap_or((text, 0));
        let number: u64 = digits.trim_end().parse().map_err(drop)?;
        number.checked_mul(1 << shift).map(Self).ok_or(())
    }
}

impl Size {
    /// The size as a length in memory.
    #[must_use]
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl Visitor<'_> for Sizes {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or one with a unit such as \"64KiB\" or \"16MiB\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Size, E> {
                let size = u64::try_from(number).map(Size);
                size.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Size, E> {
                Ok(Size(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                let size = text.parse();
                size.map_err(|()| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Sizes)
    }
}

/// Limit of the input rate: bytes per second, 0 for no limit, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputRate {
    /// No limit.
    #[default]
    Unlimited,
    /// The rate of the line as the guest has set it.
    Auto,
    /// At most this many bytes per second.
    Bytes(NonZeroU32),
}

const AUTO: &str = "auto";

impl Serialize for InputRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => 0.serialize(serializer),
            Self::Auto => AUTO.serialize(serializer),
            Self::Bytes(rate) => rate.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for InputRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rates;
        impl Visitor<'_> for Rates {
            type Value = InputRate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes a second, such as 11520, 0 for no limit, or \"auto\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<InputRate, E> {
                let rate = u32::try_from(number)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
                Ok(NonZeroU32::new(rate).map_or(InputRate::Unlimited, InputRate::Bytes))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<InputRate, E> {
                match text {
                    AUTO => Ok(InputRate::Auto),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Rates)
    }
}

/// A file's permissions, written in octal in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(pub u32);

/// Access for the owner alone.
impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for SocketMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SocketMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Modes;
        impl Visitor<'_> for Modes {
            type Value = SocketMode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octal permissions between quotes, such as \"0660\" or \"0600\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SocketMode, E> {
                match u32::from_str_radix(text, 8) {
                    Ok(mode) if mode <= 0o777 => Ok(SocketMode(mode)),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Modes)
    }
}

/// A pattern for names: `*` matches any text, `?` any one character.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(WildMatch);

impl Pattern {
    /// The pattern of a text, unless it is empty.
    pub(super) fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(WildMatch::new(text)))
    }

    /// Whether a name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Default for Pattern {
    fn default() -> Self {
        Self(WildMatch::new("*"))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = &"a pattern for names, such as \"web-*\"";
        Self::new(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

/// An absolute path.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    checked_path(String::deserialize(deserializer)?)
}

/// Absolute paths.
pub(super) fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.into_iter().map(checked_path).collect()
}

fn checked_path<E: Error>(text: String) -> Result<PathBuf, E> {
    if Path::new(&text).is_absolute() {
        return Ok(text.into());
    }
    Err(E::invalid_value(
        Unexpected::Str(&text),
        &"a path, which must start with /",
    ))
}

/// A path, or an empty text for none.
pub(super) mod optional_path {
    use super::{Deserialize, Deserializer, Path, PathBuf, Serialize, Serializer, checked_path};

    #[expect(clippy::ref_option, reason = "what serde's `with` calls")]
    pub(in super::super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_deref()
            .unwrap_or(Path::new(""))
            .serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        match String::deserialize(deserializer)? {
            text if text.is_empty() => Ok(None),
            text => checked_path(text).map(Some),
        }
    }
}

/// An address and a port, or an empty text for none.
pub(super) mod optional_address {
    use std::net::SocketAddr;

    use super::{Deserialize, Deserializer, Error, Serialize, Serializer, Unexpected};

    #[expect(clippy::ref_option, reason = "what serde's `with` calls")]
    pub(in super::super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = address.map(|address| address.to_string());
        text.unwrap_or_default().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        let expected = &"an address and a port, such as \"127.0.0.1:9758\" or \"[::1]:9758\"";
        let address = text.parse().map(Some);
        address.map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

/// The name or number of a user or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || !is_name(&text) {
            let expected = &"the name of a user or group";
            return Err(D::Error::invalid_value(Unexpected::Str(&text), expected));
        }
        Ok(Self(text))
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-$".contains(c);
    text.chars().all(plain) && !text.starts_with('-')
}

/// The name or number of a user or group, or an empty text for none.
pub(super) mod optional_name {
    use super::{Deserialize, Deserializer, Error, Serialize, Serializer, Unexpected, is_name};

    #[expect(clippy::ref_option, reason = "what serde's `with` calls")]
    pub(in super::super) fn serialize<S: Serializer>(
        name: &Option<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        name.as_deref().unwrap_or_default().serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<String>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !is_name(&text) {
            let expected = &"the name of a user or group";
            return Err(D::Error::invalid_value(Unexpected::Str(&text), expected));
        }
        Ok((!text.is_empty()).then_some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("64KiB", 65536),
            ("64 KiB", 65536),
            ("3MiB", 3 << 20),
            ("2GiB", 2 << 30),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size, Size(bytes), "{text}");
            assert_eq!(size.to_string().parse(), Ok(size), "{text}");
        }
        for text in ["", "KiB", "1KB", "1 k", "-1", "1.5MiB", "99999999999GiB"] {
            assert_eq!(text.parse::<Size>(), Err(()), "{text}");
        }
    }
}
