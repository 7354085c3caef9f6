// SPDX-License-Identifier: MIT
//! Where the UART's bytes go to and come from.

/// What became of a byte offered to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// There is no room: the byte stays with the UART.
    Full,
    /// Taken; the far side need not be told.
    Quiet,
    /// Taken, and the far side must be told.
    Ring,
}

/// What a backend has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes taken from the guest.
    pub bytes_out: u64,
    /// Bytes given to the guest.
    pub bytes_in: u64,
    /// Times the far side's indices made no sense and were resynchronised.
    pub resyncs: u64,
}

/// The far side of the serial line.
///
/// Every call is bounded and returns at once: a backend that cannot take or
/// give a byte says so, and the UART keeps or withholds it.
pub trait Backend {
    /// Whether [`try_send`](Self::try_send) would take a byte, as far as is known
    /// without asking the far side again.
    fn has_room(&self) -> bool;

    /// Takes one byte from the guest.
    fn try_send(&mut self, byte: u8) -> Sent;

    /// Gives the next byte for the guest, if there is one.
    fn try_recv(&mut self) -> Option<u8>;

    /// Lets the far side reuse the room of all bytes received so far; `true`
    /// when it waits for that and must be told.
    fn acknowledge(&mut self) -> bool {
        false
    }

    /// Whether [`try_recv`](Self::try_recv) would give a byte, as far as is
    /// known without asking the far side again.
    fn has_input(&self) -> bool;

    /// The far side signalled: looks afresh at what it published. `true` when
    /// it must be told again of bytes it has left behind.
    fn event(&mut self) -> bool {
        false
    }

    /// What was counted so far.
    fn traffic(&self) -> Traffic;
}
