// SPDX-License-Identifier: MIT
//! The scenario `install`: a Debian 13 on a disk, with its own Xen, gets the console
//! daemon's package by apt while a guest prints; then a newer one, and none. It makes a
//! system of Debian's packages, so it is run by name alone.

mod host;
mod media;
mod stages;

use std::fs;
use std::path::Path;

use anyhow::Result;
use e2e::complaints::Complaints;
use e2e::report::Outcome;
use steps::{Progress, Steps};

use self::host::Host;
use crate::image::{Disk, Dom0};
use crate::rig::follow::say;
use crate::run::outside::{Checks, outcome};

/// The name on the command line.
pub(crate) const NAME: &str = "install";
/// Its description, on one line.
pub(crate) const ABOUT: &str =
    "a Debian 13 with its own Xen gets our daemon by apt while a guest prints, a newer one, none";

/// Runs it; its steps fail with an error, and all else in its outcome.
pub(crate) fn run(steps: &Steps) -> Result<Outcome> {
    let disk = Disk::make(steps)?;
    let media = media::make(steps)?;
    let image = steps.dirs.target.join("install/dom0.img");
    fs::copy(&disk.image, &image)?;
    let dom0 = Dom0 {
        disks: vec![image, media],
        ..disk.dom0
    };
    let progress = Progress::start(&format!("e2e {NAME}"));
    let result = outcome(NAME, |checks, console| {
        play(steps, &disk.hypervisor, &dom0, checks, console)
    });
    say(progress, &result);
    Ok(result)
}

/// From the machine's start to the last command; the machine is then ended.
fn play(
    steps: &Steps,
    hypervisor: &Path,
    dom0: &Dom0,
    checks: &mut Checks,
    console: &mut Complaints,
) -> Result<()> {
    let log = format!("machine-{NAME}");
    let mut host = Host::boot(steps, hypervisor, dom0, &log)?;
    stages::stock(&mut host, checks)?;
    stages::taken_over(&mut host, checks)?;
    stages::upgraded(&mut host, checks)?;
    stages::removed(&mut host, checks)?;
    console.take(&fs::read(steps.dirs.log(&log))?);
    Ok(())
}
