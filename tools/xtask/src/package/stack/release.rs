// SPDX-License-Identifier: MIT
//! The Debian releases that packages are made for, and what differs between them.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use steps::Steps;

use super::changes::{BOOKWORM, COMMON, Change, TRIXIE};
use crate::xen::Version;

/// A Debian release with packages.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) name: &'static str,
    pub(super) xen: Version,
    /// Sets of pinned files; upstream's part and Debian's are among them.
    pub(super) sets: &'static [&'static str],
    /// The changes to Debian's part beside [`COMMON`].
    changes: &'static [Change],
    /// Packages whose files' names our suffix makes longer than lintian allows.
    pub(super) long_names: &'static [&'static str],
    /// What lintian finds, each with its package or [`EACH`]. Debian's own packages have
    /// the same, but for those of vconsoled.
    pub(super) findings: &'static [(&'static str, &'static str)],
}

/// Each of Xen's packages.
pub(super) const EACH: &str = "each";

/// All releases; the first is the default.
pub(crate) static RELEASES: [Release; 2] = [
    Release {
        name: "trixie",
        xen: Version::V4_20,
        sets: &["xen-4.20", "xen-4.20-packaging"],
        changes: &TRIXIE,
        long_names: &[
            "libxenforeignmemory1",
            "xen-hypervisor-4.20-arm64",
            "xen-hypervisor-common",
        ],
        findings: &[
            (EACH, "old-fsf-address-in-copyright-file"),
            ("xen-utils-common", "no-manual-page"),
            ("xen-utils-common", "systemd-service-file-wraps-init-script"),
            ("xenstore-utils", "no-manual-page"),
            // Its unit is in /lib: the package is the same for Debian 12.
            ("vconsoled", "aliased-location"),
        ],
    },
    Release {
        name: "bookworm",
        xen: Version::V4_17,
        sets: &["xen-4.17"],
        changes: &BOOKWORM,
        long_names: &[],
        findings: &[
            ("xen-utils-4.17", "unusual-interpreter"),
            (
                "xen-utils-common",
                "missing-systemd-service-for-init.d-script",
            ),
            ("xen-utils-common", "no-manual-page"),
            ("xenstore-utils", "no-manual-page"),
        ],
    },
];

/// The required packages besides the daemon's and those with Xen's version in their
/// names.
const PACKAGES: [&str; 14] = [
    "libxen-dev",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "xen-hypervisor-common",
    "xen-system-arm64",
    "xen-utils-common",
    "xenstore-utils",
];

/// The release with a name, for the command line.
pub(crate) fn release(name: &str) -> Result<&'static Release, String> {
    let found = RELEASES.iter().find(|release| release.name == name);
    found.ok_or_else(|| {
        let known = RELEASES.each_ref().map(|release| release.name);
        format!("there are {}", known.join(", "))
    })
}

impl Release {
    /// The name of a step for this release.
    pub(super) fn step(&self, name: &str) -> String {
        format!("stack {name}, {}", self.name)
    }

    /// The folder of its repository.
    pub(super) fn folder(&self, steps: &Steps) -> PathBuf {
        steps.dirs.target.join("package/stack").join(self.name)
    }

    /// The repository that was made last.
    pub(crate) fn repository(&self, steps: &Steps) -> Result<PathBuf> {
        let folder = self.folder(steps);
        ensure!(
            folder.join("Release").exists(),
            "there are no packages in {}: make them with `cargo xtask package --stack {}`",
            folder.display(),
            self.name
        );
        Ok(folder)
    }

    /// The hypervisor's file in its package, below the root.
    pub(crate) fn hypervisor(&self) -> String {
        format!("boot/xen-{}-arm64", self.xen.number())
    }

    /// The name of the hypervisor's package.
    pub(super) fn hypervisor_package(&self) -> String {
        format!("xen-hypervisor-{}-arm64", self.xen.number())
    }

    /// The package of the libraries with libxl.
    pub(super) fn libraries(&self) -> String {
        format!("libxenmisc{}", self.xen.number())
    }

    /// The package of the toolstack's programs.
    pub(super) fn programs(&self) -> String {
        format!("xen-utils-{}", self.xen.number())
    }

    /// The required packages besides the daemon's.
    pub(super) fn packages(&self) -> Vec<String> {
        let of_version = [self.hypervisor_package(), self.libraries(), self.programs()];
        PACKAGES
            .map(str::to_owned)
            .into_iter()
            .chain(of_version)
            .collect()
    }

    /// The changes to Debian's part of the source.
    pub(super) fn changes(&self) -> impl Iterator<Item = &'static Change> {
        COMMON.iter().chain(self.changes)
    }

    /// Our entry at the top of Debian's changelog; its first line has `@VERSION@` for
    /// Debian's version.
    pub(super) fn entry(&self) -> String {
        include_str!("changelog.in").replace("@RELEASE@", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_is_not_there_is_named_with_those_that_are() {
        for name in ["trixie", "bookworm"] {
            assert_eq!(release(name).unwrap().name, name);
        }
        assert_eq!(release("sid").unwrap_err(), "there are trixie, bookworm");
    }

    #[test]
    fn names_of_packages_have_the_release_s_version_of_xen() {
        let packages = release("bookworm").unwrap().packages();
        assert_eq!(packages.len(), 17);
        for name in [
            "libxenmisc4.17",
            "xen-hypervisor-4.17-arm64",
            "xen-utils-4.17",
        ] {
            assert!(packages.iter().any(|package| package == name), "{name}");
        }
    }
}
