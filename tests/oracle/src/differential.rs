// SPDX-License-Identifier: MIT
//! Any accesses at any offsets and widths, on a line with arbitrary room and input:
//! the values that the guest reads, the interrupt line, and the line's output are
//! the same on both sides.

use std::mem;

use arbitrary::{Arbitrary, Unstructured};
use vpl011::backend::{Backend, Sent};
use vpl011::trap::{Direction, Width};
use vpl011::{Access, Glance, Outcome, Profile, Uart};

use crate::manual::{DR, ENTRIES, FR, ICR, IMSC, MIS, RIS, ROWS, RSR, flag};
use crate::uart::{self, Line};

/// A step of a case.
#[derive(Arbitrary, Debug)]
pub enum Step {
    /// The guest loads.
    Read(At, Wide),
    /// The guest stores.
    Write(At, Wide, u32),
    /// The guest sends some characters.
    Send(u8, u8),
    /// The guest reads some characters.
    Receive(u8),
    /// The guest reads a register several times.
    Poll(At, u8),
    /// The line accepts so many more characters.
    Room(u8),
    /// The line has input.
    Feed(u8, u8),
    /// The far side signals.
    Event,
    /// A break arrives.
    Break,
    /// A character arrives that is not from the line.
    Character(u8),
    /// Whether the line requests doorbells from now on.
    Wants(bool),
}

/// Usually a register, sometimes any offset.
#[derive(Arbitrary, Debug)]
pub enum At {
    /// A register with an effect.
    Register(u8),
    /// Any row of the table.
    Row(u8),
    /// Any offset.
    Anywhere(u16),
}

/// The width of an access.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Wide {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

impl At {
    fn offset(&self) -> u16 {
        match self {
            Self::Register(index) => u16::from(index % 19) * 4,
            Self::Row(index) => ROWS[usize::from(*index) % ROWS.len()].offset,
            Self::Anywhere(offset) => *offset,
        }
    }
}

impl Wide {
    fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }

    fn width(self) -> Width {
        match self {
            Self::Byte => Width::Byte,
            Self::Half => Width::Half,
            Self::Word => Width::Word,
        }
    }
}

/// A line that requests a doorbell at everything, or at nothing, and refreshes its
/// view of the far side only as [`Backend`] requires.
#[derive(Clone, Debug, Default)]
struct Whimsical {
    line: Line,
    wants: bool,
    /// It requested a doorbell since this was last read.
    asked: bool,
    /// Characters were taken and not acknowledged.
    taken: bool,
}

impl Whimsical {
    fn ask(&mut self) -> bool {
        self.asked |= self.wants;
        self.wants
    }
}

impl Backend for Whimsical {
    fn try_send(&mut self, byte: u8) -> Sent {
        if self.line.room == 0 {
            return Sent::Full;
        }
        self.line.room -= 1;
        self.line.took.push(byte);
        if self.ask() { Sent::Ring } else { Sent::Quiet }
    }

    fn try_recv(&mut self) -> Option<u8> {
        if self.line.known == 0 {
            self.line.known = self.line.holds.len();
        }
        self.line.known = self.line.known.checked_sub(1)?;
        self.taken = true;
        self.line.holds.pop_front()
    }

    fn waiting(&self) -> usize {
        self.line.known
    }

    fn acknowledge(&mut self) -> bool {
        if !mem::take(&mut self.taken) {
            return false;
        }
        self.line.known = self.line.holds.len();
        self.ask()
    }

    fn look(&mut self) -> bool {
        self.line.known = self.line.holds.len();
        self.ask()
    }
}

/// A guest's accesses.
trait Guest {
    fn load(&mut self, offset: u16) -> u32;
    fn store(&mut self, offset: u16, value: u32);
}

impl Guest for Uart<Whimsical> {
    fn load(&mut self, offset: u16) -> u32 {
        self.read(Access::new(offset, Width::Word)).value
    }

    fn store(&mut self, offset: u16, value: u32) {
        let _ = self.write(Access::new(offset, Width::Word), value);
    }
}

impl Guest for uart::Uart {
    fn load(&mut self, offset: u16) -> u32 {
        self.load(offset, 4).0
    }

    fn store(&mut self, offset: u16, value: u32) {
        self.store(offset, 4, value);
    }
}

/// The state, by the values that a guest can read: the registers; the interrupts
/// when all are unmasked, after clears and status reads in either order; the
/// received characters.
fn state(mut guest: impl Guest, clears_first: bool) -> Vec<(u16, u32)> {
    let mut seen = Vec::with_capacity(160);
    let mut see = |guest: &mut dyn Guest, offset| {
        let value = guest.load(offset);
        seen.push((offset, value));
        value
    };
    let still = |offset: &u16| ![DR, RIS, MIS].contains(offset);
    for offset in ROWS.iter().map(|row| row.offset).filter(still) {
        see(&mut guest, offset);
    }
    if clears_first {
        guest.store(ICR, 0x7ff);
    }
    see(&mut guest, RIS);
    guest.store(IMSC, 0x7ff);
    see(&mut guest, MIS);
    for _ in 0..2 {
        guest.store(ICR, 0x7ff);
        see(&mut guest, RIS);
    }
    for _ in 0..2 * ENTRIES {
        if see(&mut guest, FR) & u32::from(flag::RXFE) != 0 {
            break;
        }
        for offset in [DR, RSR, RIS] {
            see(&mut guest, offset);
        }
    }
    seen
}

/// The device and the oracle.
struct Both {
    device: Uart<Whimsical>,
    oracle: uart::Uart,
    glance: Glance,
    /// The next character is offered to the fast path first, as by a hypervisor.
    short: bool,
}

impl Both {
    fn new(sbsa: bool, room: usize) -> Self {
        let profile = if sbsa { Profile::Sbsa } else { Profile::Pl011 };
        let mut backend = Whimsical::default();
        backend.line.room = room;
        Self {
            device: Uart::with_profile(profile, backend),
            oracle: uart::Uart::new(sbsa, room),
            glance: Glance::default(),
            short: false,
        }
    }

    fn read(&mut self, offset: u16, wide: Wide) {
        let access = Access::new(offset, wide.width());
        let glance = self.glance.peek(Direction::Read, access, 0);
        let (expected, in_vain) = self.oracle.load(offset, wide.bytes());
        let outcome = self.device.read(access);
        assert_eq!(outcome.value, expected, "read of {offset:#x}, {wide:?}");
        if let Some(glance) = glance {
            assert_eq!(glance, expected, "glance at {offset:#x}, {wide:?}");
        }
        assert_eq!(outcome.stalled, in_vain, "a guest that polls in vain");
        self.compare(outcome, false);
    }

    fn write(&mut self, offset: u16, wide: Wide, value: u32) {
        let access = Access::new(offset, wide.width());
        let glance = self.glance.peek(Direction::Write, access, value);
        let before = glance.map(|_| self.device.clone());
        let waited = self.oracle.waits();
        self.oracle.store(offset, wide.bytes(), value);
        self.short = !self.short;
        let sent = self
            .short
            .then(|| self.device.send(access, value))
            .flatten();
        let outcome = sent.unwrap_or_else(|| self.device.write(access, value));
        assert_eq!(outcome.value, 0);
        if let Some(before) = before {
            let after = self.device.clone();
            assert_eq!(
                state(after, false),
                state(before, false),
                "a write with no effect"
            );
        }
        // The first character that waits rings in any case.
        let starts_to_wait = !waited && self.oracle.waits();
        self.compare(outcome, starts_to_wait);
    }

    fn compare(&mut self, outcome: Outcome, rings: bool) {
        self.glance = outcome.glance;
        assert_eq!(outcome.pending.bits(), self.oracle.masked(), "UARTMIS");
        assert_eq!(outcome.pending, self.device.pending());
        let asked = mem::take(&mut self.device.backend_mut().asked);
        assert_eq!(outcome.doorbell, asked || rings, "doorbell");
        let (line, expected) = (&self.device.backend().line, &self.oracle.line);
        assert_eq!(line.took, expected.took, "what the line took");
        assert_eq!(line.room, expected.room, "what the line takes");
        // Each character is compared when it is read.
        assert_eq!(
            line.holds.len(),
            expected.holds.len(),
            "what the line holds"
        );
        assert_eq!(
            line.known, expected.known,
            "whether the line's state is known"
        );
        self.device.backend_mut().line.took.clear();
        self.oracle.line.took.clear();
        let counters = self.device.counters();
        assert_eq!(counters.dropped, self.oracle.discarded);
        assert_eq!(counters.overruns, self.oracle.overrun);
    }

    fn perform(&mut self, step: &Step) {
        match *step {
            Step::Read(ref at, wide) => self.read(at.offset(), wide),
            Step::Write(ref at, wide, value) => self.write(at.offset(), wide, value),
            Step::Send(count, byte) => {
                for _ in 0..count % 64 {
                    self.write(DR, Wide::Byte, byte.into());
                }
            }
            Step::Receive(count) => {
                for _ in 0..count % 64 {
                    self.read(DR, Wide::Word);
                }
            }
            Step::Poll(ref at, count) => {
                for _ in 0..count % 4 {
                    self.read(at.offset(), Wide::Word);
                }
            }
            Step::Room(room) => {
                self.device.backend_mut().line.room = room.into();
                self.oracle.line.room = room.into();
            }
            Step::Feed(count, byte) => {
                for line in [&mut self.device.backend_mut().line, &mut self.oracle.line] {
                    let bytes = (0..count % 64).map(|at| byte.wrapping_add(at));
                    line.holds.extend(bytes);
                }
            }
            Step::Event => {
                self.oracle.event();
                let outcome = self.device.backend_event();
                self.compare(outcome, false);
            }
            Step::Break => {
                self.oracle.receive_break();
                let outcome = self.device.receive_break();
                self.compare(outcome, false);
            }
            Step::Character(byte) => {
                self.oracle.receive(byte);
                let outcome = self.device.receive(byte);
                self.compare(outcome, false);
            }
            Step::Wants(wants) => self.device.backend_mut().wants = wants,
        }
    }
}

/// A case: the UART, the line's room, and the steps.
#[derive(Debug)]
pub struct Case {
    /// The SBSA UART, not the PL011.
    pub sbsa: bool,
    /// Characters that the line accepts at first.
    pub room: usize,
    /// The steps in order.
    pub steps: Vec<Step>,
}

impl Case {
    /// The case for these bytes: the first selects the UART and the room, the
    /// others the steps.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        let (setup, data) = data.split_first().unwrap_or((&0, &[]));
        let mut input = Unstructured::new(data);
        let steps = std::iter::from_fn(|| {
            if input.is_empty() {
                return None;
            }
            input.arbitrary().ok()
        });
        Self {
            sbsa: setup & 1 != 0,
            room: usize::from(setup >> 1),
            steps: steps.collect(),
        }
    }

    /// Runs the case on device and oracle.
    ///
    /// # Panics
    ///
    /// Where they differ.
    pub fn run(&self) {
        let mut both = Both::new(self.sbsa, self.room);
        for step in &self.steps {
            both.perform(step);
        }
        for clears_first in [false, true] {
            let device = state(both.device.clone(), clears_first);
            let oracle = state(both.oracle.clone(), clears_first);
            assert_eq!(device, oracle, "what a guest finds in the end");
        }
    }
}
