// SPDX-License-Identifier: MIT
//! The sysroot: Debian's arm64 packages unpacked, to compile the toolstack against and
//! to copy the images' libraries and busybox from.

use anyhow::Result;
use steps::Steps;

use crate::debian::programs;

/// Makes `target/sysroot`. Returns the step's key.
pub(crate) fn make(steps: &Steps) -> Result<String> {
    let pins = steps.pins("sysroot")?;
    programs::unpack(
        steps,
        "arm64 packages",
        &pins,
        &steps.dirs.target.join("sysroot"),
    )
}
