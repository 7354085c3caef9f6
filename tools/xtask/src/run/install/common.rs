// SPDX-License-Identifier: MIT
//! What both scenarios do.

use std::fs;
use std::path::Path;

use anyhow::Result;
use e2e::complaints::Complaints;
use e2e::report::Outcome;
use steps::{Progress, Steps};

use crate::image::{Disk, Dom0};
use crate::rig::follow::say;
use crate::run::outside::{Checks, outcome};

/// dom0 with a copy of the disk, to be written to, and a second disk.
pub(super) fn copied(steps: &Steps, disk: &Disk, media: &Path) -> Result<Dom0> {
    let image = steps.dirs.target.join("install/dom0.img");
    fs::copy(&disk.image, &image)?;
    Ok(Dom0 {
        disks: vec![image, media.to_owned()],
        ..disk.dom0.clone()
    })
}

/// The outcome of a scenario, printed.
pub(super) fn told(
    name: &str,
    play: impl FnOnce(&mut Checks, &mut Complaints) -> Result<()>,
) -> Outcome {
    let progress = Progress::start(&format!("e2e {name}"));
    let result = outcome(name, play);
    say(progress, &result);
    result
}
