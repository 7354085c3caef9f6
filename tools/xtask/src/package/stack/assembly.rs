// SPDX-License-Identifier: MIT
//! A whole repository: the object, Xen's packages with it, the daemon's, and the index.

use std::path::Path;

use anyhow::Result;
use steps::Steps;

use super::super::programs::ARM64;
use super::super::{VCONSOLED, make as daemon};
use super::builder::Builder;
use super::release::Release;
use super::source::{self, Source};
use super::{build, repository};
use crate::xen;

/// Makes it in a folder. Returns Xen's source.
pub(super) fn make(
    steps: &Steps,
    release: &Release,
    builder: &Builder,
    folder: &Path,
) -> Result<Source> {
    let object = xen::object(steps)?;
    let source = source::make(steps, release, builder, &object)?;
    let built = build::packages(steps, release, builder, &source)?;
    let daemon = daemon(steps, &VCONSOLED, &ARM64)?;
    repository::make(steps, release, builder, &built, &daemon, folder)?;
    Ok(source)
}
