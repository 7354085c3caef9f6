// SPDX-License-Identifier: MIT
//! The files of the glue that are compiled on this machine.

/// In `hyp-shim/glue`.
pub(crate) const GLUE: [&str; 7] = [
    "console.c",
    "device.c",
    "dump.c",
    "lifecycle.c",
    "line.c",
    "private.c",
    "rest.c",
];
