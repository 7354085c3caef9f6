// SPDX-License-Identifier: MIT
//! The machine as its device tree describes it.

use fdt::Fdt;
use fdt::node::FdtNode;

use crate::frame::Frame;
use crate::gic::Interrupt;
use crate::{semihosting, xen};

/// INTID of the first shared interrupt.
const SPI: u16 = 32;

/// The devices of the image.
#[derive(Debug)]
pub struct Machine {
    /// The PL011.
    pub uart: Frame,
    /// Its interrupt.
    pub interrupt: Interrupt,
    /// The stream to the program that started the image.
    pub stream: Stream,
}

/// Bytes to and from the program that started the image.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Semihosting,
    Xen(xen::Console),
}

impl Machine {
    /// Reads the device tree at the address from the boot loader.
    pub(crate) fn described_at(device_tree: usize) -> Option<Self> {
        // SAFETY: at entry x0 is the address of a flattened device tree (Linux
        // arm64 boot protocol), which nothing writes to.
        let tree = unsafe { Fdt::from_ptr(device_tree as *const u8) }.ok()?;
        let uart = tree.find_compatible(&["arm,pl011", "arm,sbsa-uart"])?;
        let gic = tree.find_compatible(&["arm,gic-v3"])?;
        let [_, number, _] = cells(uart, "interrupts")?;
        // SAFETY: the tree says that a PL011 is there; it is no memory.
        let frame = unsafe { Frame::at(address(uart)?) }?;
        // SAFETY: the tree says that a distributor is there; it is no memory.
        let gicd = unsafe { Frame::at(address(gic)?) }?;
        let stream = if tree.find_compatible(&["xen,xen"]).is_some() {
            Kind::Xen(xen::Console::open()?)
        } else {
            Kind::Semihosting
        };
        Some(Self {
            uart: frame,
            interrupt: Interrupt::enable(gicd, SPI + u16::try_from(number).ok()?)?,
            stream: Stream(stream),
        })
    }
}

/// Start of a device's first register range.
fn address(node: FdtNode<'_, '_>) -> Option<usize> {
    Some(node.reg()?.next()?.starting_address.addr())
}

/// A property of three cells.
fn cells(node: FdtNode<'_, '_>, name: &str) -> Option<[u32; 3]> {
    let value = node.property(name)?.value;
    let mut cells = [0; 3];
    for (cell, bytes) in cells.iter_mut().zip(value.chunks_exact(4)) {
        *cell = u32::from_be_bytes(bytes.try_into().ok()?);
    }
    (value.len() == 12).then_some(cells)
}

impl Stream {
    /// Sends bytes; blocks until all are sent.
    pub fn put(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Kind::Semihosting => bytes.iter().for_each(|&byte| semihosting::put(byte)),
            Kind::Xen(console) => console.put(bytes),
        }
    }

    /// Waits for the next byte.
    pub fn get(&mut self) -> u8 {
        match &mut self.0 {
            Kind::Semihosting => semihosting::get(),
            Kind::Xen(console) => console.get(),
        }
    }
}
