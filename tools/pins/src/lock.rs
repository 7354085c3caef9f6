// SPDX-License-Identifier: MIT
//! The lock file: each pinned file with its size and digest, and the sets that
//! it belongs to.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// The text above the pins.
const HEADER: &str = "\
# SPDX-License-Identifier: MIT
# Every file from outside, by digest. `cargo xtask pins update` writes this from
# packages.toml; docs/reference/pins.md says how the files are fetched.

";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The package, binary or source.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's name of the architecture, `all` or `source`.
    pub architecture: String,
    /// The release whose index listed it.
    pub release: String,
    /// A day on which it was listed, for requests to the snapshot archive.
    pub date: String,
    /// Path below the mirror's root.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest in hexadecimal.
    pub sha256: String,
    /// The sets that it belongs to.
    pub sets: Vec<String>,
}

impl Pin {
    /// The file's name in the pool.
    #[must_use]
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.file())
    }
}

/// The lock file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    #[serde(rename = "pin", default)]
    /// All files.
    pub pins: Vec<Pin>,
}

impl Lock {
    /// Reads the lock file.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not well formed", path.display()))
    }

    /// Writes the lock file, sorted by sets and paths.
    pub fn write(&mut self, path: &Path) -> Result<()> {
        self.pins
            .sort_by(|a, b| (&a.sets, &a.path).cmp(&(&b.sets, &b.path)));
        fs::write(path, format!("{HEADER}{}", toml::to_string(self)?))
            .with_context(|| format!("writing {}", path.display()))
    }

    /// The pins of a set; none if there is no such set.
    #[must_use]
    pub fn set(&self, name: &str) -> Vec<Pin> {
        let is_in = |pin: &&Pin| pin.sets.iter().any(|set| set == name);
        self.pins.iter().filter(is_in).cloned().collect()
    }
}

/// The files of one set.
#[derive(Debug)]
pub struct Pins(pub Vec<Pin>);

impl Pins {
    /// The set of this name.
    pub fn of_set(lock: &Path, name: &str) -> Result<Self> {
        let pins = Lock::read(lock)?.set(name);
        ensure!(!pins.is_empty(), "{} has no set `{name}`", lock.display());
        Ok(Self(pins))
    }

    /// The version of the set's first package. A source's or a kernel's set has only
    /// one.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0[0].version
    }

    /// Those for machines of Debian's `architecture`.
    #[must_use]
    pub fn of(self, architecture: &str) -> Self {
        let mut pins = self.0;
        pins.retain(|pin| pin.architecture == architecture || pin.architecture == "all");
        Self(pins)
    }
}
