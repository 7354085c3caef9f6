// SPDX-License-Identifier: MIT
//! Arm's PL011 UART as an emulated device for hypervisors.
//!
//! The device is the PrimeCell UART (PL011) r1p5 of Arm DDI 0183G, called "the
//! TRM" throughout. This crate holds no lock, does no I/O and knows no
//! hypervisor. Each layer uses only those above it in this list:
//!
//! - [`trap`]: a trapped guest access, decoded
//! - [`interrupt`], [`registers`], `fifo`: the parts
//! - `receiver`, `transmitter`: the two directions
//! - [`device`]: the register file; knows no line
//! - [`glance`]: the part of its state that drivers poll, in one word
//! - [`backend`], [`ring`]: what the line is made of
//! - [`outcome`]: what a caller has to do next
//! - [`uart`]: the device on its line, the front door
//! - [`snapshot`]: its state as bytes
//!
//! An embedder owns a [`Uart`] on a [`Backend`], hands it the guest's accesses
//! under a lock, and does what each [`Outcome`] says:
//!
//! ```
//! use vpl011::backend::{Backend, Sent, Traffic};
//! use vpl011::trap::{Access, Width};
//! use vpl011::{Interrupts, Uart};
//!
//! /// A far side that takes everything and says nothing.
//! #[derive(Default)]
//! struct Paper(Vec<u8>);
//!
//! impl Backend for Paper {
//!     fn has_room(&self) -> bool {
//!         true
//!     }
//!     fn try_send(&mut self, byte: u8) -> Sent {
//!         self.0.push(byte);
//!         Sent::Quiet
//!     }
//!     fn try_recv(&mut self) -> Option<u8> {
//!         None
//!     }
//!     fn has_input(&self) -> bool {
//!         false
//!     }
//!     fn traffic(&self) -> Traffic {
//!         Traffic::default()
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

pub mod backend;
pub mod device;
mod fifo;
pub mod glance;
pub mod interrupt;
pub mod outcome;
mod receiver;
pub mod registers;
pub mod ring;
pub mod snapshot;
mod transmitter;
pub mod trap;
pub mod uart;

pub use backend::Backend;
pub use glance::Glance;
pub use interrupt::Interrupts;
pub use outcome::Outcome;
pub use registers::Profile;
pub use trap::Access;
pub use uart::Uart;
