// SPDX-License-Identifier: MIT
//! The images are the binaries of this package; `cargo xtask` builds them.
//! What they have in common is here.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod conversation;
mod fletcher;

#[cfg(target_os = "none")]
pub use conversation::{Driver, converse};
pub use fletcher::Fletcher;

/// The suite's width as the device's.
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
