// SPDX-License-Identifier: MIT
//! The suite's interface to a PL011.

/// How many bytes an access covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

/// The access caused a data abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort;

/// Why something cannot be run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPossible(pub &'static str);

/// A PL011 and its surroundings.
///
/// The peer is the far side of the serial line. When one of its methods returns, the
/// effect has reached the device: input that fits is in the receive FIFO, and new room
/// has been used.
pub trait Target {
    /// Loads from `offset` bytes into the frame; the offset is a multiple of
    /// the width.
    fn read(&mut self, offset: u16, width: Width) -> Result<u32, Abort>;

    /// Stores to `offset` bytes into the frame; the offset is a multiple of the
    /// width.
    fn write(&mut self, offset: u16, width: Width, value: u32) -> Result<(), Abort>;

    /// Loads 64 bits.
    fn read_wide(&mut self, offset: u16) -> Result<u64, Abort>;

    /// The level of the combined interrupt, UARTINTR.
    fn line(&mut self) -> bool;

    /// Takes the interrupt if it is delivered. A system may deliver it once more than
    /// its line shows, or, where the line is no level, once only.
    fn interrupted(&mut self) -> bool {
        self.line()
    }

    /// Takes the interrupt if it is delivered at once after the end of the one before,
    /// with no event in between that a system could notice.
    fn interrupted_at_once(&mut self) -> bool {
        self.line()
    }

    /// The peer takes output (all there is, or `take` bytes while it is held), passes
    /// it to `output`, and sends `input`.
    fn exchange(&mut self, take: u16, input: &[u8], output: &mut dyn FnMut(&[u8]));

    /// Stops the peer from taking output by itself, or allows it again.
    fn hold(&mut self, hold: bool) -> Result<(), NotPossible>;

    /// The peer sends a break.
    fn send_break(&mut self) -> Result<(), NotPossible>;

    /// The peer drops everything: input that waits for room, and output. It takes
    /// output again.
    fn reset_peer(&mut self);
}
