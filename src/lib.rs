// SPDX-License-Identifier: MIT
//! Arm's PL011 UART as an emulated device for hypervisors.
//!
//! The device is the PrimeCell UART (PL011) r1p5 of Arm DDI 0183G, called "the
//! TRM" throughout. This crate holds no lock, does no I/O and knows no
//! hypervisor. Each layer uses only those above it in this list:
//!
//! - [`access`]: an access of the guest
//! - `trap`, a feature: one decoded from a trap's syndrome
//! - [`Interrupts`], `registers`, `fifo`: the parts
//! - `receiver`, `transmitter`: the two directions
//! - [`glance`]: the part of its state that drivers poll, in one word
//! - [`outcome`]: what a caller has to do next
//! - [`backend`]: what the line is made of
//! - `device`: the register file over a line
//! - [`uart`]: the front door
//! - [`ring`]: Xen's console ring as a line
//! - `snapshot`, a feature: its state as bytes
//! - `vm_device`, a feature: the crate `vm-device`'s MMIO trait
//!
//! An embedder owns a [`Uart`] on a [`Backend`], hands it the guest's accesses
//! under a lock, and does what each [`Outcome`] says:
//!
//! ```
//! use vpl011::backend::{Backend, Sent};
//! use vpl011::access::{Access, Width};
//! use vpl011::{Interrupts, Uart};
//!
//! /// A far side that takes everything and says nothing.
//! #[derive(Default)]
//! struct Paper(Vec<u8>);
//!
//! impl Backend for Paper {
//!     fn try_send(&mut self, byte: u8) -> Sent {
//!         self.0.push(byte);
//!         Sent::Quiet
//!     }
//!     fn try_recv(&mut self) -> Option<u8> {
//!         None
//!     }
//!     fn waiting(&self) -> usize {
//!         0
//!     }
//! }
//!
//! let mut uart = Uart::new(Paper::default());
//! // The guest stores `A` to UARTDR, and unmasks the transmit interrupt.
//! let _ = uart.write(Access::new(0x000, Width::Byte), u32::from(b'A'));
//! let outcome = uart.write(Access::new(0x038, Width::Word), 1 << 5);
//! assert_eq!(uart.backend_mut().0, b"A");
//! assert_eq!(outcome.pending, Interrupts::TX);
//! ```
//!
//! `examples/toy_vmm` is a whole embedder.
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod backend;
mod device;
mod fifo;
pub mod glance;
mod interrupt;
pub mod outcome;
mod receiver;
mod registers;
pub mod ring;
#[cfg(feature = "snapshot")]
pub mod snapshot;
mod transmitter;
#[cfg(feature = "trap")]
pub mod trap;
pub mod uart;
#[cfg(feature = "vm-device")]
pub mod vm_device;

pub use access::Access;
pub use backend::Backend;
pub use glance::Glance;
pub use interrupt::Interrupts;
pub use outcome::Outcome;
pub use registers::Profile;
pub use uart::Uart;
