// SPDX-License-Identifier: MIT
//! The MMIO trait of the crate [`vm_device`], which VMMs of rust-vmm
//! dispatch accesses by.

use ::vm_device::MutDeviceMmio;
use ::vm_device::bus::{MmioAddress, MmioAddressOffset};

use crate::backend::Backend;
use crate::outcome::Outcome;
use crate::uart::Uart;

/// A [`Uart`] on a bus, and a handler of its [`Outcome`]s: the trait's methods
/// return nothing, so they go to `F`.
#[derive(Debug)]
pub struct OnBus<B, F> {
    /// The device.
    pub uart: Uart<B>,
    /// What the VMM does with an outcome.
    pub then: F,
}

impl<B: Backend, F: FnMut(Outcome)> MutDeviceMmio for OnBus<B, F> {
    fn mmio_read(&mut self, _base: MmioAddress, offset: MmioAddressOffset, data: &mut [u8]) {
        (self.then)(self.uart.read_bytes(offset, data));
    }

    fn mmio_write(&mut self, _base: MmioAddress, offset: MmioAddressOffset, data: &[u8]) {
        (self.then)(self.uart.write_bytes(offset, data));
    }
}
