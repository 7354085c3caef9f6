// SPDX-License-Identifier: MIT
//! What we take from Debian: `packages.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::xen::version::Version;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    pub(crate) debian: Debian,
    pub(crate) host: List,
    pub(crate) docs: List,
    pub(crate) programs: List,
    pub(crate) dom0: List,
    /// Of each version that there are hooks for.
    pub(crate) xen: BTreeMap<Version, Source>,
    #[serde(rename = "u-boot")]
    pub(crate) u_boot: Source,
    pub(crate) sysroot: List,
    pub(crate) systemd: List,
    pub(crate) kernel: Kernel,
}

/// Whose packages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Debian {
    /// The codename, as the package mirror has it.
    pub(crate) release: String,
}

/// Packages by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    pub(crate) packages: Vec<String>,
}

/// A source package at a version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The release it is of, if that is not [`Debian::release`]: its upstream
    /// part alone is taken then.
    pub(crate) release: Option<String>,
}

/// A kernel package at a version, and the package that names its successor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) follow: String,
    pub(crate) package: String,
    pub(crate) version: String,
}

impl Packages {
    /// The file's text: what steps that use it depend on.
    pub(crate) const TEXT: &str = include_str!("../../packages.toml");

    /// Reads the file, which is part of this program.
    pub(crate) fn read() -> Self {
        toml::from_str(Self::TEXT).expect("packages.toml is well formed")
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use crate::xen::version::Version;

    #[test]
    fn the_file_is_well_formed() {
        let packages = super::Packages::read();
        assert_eq!(packages.debian.release, "bookworm");
        for version in Version::value_variants() {
            let source = &packages.xen[version];
            assert!(source.version.starts_with(version.number()), "{source:?}");
        }
    }
}
