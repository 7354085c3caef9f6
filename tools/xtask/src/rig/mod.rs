// SPDX-License-Identifier: MIT
//! The emulated machine.

pub(crate) mod domu;
pub(crate) mod evidence;
pub(crate) mod follow;
pub(crate) mod machine;
pub(crate) mod typing;

use std::path::Path;

/// A path as the value of an option: QEMU reads a doubled comma as a comma in the
/// value.
pub(crate) fn value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
