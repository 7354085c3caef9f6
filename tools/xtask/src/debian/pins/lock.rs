// SPDX-License-Identifier: MIT
//! The lock file, `tools/xtask/pins.lock`: each pinned file with its size and
//! digest, and the sets that it belongs to.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::engine::dirs::Dirs;
use crate::engine::step::{Key, write};

/// What stands above the pins.
const HEADER: &str = "\
# SPDX-License-Identifier: MIT
# Every file from outside, by digest. `cargo xtask pins update` writes this from
# packages.toml; docs/pins.md says how the files are fetched.

";

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    /// The package, binary or source.
    pub(crate) name: String,
    pub(crate) version: String,
    /// Debian's name for it, `all` or `source`.
    pub(crate) architecture: String,
    /// The release whose index listed it.
    pub(crate) release: String,
    /// A day on which it did: where the snapshot archive is asked.
    pub(crate) date: String,
    /// Below the mirror's root.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// In hexadecimal.
    pub(crate) sha256: String,
    /// What it is for.
    pub(crate) sets: Vec<String>,
}

impl Pin {
    /// The file's name in the pool.
    pub(crate) fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.file())
    }
}

/// The whole file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    #[serde(rename = "pin", default)]
    pub(crate) pins: Vec<Pin>,
}

impl Lock {
    /// Reads the workspace's.
    pub(crate) fn read(dirs: &Dirs) -> Result<Self> {
        let path = path(dirs);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not well formed", path.display()))
    }

    /// Writes it, in the order of sets and paths.
    pub(crate) fn write(&mut self, dirs: &Dirs) -> Result<()> {
        self.pins
            .sort_by(|a, b| (&a.sets, &a.path).cmp(&(&b.sets, &b.path)));
        write(&path(dirs), format!("{HEADER}{}", toml::to_string(self)?))
    }

    /// The pins of a set.
    pub(crate) fn set(&self, name: &str) -> Vec<Pin> {
        let is_in = |pin: &&Pin| pin.sets.iter().any(|set| set == name);
        self.pins.iter().filter(is_in).cloned().collect()
    }
}

fn path(dirs: &Dirs) -> PathBuf {
    dirs.root.join("tools/xtask/pins.lock")
}

/// The files of one set.
#[derive(Debug)]
pub(crate) struct Pins(pub(crate) Vec<Pin>);

/// The set of this name.
pub(crate) fn set(dirs: &Dirs, name: &str) -> Result<Pins> {
    let pins = Lock::read(dirs)?.set(name);
    ensure!(!pins.is_empty(), "pins.lock has no set `{name}`");
    Ok(Pins(pins))
}

impl Pins {
    /// What a step that uses them depends on.
    pub(crate) fn key(&self) -> Key {
        self.0
            .iter()
            .fold(Key::default(), |key, pin| key.text(&pin.sha256))
    }

    /// The version of the set's first package, which is the only one of a
    /// source's or a kernel's set.
    pub(crate) fn version(&self) -> &str {
        &self.0[0].version
    }

    /// Those that run on machines of Debian's `architecture`.
    pub(crate) fn of(self, architecture: &str) -> Self {
        let mut pins = self.0;
        pins.retain(|pin| pin.architecture == architecture || pin.architecture == "all");
        Self(pins)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::debian::packages::Packages;

    fn workspace() -> Dirs {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Dirs {
            target: root.join("target"),
            root,
        }
    }

    #[test]
    fn each_wanted_package_is_pinned() {
        let lock = Lock::read(&workspace()).unwrap();
        for (set, wanted) in Packages::read().sets() {
            let pins = lock.set(&set);
            for name in wanted {
                assert!(pins.iter().any(|pin| pin.name == name), "{set}: {name}");
            }
        }
    }

    #[test]
    fn each_pin_belongs_to_a_set_and_names_a_file() {
        let lock = Lock::read(&workspace()).unwrap();
        let sets: Vec<String> = Packages::read().sets().map(|(set, _)| set).collect();
        for pin in &lock.pins {
            assert!(!pin.sets.is_empty(), "{pin}");
            for set in &pin.sets {
                assert!(sets.contains(set), "{pin}: {set}");
            }
            assert!(pin.path.starts_with("pool/"), "{pin}");
            assert!(pin.file().starts_with(&pin.name), "{pin}");
            let hex = |byte: u8| byte.is_ascii_hexdigit();
            assert!(
                pin.sha256.len() == 64 && pin.sha256.bytes().all(hex),
                "{pin}"
            );
        }
    }

    #[test]
    fn the_file_is_as_it_is_written() {
        let mut lock = Lock::read(&workspace()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = Dirs {
            root: dir.path().into(),
            target: dir.path().into(),
        };
        lock.write(&elsewhere).unwrap();
        assert!(fs::read(path(&elsewhere)).unwrap() == fs::read(path(&workspace())).unwrap());
    }
}
