// SPDX-License-Identifier: MIT
//! The emulated machine.

pub(crate) mod domu;
pub(crate) mod evidence;
pub(crate) mod follow;
pub(crate) mod machine;
pub(crate) mod typing;
