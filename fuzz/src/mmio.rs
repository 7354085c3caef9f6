// SPDX-License-Identifier: MIT
//! Any accesses at any offsets and widths, on a line that takes and gives as
//! it likes: what the guest reads, the interrupt line, and what the line got
//! are those of a naive [`Model`].

use arbitrary::Arbitrary;
use vpl011::backend::{Backend, Sent, Traffic};
use vpl011::trap::{Direction, Width};
use vpl011::{Access, Glance, Outcome, Profile, Uart};

use crate::all;
use crate::model::{DR, Line, Model};

#[derive(Arbitrary, Debug)]
enum Step {
    Read(At, Wide),
    Write(At, Wide, u32),
    /// The guest sends some characters.
    Send(u8, u8),
    /// The guest reads some characters.
    Receive(u8),
    /// The line takes so many more characters.
    Room(u8),
    /// The line has input.
    Feed(u8, u8),
    /// The far side signals.
    Event,
    Break,
    Character(u8),
    /// The line wants to be told, or not, of what comes next.
    Wants(bool),
}

/// A register most of the time, and sometimes anywhere.
#[derive(Arbitrary, Debug)]
enum At {
    Register(u8),
    Identification(u8),
    Anywhere(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wide {
    Byte,
    Half,
    Word,
}

impl At {
    fn offset(&self) -> u16 {
        match self {
            Self::Register(index) => u16::from(index % 19) * 4,
            Self::Identification(index) => 0xfe0 + u16::from(index % 8) * 4,
            Self::Anywhere(offset) => *offset,
        }
    }
}

impl From<Wide> for Width {
    fn from(wide: Wide) -> Self {
        match wide {
            Wide::Byte => Self::Byte,
            Wide::Half => Self::Half,
            Wide::Word => Self::Word,
        }
    }
}

/// A line that says of everything that it wants to be told, or of nothing.
#[derive(Debug, Default)]
struct Whimsical {
    line: Line,
    wants: bool,
    /// It asked to be told since this was last looked at.
    asked: bool,
}

impl Backend for Whimsical {
    fn has_room(&self) -> bool {
        self.line.room > 0
    }

    fn try_send(&mut self, byte: u8) -> Sent {
        if self.line.room == 0 {
            return Sent::Full;
        }
        self.line.room -= 1;
        self.line.output.push(byte);
        self.asked |= self.wants;
        if self.wants { Sent::Ring } else { Sent::Quiet }
    }

    fn try_recv(&mut self) -> Option<u8> {
        self.line.input.pop_front()
    }

    fn acknowledge(&mut self) -> bool {
        self.asked |= self.wants;
        self.wants
    }

    fn has_input(&self) -> bool {
        !self.line.input.is_empty()
    }

    fn event(&mut self) -> bool {
        self.asked |= self.wants;
        self.wants
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

/// The device and the model, side by side.
struct Both {
    uart: Uart<Whimsical>,
    model: Model,
    glance: Glance,
    /// The next character is offered to the short way first, as by a
    /// hypervisor.
    short: bool,
}

impl Both {
    fn new(sbsa: bool, room: usize) -> Self {
        let profile = if sbsa { Profile::Sbsa } else { Profile::Pl011 };
        let mut backend = Whimsical::default();
        backend.line.room = room;
        Self {
            uart: Uart::with_profile(profile, backend),
            model: Model::new(sbsa, room),
            glance: Glance::default(),
            short: false,
        }
    }

    fn read(&mut self, offset: u16, width: Width) {
        let glance = self.peek(Direction::Read, offset, width, 0);
        let expected = self.model.read(offset, width);
        let outcome = self.uart.read(Access::new(offset, width));
        assert_eq!(outcome.value, expected, "read of {offset:#x}, {width:?}");
        if let Some(glance) = glance {
            assert_eq!(glance, expected, "glance at {offset:#x}, {width:?}");
        }
        let waits = offset == 0x018 && self.model.is_blocked();
        assert_eq!(outcome.stalled, waits, "a guest that polls in vain");
        self.compare(outcome, false);
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        let glance = self.peek(Direction::Write, offset, width, value);
        let before = glance.map(|_| format!("{:?}", self.uart));
        let was_drained = !self.model.is_blocked();
        self.model.write(offset, width, value);
        let access = Access::new(offset, width);
        self.short = !self.short;
        let sent = self.short.then(|| self.uart.send(access, value)).flatten();
        let outcome = sent.unwrap_or_else(|| self.uart.write(access, value));
        assert_eq!(outcome.value, 0);
        if let Some(before) = before {
            assert_eq!(format!("{:?}", self.uart), before, "a write with no effect");
        }
        // The first character that waits is told of, whatever the line wants.
        let starts_to_wait = was_drained && self.model.is_blocked();
        self.compare(outcome, starts_to_wait);
    }

    /// What the last outcome's glance says of an access.
    fn peek(&self, direction: Direction, offset: u16, width: Width, value: u32) -> Option<u32> {
        self.glance
            .peek(direction, Access::new(offset, width), value)
    }

    fn compare(&mut self, outcome: Outcome, rings: bool) {
        self.glance = outcome.glance;
        assert_eq!(outcome.pending.bits(), self.model.pending(), "UARTMIS");
        assert_eq!(outcome.pending, self.uart.pending());
        let asked = std::mem::take(&mut self.uart.backend_mut().asked);
        assert_eq!(outcome.doorbell, asked || rings, "doorbell");
        let (line, expected) = (&self.uart.backend().line, &self.model.line);
        assert_eq!(line.output, expected.output, "what the line took");
        assert_eq!(line.input, expected.input, "what the line holds");
        let counters = self.uart.counters();
        assert_eq!(counters.dropped, self.model.dropped);
        assert_eq!(counters.overruns, self.model.overruns);
    }

    fn perform(&mut self, step: &Step) {
        match *step {
            Step::Read(ref at, wide) => self.read(at.offset(), wide.into()),
            Step::Write(ref at, wide, value) => self.write(at.offset(), wide.into(), value),
            Step::Send(count, byte) => {
                for _ in 0..count % 64 {
                    self.write(DR, Width::Byte, byte.into());
                }
            }
            Step::Receive(count) => {
                for _ in 0..count % 64 {
                    self.read(DR, Width::Word);
                }
            }
            Step::Room(room) => {
                self.uart.backend_mut().line.room = room.into();
                self.model.line.room = room.into();
            }
            Step::Feed(count, byte) => {
                for line in [&mut self.uart.backend_mut().line, &mut self.model.line] {
                    line.input
                        .extend((0..count % 64).map(|at| byte.wrapping_add(at)));
                }
            }
            Step::Event => {
                self.model.event();
                let outcome = self.uart.backend_event();
                self.compare(outcome, false);
            }
            Step::Break => {
                self.model.receive_break();
                let outcome = self.uart.receive_break();
                self.compare(outcome, false);
            }
            Step::Character(byte) => {
                self.model.receive(byte);
                let outcome = self.uart.receive(byte);
                self.compare(outcome, false);
            }
            Step::Wants(wants) => self.uart.backend_mut().wants = wants,
        }
    }
}

/// Any accesses and events.
pub fn run(data: &[u8]) {
    let Some(([setup], steps)) = data.split_first_chunk() else {
        return;
    };
    let mut both = Both::new(setup & 1 != 0, usize::from(setup >> 1));
    for step in all(steps) {
        both.perform(&step);
    }
}
