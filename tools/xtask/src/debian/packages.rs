// SPDX-License-Identifier: MIT
//! What we take from Debian, by name: `packages.toml`. Which files these are
//! is in `pins.lock`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    pub(crate) debian: Debian,
    pub(crate) host: Host,
    pub(crate) docs: List,
    pub(crate) hosts: List,
    pub(crate) programs: List,
    pub(crate) dom0: List,
    /// Source packages, by the names of their sets.
    pub(crate) source: BTreeMap<String, Source>,
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
    /// Codenames of the systems that can build.
    pub(crate) hosts: Vec<String>,
}

/// Tools of the machine that builds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    packages: Vec<String>,
    /// What a machine that is no arm64 needs to compile for arm64.
    cross: Vec<String>,
}

impl Host {
    /// Those that this machine needs.
    pub(crate) fn packages(&self) -> Vec<String> {
        let mut packages = self.packages.clone();
        if std::env::consts::ARCH != "aarch64" {
            packages.extend(self.cross.clone());
        }
        packages
    }
}

/// Packages by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    pub(crate) packages: Vec<String>,
}

/// A source package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The release it is of, if that is not [`Debian::release`]: its upstream
    /// part alone is taken then.
    pub(crate) release: Option<String>,
}

/// The package whose first dependency is the kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) follow: String,
}

impl Packages {
    /// Reads the file, which is part of this program.
    pub(crate) fn read() -> Self {
        toml::from_str(include_str!("../../packages.toml")).expect("packages.toml is well formed")
    }

    /// The sets of pinned files, with the packages that each is to have.
    pub(crate) fn sets(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let sources = self
            .source
            .iter()
            .map(|(set, source)| (set.clone(), vec![source.name.clone()]));
        [
            ("kernel", Vec::new()),
            ("sysroot", self.sysroot.packages.clone()),
            ("dom0", self.dom0.packages.clone()),
            ("systemd", self.systemd.packages.clone()),
            ("programs", self.programs.packages.clone()),
        ]
        .map(|(set, packages)| (set.to_owned(), packages))
        .into_iter()
        .chain(sources)
    }

    /// The source package of a set.
    pub(crate) fn source(&self, set: &str) -> Option<&Source> {
        self.source.get(set)
    }

    /// The release that a set is of.
    pub(crate) fn release(&self, set: &str) -> &str {
        self.source(set)
            .and_then(|source| source.release.as_deref())
            .unwrap_or(&self.debian.release)
    }
}
