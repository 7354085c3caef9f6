// SPDX-License-Identifier: MIT
//! `cargo xtask package --stack`: all Debian packages of a host, for arm64, as one apt
//! repository. Xen's are built by Debian's own rules, from Debian's own source package
//! with our patches and our object; the daemon's is added.

mod build;
mod builder;
mod changes;
mod check;
mod repository;
mod source;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use steps::Steps;

use self::builder::Builder;
use super::programs::ARM64;
use super::{VCONSOLED, make};
use crate::debian::host;
use crate::debian::packages::Packages;
use crate::xen::{self, Version};

/// A Debian release with packages.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) name: &'static str,
    xen: Version,
    /// Sets of pinned files: upstream's part, and Debian's.
    parts: [&'static str; 2],
    /// The changes to Debian's part.
    changes: &'static [changes::Change],
    /// Our entry at the top of Debian's changelog.
    entry: &'static str,
    /// The required packages besides the daemon's.
    packages: &'static [&'static str],
}

/// All releases.
const RELEASES: [Release; 1] = [Release {
    name: "trixie",
    xen: Version::V4_20,
    parts: ["xen-4.20", "xen-4.20-packaging"],
    changes: &changes::TRIXIE,
    entry: include_str!("trixie.changelog"),
    packages: &[
        "libxen-dev",
        "libxencall1",
        "libxendevicemodel1",
        "libxenevtchn1",
        "libxenforeignmemory1",
        "libxengnttab1",
        "libxenhypfs1",
        "libxenmisc4.20",
        "libxenstore4",
        "libxentoolcore1",
        "libxentoollog1",
        "xen-hypervisor-4.20-arm64",
        "xen-hypervisor-common",
        "xen-system-arm64",
        "xen-utils-4.20",
        "xen-utils-common",
        "xenstore-utils",
    ],
}];

/// The release with a name, for the command line.
pub(crate) fn release(name: &str) -> Result<&'static Release, String> {
    let known = || RELEASES.map(|release| release.name).join(", ");
    let mut releases = RELEASES.iter();
    let found = releases.find(|release| release.name == name);
    found.ok_or_else(|| format!("there are {}", known()))
}

impl Release {
    /// The name of a step for this release.
    fn step(&self, name: &str) -> String {
        format!("stack {name}, {}", self.name)
    }

    /// The folder of its repository.
    fn folder(&self, steps: &Steps) -> PathBuf {
        steps.dirs.target.join("package/stack").join(self.name)
    }

    /// The repository that was made last.
    pub(crate) fn repository(&self, steps: &Steps) -> Result<PathBuf> {
        let folder = self.folder(steps);
        ensure!(
            folder.join("Release").exists(),
            "there are no packages in {}: make them with `cargo xtask package --stack`",
            folder.display()
        );
        Ok(folder)
    }

    /// The hypervisor's file in its package.
    pub(crate) fn hypervisor(&self) -> String {
        format!("/boot/xen-{}-arm64", self.xen.number())
    }
}

/// Builds the packages and looks at them. Returns the repository's folder.
pub(crate) fn run(steps: &Steps, release: &'static Release) -> Result<PathBuf> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "this makes a system of {} and works in it, which needs root: run it again as root, \
         for example in `sudo -i`",
        release.name
    );
    host::prepare(steps)?;
    host::install(steps, "stack tools", &Packages::read().hosts.packages)?;
    let object = xen::object(steps)?;
    let builder = Builder::make(steps, release)?;
    let source = source::make(steps, release, &builder, &object)?;
    let built = build::packages(steps, release, &builder, &source)?;
    let daemon = make(steps, &VCONSOLED, &ARM64)?;
    let repository = repository::make(steps, release, &built, &daemon)?;
    check::check(steps, release, &builder, &source, &repository)?;
    Ok(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_is_not_there_is_named_with_those_that_are() {
        assert_eq!(release("trixie").unwrap().name, "trixie");
        assert_eq!(release("sid").unwrap_err(), "there are trixie");
    }
}
