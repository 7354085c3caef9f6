// SPDX-License-Identifier: MIT
//! Offsets within the shared page, in bytes (Xen `public/io/console.h`,
//! `struct xencons_interface`), and what we add in its tail: an event index, and
//! how the guest has set its line.
//!
//! Indices are free-running `u32`; a position in a buffer is the index modulo
//! the buffer's size, which is a power of two.

/// Size of the shared page.
pub const PAGE_SIZE: usize = 4096;
/// `in`: bytes towards the guest.
pub const IN: usize = 0;
/// Size of `in`.
pub const IN_SIZE: usize = 1024;
/// `out`: bytes from the guest.
pub const OUT: usize = 1024;
/// Size of `out`.
pub const OUT_SIZE: usize = 2048;
/// `in_cons`: owned by the guest's side.
pub const IN_CONS: usize = 3072;
/// `in_prod`: owned by the backend.
pub const IN_PROD: usize = 3076;
/// `out_cons`: owned by the backend.
pub const OUT_CONS: usize = 3080;
/// `out_prod`: owned by the guest's side.
pub const OUT_PROD: usize = 3084;
/// `connection` (u8, Xen 4.21): 0 when the backend is connected.
pub const CONNECTION: usize = 3088;

/// Feature word (u32): [`EVENT_INDEX_MAGIC`] while the backend publishes the
/// two thresholds below; any other value means a backend that does not.
pub const EVENT_INDEX: usize = 3584;
/// `out_event` (u32, backend): ring the backend's doorbell when `out_prod`
/// moves past this index.
pub const OUT_EVENT: usize = 3588;
/// `in_event` (u32, backend): ring the backend's doorbell when `in_cons`
/// moves past this index.
pub const IN_EVENT: usize = 3592;
/// `input_event` (u32, the guest's side): notify the guest's side when
/// `in_prod` moves past this index.
pub const INPUT_EVENT: usize = 3596;
/// UARTLCR as the guest last wrote it (u32, the guest's side), laid out as for
/// [`Backend`](crate::Backend::set_line_control); 0 before that.
pub const LINE_CONTROL: usize = 3600;
/// Value of [`EVENT_INDEX`] that announces the event index ("VEIX").
pub const EVENT_INDEX_MAGIC: u32 = 0x5645_4958;
