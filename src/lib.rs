// SPDX-License-Identifier: MIT
//! Arm's PL011 UART as an emulated device for hypervisors.
#![no_std]
#![forbid(unsafe_code)]

pub mod backend;
pub mod ring {
    //! The console ring.
    pub mod layout;
    pub mod memory;
}
