// SPDX-License-Identifier: MIT
//! The scenario `install`: a Debian 13 with its own Xen gets the console daemon's package
//! by apt while a guest prints; then a newer one, and none.

use std::fs;

use anyhow::Result;
use e2e::report::Outcome;
use steps::Steps;

use super::common::{copied, told};
use super::host::Host;
use super::{media, stages};
use crate::image::{Disk, System};

pub(super) const NAME: &str = "install";

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let disk = Disk::make(steps, System::Plain)?;
    let media = media::make(steps)?;
    let dom0 = copied(steps, &disk, Some(media))?;
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}");
        let mut host = Host::boot(steps, &disk.hypervisor, &dom0, &log)?;
        stages::stock(&mut host, checks)?;
        stages::taken_over(&mut host, checks)?;
        let state = host.run("systemctl is-active vconsoled")?;
        checks.check("the service is active", state == "active", state);
        stages::upgraded(&mut host, checks)?;
        stages::removed(&mut host, checks)?;
        console.take(&fs::read(steps.dirs.log(&log))?);
        Ok(())
    }))
}
