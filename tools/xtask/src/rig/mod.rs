// SPDX-License-Identifier: MIT
//! The emulated machine.

pub(crate) mod domu;
pub(crate) mod machine;
