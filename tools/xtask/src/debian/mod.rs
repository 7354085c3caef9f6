// SPDX-License-Identifier: MIT
//! Packages from Debian, and the machines that use them.

pub(crate) mod apt;
pub(crate) mod host;
pub(crate) mod merged;
pub(crate) mod packages;
pub(crate) mod pins;
pub(crate) mod programs;
pub(crate) mod system;
pub(crate) mod unpacked;
