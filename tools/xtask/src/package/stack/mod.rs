// SPDX-License-Identifier: MIT
//! `cargo xtask package --stack`: all Debian packages of a host, for arm64, as one apt
//! repository. Xen's are built by Debian's own rules, from Debian's own source package
//! with our patches and our object; the daemon's is added.

mod assembly;
mod build;
mod builder;
mod changes;
mod check;
mod compare;
mod lint;
mod release;
mod repository;
mod source;
mod twice;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use steps::Steps;

use self::builder::Builder;
pub(crate) use self::release::{RELEASES, Release, release};
use self::twice::Second;
use crate::debian::host;
use crate::debian::packages::Packages;

/// Builds the packages and looks at them; if asked, builds them twice, which must give
/// the same files. Returns the repository's folder.
pub(crate) fn run(steps: &Steps, release: &'static Release, twice: bool) -> Result<PathBuf> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "this makes a system of {} and works in it, which needs root: run it again as root, \
         for example in `sudo -i`",
        release.name
    );
    host::prepare(steps)?;
    host::install(steps, "stack tools", &Packages::read().hosts.packages)?;
    let second = twice.then(|| Second::prepare(steps, release)).transpose()?;
    let builder = Builder::make(steps, release)?;
    let folder = release.folder(steps);
    let source = assembly::make(steps, release, &builder, &folder)?;
    check::check(steps, release, &builder, &source, &folder)?;
    if let Some(second) = second {
        second.compare(steps, release, &builder, &folder)?;
    }
    Ok(folder)
}
