// SPDX-License-Identifier: MIT
//! A target as cases use it: accesses that may abort, checks that record the value
//! seen, and a far side that can stall.

use heapless::Vec;

use crate::registers::{cr, fr, int, lcr_h, name, reg};
use crate::target::{Abort, Target, Width};
use crate::{Failure, Stop, Verdict};

/// Entries of a FIFO.
const DEPTH: u16 = 32;

/// The byte that fills a stalled line.
const FILL: u8 = b'.';

/// More than any line and FIFO hold together: Xen's ring holds 2048 bytes.
const FILL_MAX: usize = 4096;

/// Reads of DR that empty any FIFO and its line.
const DRAIN_MAX: usize = 4096;

/// Turns after which a wait counts as hung.
const PATIENCE: usize = 200;

/// Bytes that a held peer takes at each turn of a wait.
const SIP: u16 = 8;

/// Bytes that distinguish loss from reordering.
static PATTERN: [u8; 1024] = {
    let mut bytes = [0; 1024];
    let mut at = 0;
    while at < bytes.len() {
        let [low, ..] = (at * 7 + at / 251).to_le_bytes();
        bytes[at] = low;
        at += 1;
    }
    bytes
};

/// `count` bytes, at most 1024, that distinguish loss from reordering.
#[must_use]
pub fn pattern(count: usize) -> &'static [u8] {
    &PATTERN[..count]
}

/// The device under test.
pub struct Uart<'t> {
    target: &'t mut dyn Target,
    /// Output that no check has read yet, without the filling.
    output: Vec<u8, 2048>,
    /// Bytes of filling that the peer has not yet taken.
    filling: usize,
    /// `LCR_H.FEN`, as last written.
    deep: bool,
    /// The peer takes output only on request.
    held: bool,
    checks: u16,
    abort: Option<u16>,
}

impl<'t> Uart<'t> {
    /// The device in its reset state, after any earlier case.
    pub fn quiesced(target: &'t mut dyn Target) -> Verdict<Self> {
        target.reset_peer();
        let mut uart = Self {
            target,
            output: Vec::new(),
            filling: 0,
            deep: false,
            held: false,
            checks: 0,
            abort: None,
        };
        // In an order that lets nothing new in: first the mask, then CR, then the
        // characters that loopback left, FEN to flush them, and the clear last.
        uart.write(reg::IMSC, 0);
        uart.write(reg::CR, cr::TXE | cr::RXE);
        uart.write(reg::LCR_H, lcr_h::FEN);
        uart.write(reg::LCR_H, 0);
        uart.drain();
        // The next stored character carries the mark of a lost one.
        uart.feed(&[0]);
        uart.drain();
        for (offset, value) in [
            (reg::ILPR, 0),
            (reg::IBRD, 0),
            (reg::FBRD, 0),
            (reg::IFLS, 0x12),
            (reg::DMACR, 0),
            (reg::RSR, 0),
        ] {
            uart.write(offset, value);
        }
        uart.target.reset_peer();
        uart.output.clear();
        // Read first: a clear right after output raises TX once more.
        uart.read(reg::RIS);
        uart.write(reg::ICR, int::ALL);
        // An interrupt delivered earlier is not reported again.
        uart.line();
        // A missing register must not fail every case.
        uart.abort = None;
        Ok(uart)
    }

    fn drain(&mut self) {
        for _ in 0..DRAIN_MAX {
            if self.any(reg::FR, fr::RXFE) {
                return;
            }
            self.read(reg::DR);
        }
    }

    /// Reads with a width. An access that aborts reads 0 and fails the case.
    pub fn read_as(&mut self, offset: u16, width: Width) -> u32 {
        self.target.read(offset, width).unwrap_or_else(|Abort| {
            self.abort.get_or_insert(offset);
            0
        })
    }

    /// Writes with a width. An access that aborts fails the case.
    pub fn write_as(&mut self, offset: u16, width: Width, value: u32) {
        if offset == reg::LCR_H {
            self.deep = value & lcr_h::FEN != 0;
        }
        if let Err(Abort) = self.target.write(offset, width, value) {
            self.abort.get_or_insert(offset);
        }
    }

    /// Whether a 64-bit load aborts.
    pub fn wide_read_aborts(&mut self, offset: u16) -> bool {
        self.target.read_wide(offset).is_err()
    }

    /// Reads 32 bits.
    pub fn read(&mut self, offset: u16) -> u32 {
        self.read_as(offset, Width::Word)
    }

    /// Writes 32 bits.
    pub fn write(&mut self, offset: u16, value: u32) {
        self.write_as(offset, Width::Word, value);
    }

    /// Whether any of `bits` is set in a register.
    pub fn any(&mut self, offset: u16, bits: u32) -> bool {
        self.read(offset) & bits != 0
    }

    /// Switches the FIFOs on, with 8 bits, as drivers do.
    pub fn fifos(&mut self) {
        self.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
    }

    /// Writes each byte to DR.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write(reg::DR, byte.into());
        }
    }

    /// The level of the interrupt line.
    pub fn line(&mut self) -> bool {
        self.target.line()
    }

    /// Whether the interrupt is delivered, as a driver sees it.
    pub fn interrupted(&mut self) -> bool {
        self.target.interrupted()
    }

    /// Whether the interrupt is delivered again at the end of the one before.
    pub fn interrupted_at_once(&mut self) -> bool {
        self.target.interrupted_at_once()
    }

    /// Checks that a value is as expected.
    pub fn check(&mut self, what: &'static str, seen: u32, expected: u32) -> Verdict {
        self.checks += 1;
        self.met_no_abort()?;
        if seen == expected {
            Ok(())
        } else {
            self.fail(what, seen, expected)
        }
    }

    /// Ends the case as failed.
    pub fn fail<T>(&self, what: &'static str, seen: u32, expected: u32) -> Verdict<T> {
        Err(Stop::Failed(Failure {
            check: self.checks,
            what,
            expected,
            seen,
        }))
    }

    /// Fails the case if one of its accesses has aborted.
    pub(crate) fn met_no_abort(&self) -> Verdict {
        match self.abort {
            None => Ok(()),
            Some(offset) => self.fail("data abort: an offset", offset.into(), 0),
        }
    }

    /// Checks all bits of a register.
    pub fn see(&mut self, offset: u16, expected: u32) -> Verdict {
        let seen = self.read(offset);
        self.check(name(offset), seen, expected)
    }

    /// Checks some bits of a register.
    pub fn see_bits(&mut self, offset: u16, bits: u32, expected: u32) -> Verdict {
        let seen = self.read(offset) & bits;
        self.check(name(offset), seen, expected)
    }

    /// Checks that bits are all set.
    pub fn has(&mut self, offset: u16, bits: u32) -> Verdict {
        self.see_bits(offset, bits, bits)
    }

    /// Checks that none of the bits is set.
    pub fn lacks(&mut self, offset: u16, bits: u32) -> Verdict {
        self.see_bits(offset, bits, 0)
    }

    /// Checks a bit that should be set if `expected`.
    pub fn bit_is(&mut self, offset: u16, bit: u32, expected: bool) -> Verdict {
        self.see_bits(offset, bit, if expected { bit } else { 0 })
    }

    /// Checks the value of the last of several reads of a register with a width.
    pub fn see_as(&mut self, offset: u16, width: Width, expected: u32) -> Verdict {
        let seen = self.read_as(offset, width);
        self.check(name(offset), seen, expected)
    }

    /// Checks the level of the interrupt line.
    pub fn line_is(&mut self, expected: bool) -> Verdict {
        let seen = self.line();
        self.check("the interrupt line", seen.into(), expected.into())
    }

    /// The peer sends bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.turn(0, bytes);
    }

    /// The peer sends a break.
    pub fn feed_break(&mut self) -> Verdict {
        Ok(self.target.send_break()?)
    }

    /// A held peer takes up to `bytes`.
    pub fn take(&mut self, bytes: u16) {
        self.turn(bytes, &[]);
    }

    /// A held peer takes up to `take` bytes, any other peer all there are; then it
    /// sends.
    pub fn turn(&mut self, take: u16, input: &[u8]) {
        let Self {
            target,
            output,
            filling,
            ..
        } = self;
        target.exchange(take, input, &mut |bytes| {
            let skip = bytes.len().min(*filling);
            *filling -= skip;
            // Output longer than any case sends is found by its length.
            let room = output.capacity() - output.len();
            let bytes = &bytes[skip..];
            let _ = output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        });
    }

    /// Makes the line full, with nothing in the FIFO and no interrupt: a character
    /// written now has to wait for the peer.
    pub fn block(&mut self) -> Verdict {
        self.target.hold(true)?;
        self.held = true;
        for _ in 0..FILL_MAX {
            // Not for one FR read alone, as after a burst.
            if (0..2).all(|_| self.any(reg::FR, fr::TXFF)) {
                break;
            }
            self.write(reg::DR, FILL.into());
            self.filling += 1;
        }
        self.has(reg::FR, fr::TXFF)?;
        self.take(if self.deep { DEPTH } else { 1 });
        self.lacks(reg::FR, fr::TXFF)?;
        self.read(reg::RIS);
        self.write(reg::ICR, int::TX);
        Ok(())
    }

    /// Lets the peer take everything again.
    pub fn unblock(&mut self) -> Verdict {
        if self.held {
            self.target.hold(false)?;
            self.held = false;
        }
        Ok(())
    }

    /// Lets the peer take everything, and checks that it got `expected` since
    /// the last such check, and nothing more.
    pub fn outputs(&mut self, expected: &[u8]) -> Verdict {
        self.unblock()?;
        for _ in 0..PATIENCE {
            self.turn(u16::MAX, &[]);
            // A device may continue only after a read of FR.
            let drained = self.any(reg::FR, fr::TXFE);
            if self.filling == 0 && self.output.len() >= expected.len() && drained {
                break;
            }
        }
        self.turn(u16::MAX, &[]);
        let output = core::mem::take(&mut self.output);
        self.same(
            &output,
            expected,
            "a byte of output",
            "the length of the output",
        )
    }

    /// Checks two sequences of bytes, first their common length.
    fn same(
        &mut self,
        seen: &[u8],
        expected: &[u8],
        byte: &'static str,
        length: &'static str,
    ) -> Verdict {
        for (&seen, &expected) in seen.iter().zip(expected) {
            self.check(byte, seen.into(), expected.into())?;
        }
        self.check(length, count(seen), count(expected))
    }

    /// Reads characters until there are no more, however slowly they arrive, and checks
    /// that they are `expected`, without any error.
    pub fn receives(&mut self, expected: &[u8]) -> Verdict {
        let mut left = expected.iter();
        let mut turns = 0;
        loop {
            if self.any(reg::FR, fr::RXFE) {
                if left.as_slice().is_empty() || turns > expected.len() {
                    break;
                }
                turns += 1;
                self.turn(0, &[]);
                continue;
            }
            let seen = self.read(reg::DR);
            let Some(&expected) = left.next() else {
                return self.fail("a character past the last", seen, 0);
            };
            self.check("a character received", seen, expected.into())?;
        }
        self.check("characters missing", count(left.as_slice()), 0)
    }

    /// Polls until `done`, while a held peer takes a few bytes each turn.
    pub fn wait(&mut self, what: &'static str, mut done: impl FnMut(&mut Self) -> bool) -> Verdict {
        for _ in 0..PATIENCE {
            if done(self) {
                return Ok(());
            }
            self.take(SIP);
        }
        self.fail(what, 0, 1)
    }
}

fn count(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
