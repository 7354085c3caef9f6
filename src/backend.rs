// SPDX-License-Identifier: MIT
//! Where the UART's bytes go to and come from.

/// The far side of the serial line.
///
/// Every call is bounded and returns at once: a backend that cannot take or
/// give a byte says so, and the UART keeps or withholds it.
pub trait Backend {
    /// Takes one byte from the guest; `false` when there is no room for it.
    fn try_send(&mut self, byte: u8) -> bool;

    /// Gives the next byte for the guest, if there is one.
    fn try_recv(&mut self) -> Option<u8>;

    /// Bytes that [`try_send`](Self::try_send) would take right now.
    fn space(&self) -> usize;

    /// Whether the far side must be told about what happened since the last
    /// call of this function; asking clears it.
    fn take_doorbell(&mut self) -> bool;
}
