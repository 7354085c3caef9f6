// SPDX-License-Identifier: MIT
//! A PL011 according to the TRM and docs/design/requirements.md, as simple as
//! possible. Levels and flags are computed from the FIFOs; what a guest has seen is
//! recorded with its time.

use std::collections::VecDeque;

use crate::manual::{
    CR, DR, ENTRIES, FR, ICR, IFLS, IMSC, LCR_H, LEVELS, MIS, RIS, ROWS, RSR, Row, WIRES, control,
    error, flag, interrupt, line_control,
};

/// The line's output, input, and room for more output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) room: usize,
    pub(crate) took: Vec<u8>,
    pub(crate) holds: VecDeque<u8>,
    /// How much input it was last known to hold.
    pub(crate) known: usize,
}

/// RX or RT: when the guest was shown it, and when the guest cleared it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Telling {
    told: Option<u64>,
    cleared: Option<u64>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something of its own"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uart {
    generic: bool,
    pub(crate) line: Line,
    /// The values of the rows that store.
    held: [u16; ROWS.len()],
    /// Interrupts that an event sets and a clear removes: all except RX and RT.
    latched: u16,
    /// UARTRSR.
    status: u16,
    /// Characters with their error bits, as UARTDR shows them.
    received: VecDeque<u16>,
    /// A character was lost; the next one must have OE.
    lost: bool,
    /// The time of the receiver: the number of characters that arrived or were
    /// read.
    happened: u64,
    rx: Telling,
    rt: Telling,
    /// How much input waited on the line when that was last known.
    waited: usize,
    /// Characters that wait for the line.
    to_send: VecDeque<u8>,
    /// Characters written that, as far as the guest can see, may still be in
    /// transmission.
    in_flight: usize,
    /// The guest was shown such a character in transmission.
    shown: bool,
    /// The last access to UARTFR or UARTDR was a read of UARTFR while characters
    /// waited.
    looked_in_vain: bool,
    pub(crate) discarded: u64,
    pub(crate) overrun: u64,
}

impl Uart {
    pub(crate) fn new(generic: bool, room: usize) -> Self {
        let mut uart = Self {
            generic,
            line: Line {
                room,
                ..Line::default()
            },
            held: std::array::from_fn(|at| ROWS[at].reset),
            latched: 0,
            status: 0,
            received: VecDeque::new(),
            lost: false,
            happened: 0,
            rx: Telling::default(),
            rt: Telling::default(),
            waited: 0,
            to_send: VecDeque::new(),
            in_flight: 0,
            shown: false,
            looked_in_vain: false,
            discarded: 0,
            overrun: 0,
        };
        if generic {
            // Firmware is assumed to have enabled the FIFOs.
            *uart.cell(LCR_H) = line_control::FEN;
        }
        uart
    }

    fn cell(&mut self, offset: u16) -> &mut u16 {
        &mut self.held[index(offset)]
    }

    fn is(&self, offset: u16, bit: u16) -> bool {
        self.held[index(offset)] & bit != 0
    }

    fn has_fifos(&self) -> bool {
        self.is(LCR_H, line_control::FEN)
    }

    /// Entries of either FIFO, as the guest sees it.
    fn entries(&self) -> usize {
        if self.has_fifos() { ENTRIES } else { 1 }
    }

    /// TRM 2.8.2: the level, or without FIFOs one character.
    fn receive_level(&self) -> usize {
        if self.has_fifos() {
            LEVELS[usize::from(self.held[index(IFLS)] >> 3 & 7)]
        } else {
            1
        }
    }

    /// TRM 2.8.3: at or below the level, or without FIFOs empty.
    fn transmit_level_is_reached(&self) -> bool {
        let level = if self.has_fifos() {
            LEVELS[usize::from(self.held[index(IFLS)] & 7)]
        } else {
            0
        };
        self.to_send.len() <= level
    }

    fn loops(&self) -> bool {
        self.is(CR, control::LBE)
    }

    fn loops_characters(&self) -> bool {
        self.loops() && self.is(CR, control::RXE)
    }

    fn is_full(&self) -> bool {
        self.received.len() >= self.entries()
    }

    /// UARTRIS.
    fn raw(&self) -> u16 {
        let cleared = |telling: Telling| telling.cleared == Some(self.happened);
        let mut raw = self.latched;
        if self.received.len() >= self.receive_level() && !cleared(self.rx) {
            raw |= interrupt::RX;
        }
        // TRM 2.8.4, 3.3.11 note a. No character follows within 32 bit periods:
        // either there is none, or there is no room for it.
        let enabled = self.is(IMSC, interrupt::RT);
        if enabled && !self.received.is_empty() && !cleared(self.rt) {
            raw |= interrupt::RT;
        }
        raw
    }

    /// UARTMIS.
    pub(crate) fn masked(&self) -> u16 {
        self.raw() & self.held[index(IMSC)]
    }

    /// Modem inputs: the far side is always present; in loopback our own outputs.
    fn modem(&self) -> u16 {
        if !self.loops() {
            return flag::CTS | flag::DSR | flag::DCD;
        }
        WIRES
            .iter()
            .filter(|(output, ..)| self.is(CR, *output))
            .fold(0, |inputs, (_, input, _)| inputs | input)
    }

    /// UARTFR, from the characters that wait.
    fn flags(&self) -> u16 {
        let waits = !self.to_send.is_empty();
        [
            (flag::BUSY, waits),
            (flag::TXFE, !waits),
            (flag::TXFF, self.to_send.len() >= self.entries()),
            (flag::RXFE, self.received.is_empty()),
            (flag::RXFF, self.is_full()),
        ]
        .iter()
        .filter(|(_, holds)| *holds)
        .fold(self.modem(), |flags, (bit, _)| flags | bit)
    }

    /// Whether characters wait for the line.
    pub(crate) fn waits(&self) -> bool {
        !self.to_send.is_empty()
    }

    fn row(&self, offset: u16) -> Option<usize> {
        let row = ROWS.iter().position(|row| row.offset == offset)?;
        (ROWS[row].generic || !self.generic).then_some(row)
    }

    /// A load of so many bytes. The second value is whether the guest polls without
    /// effect.
    pub(crate) fn load(&mut self, offset: u16, bytes: u32) -> (u32, bool) {
        let mut in_vain = false;
        let value = match (offset, self.row(offset)) {
            (_, None) => 0,
            (DR, _) => self.take(),
            (RSR, _) => self.status,
            (FR, _) => {
                let flags = self.look();
                in_vain = self.looked_in_vain && self.waits() && self.received.is_empty();
                self.looked_in_vain = self.waits();
                flags
            }
            (RIS, _) => self.tell(self.raw()),
            (MIS, _) => self.tell(self.masked()),
            (_, Some(row)) => self.held[row],
        };
        (u32::from(value) & mask(bytes), in_vain)
    }

    /// A store of so many bytes.
    pub(crate) fn store(&mut self, offset: u16, bytes: u32, value: u32) {
        let Some(at) = self.row(offset) else { return };
        let Row { stores, .. } = ROWS[at];
        let [low, high, ..] = (value & mask(bytes)).to_le_bytes();
        let value = u16::from_le_bytes([low, high]);
        let untouched = if bytes == 1 { 0xff00 } else { 0 };
        let stored = (self.held[at] & untouched | value) & stores;
        match offset {
            DR => self.send(low),
            RSR => self.status = 0,
            ICR => self.clear(value),
            IMSC => {
                self.held[at] = stored;
                self.rx.cleared = None;
                self.rt.cleared = None;
            }
            _ if stores != 0 => self.configure(at, stored),
            _ => {}
        }
    }

    // The transmitter.

    /// The transmission time of all characters has passed.
    fn time_passes(&mut self) {
        self.in_flight = 0;
        self.shown = false;
    }

    /// A read of UARTFR. The first after characters were written shows them in
    /// transmission, the next shows them sent. Without FIFOs they are shown so only
    /// in loopback with a full receiver.
    fn look(&mut self) -> u16 {
        self.hand_over();
        let flags = self.flags();
        let held = self.loops_characters() && self.is_full();
        if self.waits() {
            self.shown = true;
            return flags;
        }
        if self.in_flight == 0 || self.shown || !(held || self.has_fifos()) {
            self.time_passes();
            return flags;
        }
        self.shown = true;
        let full = if held || self.in_flight == ENTRIES {
            flag::TXFF
        } else {
            0
        };
        flags & !flag::TXFE | flag::BUSY | full
    }

    /// Waiting characters go to the line as it has room.
    fn hand_over(&mut self) {
        while self.line.room > 0
            && let Some(byte) = self.to_send.pop_front()
        {
            self.line.room -= 1;
            self.line.took.push(byte);
            // TRM 2.8.3: set when the level is passed downwards.
            if self.transmit_level_is_reached() {
                self.latched |= interrupt::TX;
            }
        }
    }

    /// A character is written.
    fn send(&mut self, byte: u8) {
        self.looked_in_vain = false;
        self.in_flight = (self.in_flight + 1).min(ENTRIES);
        self.shown = false;
        if self.loops() {
            if self.loops_characters() {
                self.arrive(byte.into());
            }
        } else {
            self.hand_over();
            if self.to_send.len() < ENTRIES {
                self.to_send.push_back(byte);
            } else {
                self.discarded += 1;
            }
        }
        self.latched &= !interrupt::TX;
        if self.transmit_level_is_reached() {
            self.latched |= interrupt::TX;
        }
        self.hand_over();
    }

    // The receiver.

    /// A character arrives, from the line or from loopback.
    fn arrive(&mut self, character: u16) {
        self.happened += 1;
        if self.is_full() {
            // TRM 2.4.3: the FIFO's content remains.
            self.overrun += 1;
            self.lost = true;
            self.status |= error::OVERRUN;
            self.latched |= interrupt::OE;
            return;
        }
        if character >> 8 & error::BREAK != 0 {
            self.latched |= interrupt::BE;
        }
        let overrun = if self.lost { error::OVERRUN << 8 } else { 0 };
        self.lost = false;
        self.received.push_back(character | overrun);
    }

    /// Fills the FIFO if input is known to wait. A line that is read for a
    /// character reports how much it holds; characters newly known to wait there
    /// have arrived.
    fn fill(&mut self) {
        while self.line.known > 0 && !self.is_full() && !self.loops() {
            let next = self.line.holds.pop_front();
            self.line.known = self.line.holds.len();
            let Some(byte) = next else { break };
            self.arrive(byte.into());
        }
        if self.waiting() > self.waited {
            self.happened += 1;
        }
        self.waited = self.waiting();
    }

    /// How much input is known to wait on the line.
    fn waiting(&self) -> usize {
        if self.loops() { 0 } else { self.line.known }
    }

    /// UARTDR is read.
    fn take(&mut self) -> u16 {
        self.looked_in_vain &= self.received.is_empty();
        let character = self.received.pop_front();
        // More input is taken once a driver has read below the level.
        let below = self.received.len() < self.receive_level();
        if let Some(character) = character {
            self.happened += 1;
            // TRM 3.3.2: OE is immediate; the others belong to the character read
            // last.
            self.status = self.status & error::OVERRUN | character >> 8;
        }
        if below {
            self.fill();
        }
        character.unwrap_or(0)
    }

    // Interrupts.

    /// The guest reads a status.
    fn tell(&mut self, status: u16) -> u16 {
        for (bit, telling) in [(interrupt::RX, &mut self.rx), (interrupt::RT, &mut self.rt)] {
            if status & bit != 0 {
                telling.told = Some(self.happened);
            }
        }
        if status & interrupt::TX != 0 {
            self.time_passes();
        }
        status
    }

    /// The guest clears interrupts. One that it was shown is gone until something
    /// happens. One that it was not shown stays; if it was delivered, it counts as
    /// shown from now on.
    fn clear(&mut self, which: u16) {
        let told = |telling: Telling| telling.told == Some(self.happened);
        let mut known = 0;
        if told(self.rx) {
            known |= interrupt::RX;
        }
        if told(self.rt) {
            known |= interrupt::RT;
        }
        if which & self.raw() & known != 0 && (self.is_full() || self.waited > 0) {
            // Input that was not seen yet may have arrived meanwhile.
            self.event();
        }
        let raised = which & self.raw();
        let enabled = self.held[index(IMSC)];
        let now = Some(self.happened);
        for (bit, telling) in [(interrupt::RX, &mut self.rx), (interrupt::RT, &mut self.rt)] {
            if raised & bit != 0 {
                if telling.told == now {
                    telling.cleared = now;
                } else if enabled & bit != 0 {
                    telling.told = now;
                }
            }
        }
        self.latched &= !raised;
        if raised & interrupt::TX != 0 {
            // Characters in transmission are sent after the clear.
            if self.in_flight > 0 && self.transmit_level_is_reached() {
                self.latched |= interrupt::TX;
            }
            if !self.shown || enabled & interrupt::TX != 0 {
                self.time_passes();
            }
        }
    }

    /// A register that stores is written.
    fn configure(&mut self, row: usize, value: u16) {
        let (fifos, loops, modem) = (self.has_fifos(), self.loops(), self.modem());
        let breaks = |uart: &Self| uart.loops() && uart.is(LCR_H, line_control::BRK);
        let broke = breaks(self);
        self.held[row] = value;
        if self.has_fifos() != fifos {
            self.received.clear();
            self.happened += 1;
        }
        if self.has_fifos() != fifos || self.loops() != loops {
            self.time_passes();
        }
        if !self.transmit_level_is_reached() {
            self.latched &= !interrupt::TX;
        }
        if breaks(self) && !broke && self.loops_characters() {
            self.arrive(error::BREAK << 8);
        }
        for (_, input, raises) in WIRES {
            if (self.modem() ^ modem) & input != 0 {
                self.latched |= raises;
            }
        }
        self.fill();
    }

    // The line.

    /// The far side signalled.
    pub(crate) fn event(&mut self) {
        self.line.known = self.line.holds.len();
        self.hand_over();
        self.fill();
    }

    /// A character arrives that is not from the line.
    pub(crate) fn receive(&mut self, byte: u8) {
        if !self.loops() {
            self.arrive(byte.into());
        }
    }

    /// A break arrives.
    pub(crate) fn receive_break(&mut self) {
        if !self.loops() {
            self.arrive(error::BREAK << 8);
        }
    }
}

fn index(offset: u16) -> usize {
    ROWS.iter()
        .position(|row| row.offset == offset)
        .expect("a row of the table")
}

fn mask(bytes: u32) -> u32 {
    if bytes == 4 {
        u32::MAX
    } else {
        (1 << (8 * bytes)) - 1
    }
}
