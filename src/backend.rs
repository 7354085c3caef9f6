// SPDX-License-Identifier: MIT
//! Where the UART's bytes go to and come from.

/// The result of offering a byte to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// There is no room: the byte stays with the UART.
    Full,
    /// Taken; the far side need not be notified.
    Quiet,
    /// Taken, and the far side must be notified.
    Ring,
}

/// The far side of the serial line.
///
/// Every call is bounded and returns at once: a backend that cannot take or give a
/// byte returns that, and the UART keeps its byte.
///
/// A backend may cache the far side's state. What each call must read again:
///
/// | call | reads again |
/// |---|---|
/// | [`try_send`](Self::try_send) | room, before it returns [`Sent::Full`] |
/// | [`try_recv`](Self::try_recv) | input, before it returns `None` |
/// | [`acknowledge`](Self::acknowledge) | input, if there was anything to acknowledge |
/// | [`look`](Self::look) | both |
/// | [`waiting`](Self::waiting) | nothing |
pub trait Backend {
    /// Takes one byte from the guest.
    fn try_send(&mut self, byte: u8) -> Sent;

    /// Gives the next byte for the guest, if there is one.
    fn try_recv(&mut self) -> Option<u8>;

    /// Bytes that [`try_recv`](Self::try_recv) would give, from the cached state.
    /// While this is 0, a guest's access does not call it: the cached state changes
    /// with [`look`](Self::look), and with [`acknowledge`](Self::acknowledge) of
    /// the last cached bytes.
    fn waiting(&self) -> usize;

    /// Lets the far side reuse the room of all bytes received so far; `true` if it
    /// waits for that and must be notified.
    fn acknowledge(&mut self) -> bool {
        false
    }

    /// The guest wrote UARTLCR: `LCR_H`, then UARTIBRD in bits 21:6 and UARTFBRD
    /// in bits 5:0.
    fn set_line_control(&mut self, _lcr: u32) {}

    /// Reads the far side's published state again, because it signalled or because
    /// the UART is about to rely on the cached state: input that arrives after this
    /// is signalled. `true` if the far side must be notified of bytes that it has
    /// left behind.
    fn look(&mut self) -> bool {
        false
    }
}
