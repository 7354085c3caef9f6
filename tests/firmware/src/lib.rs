// SPDX-License-Identifier: MIT
//! Common parts of the images, which are the binaries of this package.
//! `cargo xtask` builds them.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod conversation;
mod fletcher;

#[cfg(target_os = "none")]
pub use conversation::{Driver, converse};
pub use fletcher::Fletcher;

/// The device's width for the suite's.
#[cfg(target_os = "none")]
#[must_use]
pub fn own(width: conformance::Width) -> bare_metal::Width {
    use conformance::Width::{Byte, Half, Word};
    match width {
        Byte => bare_metal::Width::Byte,
        Half => bare_metal::Width::Half,
        Word => bare_metal::Width::Word,
    }
}
