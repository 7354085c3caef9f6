// SPDX-License-Identifier: MIT
//! What all scenarios do.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use e2e::complaints::Complaints;
use e2e::report::Outcome;
use steps::{Progress, Steps};

use crate::image::{Disk, Dom0};
use crate::rig::follow::say;
use crate::run::outside::{Checks, outcome};

/// A copy of the disk, to be written to.
pub(super) fn copy(steps: &Steps, disk: &Disk) -> Result<PathBuf> {
    let image = disk.image.with_file_name("dom0.img");
    steps.always("dom0's disk", |cx| {
        let mut copy = Command::new("cp");
        copy.arg("--sparse=always").arg(&disk.image);
        cx.run(copy.arg(&image))?;
        Ok("copied".into())
    })?;
    Ok(image)
}

/// dom0 with a copy of the disk, and perhaps a second disk.
pub(super) fn copied(steps: &Steps, disk: &Disk, media: Option<PathBuf>) -> Result<Dom0> {
    let copy = copy(steps, disk)?;
    Ok(Dom0 {
        disks: [copy].into_iter().chain(media).collect(),
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
