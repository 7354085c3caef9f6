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

/// The far side of the serial line.
///
/// Every call is bounded and returns at once: a backend that cannot take or
/// give a byte says so, and the UART keeps or withholds it.
///
/// A backend may remember what it last saw of the far side. What each call
/// looks at afresh:
///
/// | call | looks afresh at |
/// |---|---|
/// | [`try_send`](Self::try_send) | room, before it says [`Sent::Full`] |
/// | [`try_recv`](Self::try_recv) | input, before it gives `None` |
/// | [`acknowledge`](Self::acknowledge) | input, if there was anything to acknowledge |
/// | [`look`](Self::look) | both |
/// | [`waiting`](Self::waiting) | nothing |
pub trait Backend {
    /// Takes one byte from the guest.
    fn try_send(&mut self, byte: u8) -> Sent;

    /// Gives the next byte for the guest, if there is one.
    fn try_recv(&mut self) -> Option<u8>;

    /// Bytes that [`try_recv`](Self::try_recv) would give, as far as is known.
    /// While there are none, a guest's access does not ask for any: news comes
    /// with [`look`](Self::look), and with [`acknowledge`](Self::acknowledge)
    /// of the last that were known.
    fn waiting(&self) -> usize;

    /// Lets the far side reuse the room of all bytes received so far; `true`
    /// when it waits for that and must be told.
    fn acknowledge(&mut self) -> bool {
        false
    }

    /// The guest wrote UARTLCR: `LCR_H`, then UARTIBRD in bits 21:6 and UARTFBRD
    /// in bits 5:0.
    fn set_line_control(&mut self, _lcr: u32) {}

    /// Looks afresh at what the far side published, because it signalled or
    /// because the UART is about to rest on what it knows: input that comes
    /// after this is signalled. `true` when the far side must be told of bytes
    /// it has left behind.
    fn look(&mut self) -> bool {
        false
    }
}
