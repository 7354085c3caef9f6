// SPDX-License-Identifier: MIT
//! The images are the binaries of this package; `cargo xtask` builds them.
#![no_std]
#![forbid(unsafe_code)]
