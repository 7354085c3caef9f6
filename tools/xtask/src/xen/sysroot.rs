// SPDX-License-Identifier: MIT
//! The sysroot: Debian's arm64 packages unpacked, to compile the toolstack
//! against and to take the images' libraries and busybox from.

use anyhow::Result;

use crate::debian::{pins, programs};
use crate::engine::step::Steps;

/// Makes `target/sysroot`. Returns the step's key.
pub(crate) fn make(steps: &Steps) -> Result<String> {
    let pins = pins::set(&steps.dirs, "sysroot")?;
    programs::unpack(steps, "arm64 packages", &pins, &steps.dirs.sysroot())
}
