// SPDX-License-Identifier: MIT
//! The section `[sessions]`: settings for all attached users.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::Config;

/// Settings for viewers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Sessions {
    /// Seconds without input after which a viewer that may type is disconnected;
    /// never if 0.
    pub idle_timeout: u32,
    /// Text for every viewer on the control socket.
    pub banner: Banner,
}

/// A text of some lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Banner(String);

/// Longest banner, in bytes: it is part of an answer.
const BANNER_MAX: usize = 1024;

impl<'de> Deserialize<'de> for Banner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_plain = |letter: char| letter == '\n' || !letter.is_control();
        if text.len() <= BANNER_MAX && text.chars().all(is_plain) {
            return Ok(Self(text.trim_end().to_owned()));
        }
        let expected = &"lines of at most 1024 bytes in all, without control characters";
        Err(D::Error::invalid_value(Unexpected::Str(&text), expected))
    }
}

impl Config {
    /// The banner of a console, by its domain's name and its own.
    #[must_use]
    pub fn banner(&self, domain: &str, console: &str) -> &str {
        let rules = self.rules.iter().rev();
        let mut fitting = rules.filter(|rule| rule.fits(domain, console));
        let special = fitting.find_map(|rule| rule.banner.as_ref());
        &special.unwrap_or(&self.sessions.banner).0
    }
}
