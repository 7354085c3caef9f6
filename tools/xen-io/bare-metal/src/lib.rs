// SPDX-License-Identifier: MIT
//! Runtime of an image at EL1: entry and exceptions, single accesses to a device
//! that may abort, one interrupt, and a byte stream to the program that started
//! the image. The device tree shows whether that is Xen, where the stream is the
//! PV console, or QEMU, where it is semihosting.
//!
//! All unsafe code of bare-metal images is here. They run with the MMU off and on
//! one CPU: every access to memory is performed as a single one.
#![no_std]

#[cfg(target_os = "none")]
mod frame;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod semihosting;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod xen;

#[cfg(target_os = "none")]
pub use self::{
    frame::{Abort, Frame},
    gic::Interrupt,
    machine::{Machine, Stream},
    start::{off, run},
};
#[cfg(target_os = "none")]
pub use vpl011::trap::Width;

/// Makes a function `fn(Machine)` the image's main function.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn bare_metal_main(device_tree: usize) {
            $crate::run(device_tree, $main);
        }
    };
}
