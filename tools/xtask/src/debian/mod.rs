// SPDX-License-Identifier: MIT
//! What comes from Debian.

pub(crate) mod apt;
pub(crate) mod host;
pub(crate) mod packages;
pub(crate) mod pins;
pub(crate) mod programs;
pub(crate) mod system;
