// SPDX-License-Identifier: MIT
//! Drivers that receive, as a family: every way in which one handler differs from
//! another, in all combinations.

mod play;

pub use play::{Burst, Scene, Wrong};

use crate::registers::{fr, int, lcr_h, reg};
use crate::target::Width;

/// When the handler reads the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not at all.
    Never,
    /// UARTRIS, first.
    Before,
    /// UARTMIS, last; while it is not 0 the handler continues.
    After,
}

/// How much the handler reads at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Until RXFE.
    All,
    /// One character.
    One,
    /// As many as the trigger level, or until RXFE.
    Level,
    /// Nothing: a thread reads until RXFE. A handler that does not clear the interrupt
    /// masks it until then.
    Later,
}

/// When the handler clears interrupts, and which ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// Never.
    Nothing,
    /// The enabled ones, before it reads characters.
    OwnBefore,
    /// The enabled ones, after it read characters.
    OwnAfter,
    /// All, before it reads characters.
    AllBefore,
    /// All, after it read characters.
    AllAfter,
}

/// One driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// When it reads the status.
    pub status: Status,
    /// How much it reads.
    pub drain: Drain,
    /// What it clears.
    pub acknowledge: Acknowledge,
    /// The interrupts it enables: RX, RT or both.
    pub mask: u32,
    /// With FIFOs, the RX field of UARTIFLS.
    pub level: Option<u8>,
    /// The width of its accesses.
    pub width: Width,
}

const STATUS: [Status; 3] = [Status::Never, Status::Before, Status::After];
const DRAIN: [Drain; 4] = [Drain::All, Drain::One, Drain::Level, Drain::Later];
const ACKNOWLEDGE: [Acknowledge; 5] = [
    Acknowledge::Nothing,
    Acknowledge::OwnBefore,
    Acknowledge::OwnAfter,
    Acknowledge::AllBefore,
    Acknowledge::AllAfter,
];
const MASK: [u32; 3] = [int::RX, int::RT, int::RX | int::RT];
const LEVEL: [Option<u8>; 6] = [None, Some(0), Some(1), Some(2), Some(3), Some(4)];
const WIDTH: [Width; 3] = [Width::Byte, Width::Half, Width::Word];

/// Every member.
pub fn members() -> impl Iterator<Item = Member> {
    let count =
        STATUS.len() * DRAIN.len() * ACKNOWLEDGE.len() * MASK.len() * LEVEL.len() * WIDTH.len();
    (0..count).map(|mut at| Member {
        width: pick(&mut at, &WIDTH),
        level: pick(&mut at, &LEVEL),
        mask: pick(&mut at, &MASK),
        acknowledge: pick(&mut at, &ACKNOWLEDGE),
        drain: pick(&mut at, &DRAIN),
        status: pick(&mut at, &STATUS),
    })
}

/// The digit of `at` that selects one of `from`; the other digits are left in `at`.
fn pick<T: Copy>(at: &mut usize, from: &[T]) -> T {
    let digit = *at % from.len();
    *at /= from.len();
    from[digit]
}

/// The driver's access to the device, and the destination of its input.
pub trait Port {
    /// Loads from a register.
    fn read(&mut self, offset: u16, width: Width) -> u32;

    /// Stores to a register.
    fn write(&mut self, offset: u16, width: Width, value: u32);

    /// The driver has read this character.
    fn received(&mut self, byte: u8);
}

/// A handler ran for longer than any input lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endless;

/// Rounds of one handler call, and characters of one drain, that no correct device
/// needs.
const ENDLESS: usize = 1 << 20;

impl Member {
    /// Whether its thread has work after each interrupt.
    #[must_use]
    pub fn drains_later(&self) -> bool {
        self.drain == Drain::Later
    }

    /// Whether it suits an SBSA UART: it enables FIFOs, and their level is that of
    /// reset.
    #[must_use]
    pub fn suits_sbsa(&self) -> bool {
        self.level == Some(2)
    }

    /// Whether it clears what it was shown and then leaves characters unread: a defect
    /// of the driver on any UART.
    #[must_use]
    pub fn forgets(&self) -> bool {
        let leaves = matches!(self.drain, Drain::One | Drain::Level);
        let clears_after = matches!(
            self.acknowledge,
            Acknowledge::OwnAfter | Acknowledge::AllAfter
        );
        self.status != Status::Never && clears_after && leaves
    }

    /// Characters that it may leave unread at the end: with RXIM alone, fewer than the
    /// level are not reported.
    #[must_use]
    pub fn may_leave(&self) -> usize {
        if self.mask == int::RX {
            self.trigger() - 1
        } else {
            0
        }
    }

    /// The level at which RXRIS is raised.
    #[must_use]
    pub fn trigger(&self) -> usize {
        match self.level {
            None => 1,
            Some(0) => 4,
            Some(1) => 8,
            Some(2) => 16,
            Some(3) => 24,
            Some(_) => 28,
        }
    }

    /// Entries of its receive FIFO.
    #[must_use]
    pub fn depth(&self) -> usize {
        if self.level.is_some() { 32 } else { 1 }
    }

    /// Opens the port.
    pub fn open(&self, port: &mut impl Port) {
        if let Some(level) = self.level {
            self.write(port, reg::IFLS, u32::from(level) << 3);
        }
        let fifos = if self.level.is_some() { lcr_h::FEN } else { 0 };
        self.write(port, reg::LCR_H, fifos | lcr_h::WLEN8);
        self.write(port, reg::IMSC, self.mask);
    }

    /// The interrupt handler. The thread of a driver that drains later has work after
    /// it.
    pub fn interrupt(&self, port: &mut impl Port) -> Result<(), Endless> {
        for _ in 0..ENDLESS {
            if self.status == Status::Before {
                self.read(port, reg::RIS);
            }
            match self.acknowledge {
                Acknowledge::OwnBefore => self.write(port, reg::ICR, self.mask),
                Acknowledge::AllBefore => self.write(port, reg::ICR, int::ALL),
                Acknowledge::Nothing if self.drains_later() => {
                    self.write(port, reg::IMSC, 0);
                }
                _ => {}
            }
            match self.drain {
                Drain::All => self.take(port, ENDLESS)?,
                Drain::One => self.take(port, 1)?,
                Drain::Level => self.take(port, self.trigger())?,
                Drain::Later => {}
            }
            match self.acknowledge {
                Acknowledge::OwnAfter => self.write(port, reg::ICR, self.mask),
                Acknowledge::AllAfter => self.write(port, reg::ICR, int::ALL),
                _ => {}
            }
            let shown = self.status == Status::After && self.read(port, reg::MIS) & self.mask != 0;
            if !shown || self.drains_later() {
                return Ok(());
            }
        }
        Err(Endless)
    }

    /// The thread of a driver that drains later.
    pub fn thread(&self, port: &mut impl Port) -> Result<(), Endless> {
        self.take(port, ENDLESS)?;
        if self.acknowledge == Acknowledge::Nothing {
            self.write(port, reg::IMSC, self.mask);
        }
        Ok(())
    }

    /// Reads until RXFE, `most` characters at most.
    fn take(&self, port: &mut impl Port, most: usize) -> Result<(), Endless> {
        for _ in 0..most {
            if self.read(port, reg::FR) & fr::RXFE != 0 {
                return Ok(());
            }
            let [character, ..] = self.read(port, reg::DR).to_le_bytes();
            port.received(character);
        }
        if most == ENDLESS {
            Err(Endless)
        } else {
            Ok(())
        }
    }

    fn read(&self, port: &mut impl Port, offset: u16) -> u32 {
        port.read(offset, self.width)
    }

    fn write(&self, port: &mut impl Port, offset: u16, value: u32) {
        port.write(offset, self.width, value);
    }
}
