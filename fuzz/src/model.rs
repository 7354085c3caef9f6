// SPDX-License-Identifier: MIT
//! A PL011 as plain as it can be said, after Arm DDI 0183G and the decisions
//! of docs/requirements.md: nothing is kept that can be computed, and nothing
//! is shared with `src/` but the width of an access.

use std::collections::VecDeque;

use vpl011::trap::Width;

/// Offsets, TRM 3.2.
pub(crate) const DR: u16 = 0x000;
const RSR: u16 = 0x004;
const FR: u16 = 0x018;
const ILPR: u16 = 0x020;
const IBRD: u16 = 0x024;
const FBRD: u16 = 0x028;
const LCR_H: u16 = 0x02c;
const CR: u16 = 0x030;
const IFLS: u16 = 0x034;
const IMSC: u16 = 0x038;
const RIS: u16 = 0x03c;
const MIS: u16 = 0x040;
const ICR: u16 = 0x044;
const DMACR: u16 = 0x048;

/// Interrupts, TRM 3.3.11.
const INT_RI: u16 = 1;
const INT_CTS: u16 = 2;
const INT_DCD: u16 = 4;
const INT_DSR: u16 = 8;
const INT_RX: u16 = 0x10;
const INT_TX: u16 = 0x20;
const INT_RT: u16 = 0x40;
const INT_BE: u16 = 0x200;
const INT_OE: u16 = 0x400;

/// Bits 11:8 of UARTDR.
const OE: u16 = 0x800;
const BE: u16 = 0x400;

/// The line: what it took, what it holds, and how much more it takes.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) room: usize,
    pub(crate) output: Vec<u8>,
    pub(crate) input: VecDeque<u8>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something of its own"
)]
pub(crate) struct Model {
    sbsa: bool,
    pub(crate) line: Line,
    ilpr: u16,
    ibrd: u16,
    fbrd: u16,
    lcr_h: u16,
    cr: u16,
    ifls: u16,
    dmacr: u16,
    imsc: u16,
    /// All of RIS but RT, which follows from the rest.
    ris: u16,
    rsr: u16,
    tx: VecDeque<u8>,
    rx: VecDeque<u16>,
    /// A character was lost, and none came since.
    lost: bool,
    /// Something was written since TXRIS was last seen or cleared.
    unseen: bool,
    /// RT was not cleared since its last cause.
    rt_armed: bool,
    /// The line was left with input when the FIFO was last filled.
    waiting: bool,
    /// The guest was shown once that a full loop is held.
    shown: bool,
    /// Characters gone straight out since FIFOs were last shown as full.
    straight: usize,
    pub(crate) dropped: u64,
    pub(crate) overruns: u64,
}

impl Model {
    pub(crate) fn new(sbsa: bool, room: usize) -> Self {
        Self {
            sbsa,
            line: Line {
                room,
                ..Line::default()
            },
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: if sbsa { 0x10 } else { 0 },
            cr: 0x300,
            ifls: 0x12,
            dmacr: 0,
            imsc: 0,
            ris: 0,
            rsr: 0,
            tx: VecDeque::new(),
            rx: VecDeque::new(),
            lost: false,
            unseen: false,
            rt_armed: false,
            waiting: false,
            shown: false,
            straight: 0,
            dropped: 0,
            overruns: 0,
        }
    }

    fn depth(&self) -> usize {
        if self.lcr_h & 0x10 != 0 { 32 } else { 1 }
    }

    fn level(select: u16) -> usize {
        [4, 8, 16, 24, 28, 28, 28, 28][usize::from(select & 7)]
    }

    fn tx_trigger(&self) -> usize {
        if self.depth() == 1 {
            0
        } else {
            Self::level(self.ifls)
        }
    }

    fn rx_trigger(&self) -> usize {
        if self.depth() == 1 {
            1
        } else {
            Self::level(self.ifls >> 3)
        }
    }

    fn loops(&self) -> bool {
        self.cr & 0x80 != 0
    }

    fn loops_to_receiver(&self) -> bool {
        self.loops() && self.cr & 0x200 != 0
    }

    fn set(&mut self, interrupt: u16, on: bool) {
        self.ris &= !interrupt;
        if on {
            self.ris |= interrupt;
        }
    }

    fn raw(&self) -> u16 {
        let silent = self.rx.len() < self.rx_trigger() || !self.waiting;
        let timeout = self.imsc & INT_RT != 0 && self.rt_armed && silent && !self.rx.is_empty();
        self.ris | if timeout { INT_RT } else { 0 }
    }

    pub(crate) fn pending(&self) -> u16 {
        self.raw() & self.imsc
    }

    /// Whether the guest should not look at TXFF for want of the far side.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.tx.is_empty()
    }

    fn modem(&self) -> u16 {
        if !self.loops() {
            return 0b111;
        }
        let wire = |from: u16, to: u16| if self.cr & from != 0 { to } else { 0 };
        // RTS to CTS, DTR to DSR, Out1 to DCD, Out2 to RI.
        wire(1 << 11, 1) | wire(1 << 10, 2) | wire(1 << 12, 4) | wire(1 << 13, 1 << 8)
    }

    fn flags(&self) -> u16 {
        let flag = |bit: u16, on: bool| if on { 1 << bit } else { 0 };
        self.modem()
            | flag(3, !self.tx.is_empty())
            | flag(4, self.rx.is_empty())
            | flag(5, self.tx.len() >= self.depth())
            | flag(6, self.rx.len() >= self.depth())
            | flag(7, self.tx.is_empty())
    }

    fn drain(&mut self) {
        while self.line.room > 0
            && let Some(byte) = self.tx.pop_front()
        {
            self.line.room -= 1;
            self.line.output.push(byte);
            if self.tx.len() <= self.tx_trigger() {
                self.set(INT_TX, true);
            }
        }
    }

    fn store(&mut self, character: u16) {
        self.rt_armed = true;
        if self.rx.len() >= self.depth() {
            self.overruns += 1;
            self.lost = true;
            self.rsr |= OE >> 8;
            self.set(INT_OE, true);
        } else {
            let lost = if self.lost { OE } else { 0 };
            self.lost = false;
            if character & BE != 0 {
                self.set(INT_BE, true);
            }
            self.rx.push_back(character | lost);
        }
        if self.rx.len() >= self.rx_trigger() {
            self.set(INT_RX, true);
        }
    }

    fn fill(&mut self) {
        while self.rx.len() < self.depth()
            && !self.loops()
            && let Some(byte) = self.line.input.pop_front()
        {
            self.store(byte.into());
        }
        self.waiting = !self.loops() && !self.line.input.is_empty();
    }

    fn line_pushes(&mut self) {
        if self.waiting {
            self.rt_armed = true;
            self.set(INT_RX, true);
        }
    }

    /// Whether the offset names a register that this UART has.
    fn has(&self, offset: u16) -> bool {
        let generic = matches!(offset, DR | RSR | FR | IMSC | RIS | MIS | ICR);
        generic || !self.sbsa
    }

    pub(crate) fn read(&mut self, offset: u16, width: Width) -> u32 {
        let value = if self.has(offset) {
            self.read_register(offset)
        } else {
            0
        };
        match width {
            Width::Byte => u32::from(value & 0xff),
            Width::Half | Width::Word => value.into(),
        }
    }

    fn read_register(&mut self, offset: u16) -> u16 {
        match offset {
            DR => {
                self.shown = false;
                let value = self.take();
                self.fill();
                value
            }
            RSR => self.rsr,
            FR => {
                self.drain();
                let flags = self.flags();
                let held = self.loops_to_receiver() && self.rx.len() >= self.depth();
                if held && !self.shown {
                    self.shown = true;
                    return flags & !0x80 | 0x28;
                }
                let sending = self.straight >= 32 && self.depth() == 32 && self.tx.is_empty();
                if sending && !self.loops() {
                    // All of it leaves between this look and the next access.
                    self.straight = 0;
                    self.unseen = true;
                    self.set(INT_TX, true);
                    return flags & !0x80 | 0x28;
                }
                flags
            }
            ILPR => self.ilpr,
            IBRD => self.ibrd,
            FBRD => self.fbrd,
            LCR_H => self.lcr_h,
            CR => self.cr,
            IFLS => self.ifls,
            IMSC => self.imsc,
            RIS | MIS => {
                let mask = if offset == RIS { 0x7ff } else { self.imsc };
                let value = self.raw() & mask;
                if value & INT_TX != 0 {
                    self.unseen = false;
                }
                value
            }
            DMACR => self.dmacr,
            // PeriphID and PCellID of an r1p5, TRM 3.3.15 and on.
            0xfe0 => 0x11,
            0xfe4 => 0x10,
            0xfe8 => 0x34,
            0xff0 => 0x0d,
            0xff4 => 0xf0,
            0xff8 => 0x05,
            0xffc => 0xb1,
            _ => 0,
        }
    }

    fn take(&mut self) -> u16 {
        let Some(character) = self.rx.pop_front() else {
            return 0;
        };
        self.rsr = self.rsr & (OE >> 8) | character >> 8;
        if self.rx.len() < self.rx_trigger() {
            self.set(INT_RX, false);
        }
        self.rt_armed = true;
        character
    }

    pub(crate) fn write(&mut self, offset: u16, width: Width, value: u32) {
        if !self.has(offset) {
            return;
        }
        let [low, high, ..] = value.to_le_bytes();
        let merge = |old: u16| {
            let [_, kept] = old.to_le_bytes();
            match width {
                Width::Byte => u16::from_le_bytes([low, kept]),
                Width::Half | Width::Word => u16::from_le_bytes([low, high]),
            }
        };
        match offset {
            DR => self.transmit(low),
            RSR => self.rsr = 0,
            ILPR => self.ilpr = merge(self.ilpr) & 0xff,
            IBRD => self.ibrd = merge(self.ibrd),
            FBRD => self.fbrd = merge(self.fbrd) & 0x3f,
            DMACR => self.dmacr = merge(self.dmacr) & 7,
            LCR_H => self.configure(|model| model.lcr_h = merge(model.lcr_h) & 0xff),
            CR => self.configure(|model| model.cr = merge(model.cr) & 0xff87),
            IFLS => self.configure(|model| model.ifls = merge(model.ifls) & 0x3f),
            IMSC => {
                self.imsc = merge(self.imsc) & 0x7ff;
                self.rt_armed = true;
                self.line_pushes();
            }
            ICR => {
                let clear = merge(0) & 0x7ff;
                self.ris &= !clear;
                if clear & INT_TX != 0 {
                    // What was written just before drains after the clear.
                    let again = self.unseen && self.tx.len() <= self.tx_trigger();
                    self.set(INT_TX, again);
                    self.unseen = false;
                }
                if clear & INT_RT != 0 {
                    self.rt_armed = false;
                }
            }
            _ => {}
        }
    }

    fn transmit(&mut self, byte: u8) {
        let loops = self.loops();
        if !loops {
            self.drain();
            if self.tx.is_empty() && self.line.room > 0 {
                self.straight += 1;
            }
            if self.tx.len() < 32 {
                self.tx.push_back(byte);
            } else {
                self.dropped += 1;
            }
        }
        self.unseen = true;
        self.set(INT_TX, self.tx.len() <= self.tx_trigger());
        if self.loops_to_receiver() {
            self.store(byte.into());
        }
        if !loops {
            self.drain();
        }
    }

    fn configure(&mut self, change: impl FnOnce(&mut Self)) {
        let depth = self.depth();
        let modem = self.modem();
        let breaks = |model: &Self| model.loops() && model.lcr_h & 1 != 0;
        let broke = breaks(self);
        let was_at_trigger = self.rx.len() >= self.rx_trigger();
        change(self);
        if self.depth() != depth {
            self.rx.clear();
            self.set(INT_RX, false);
            self.shown = false;
        } else if (self.rx.len() >= self.rx_trigger()) != was_at_trigger {
            self.set(INT_RX, !was_at_trigger);
        }
        if self.tx.len() > self.tx_trigger() {
            self.set(INT_TX, false);
        }
        if breaks(self) && !broke && self.loops_to_receiver() {
            self.store(BE);
        }
        let changed = self.modem() ^ modem;
        for (flag, interrupt) in [(1, INT_CTS), (2, INT_DSR), (4, INT_DCD), (1 << 8, INT_RI)] {
            if changed & flag != 0 {
                self.set(interrupt, true);
            }
        }
        self.fill();
    }

    /// The far side signalled.
    pub(crate) fn event(&mut self) {
        self.drain();
        self.fill();
        self.line_pushes();
    }

    /// A character, or a break, from the line past the far side.
    pub(crate) fn receive(&mut self, byte: u8) {
        if !self.loops() {
            self.store(byte.into());
        }
    }

    pub(crate) fn receive_break(&mut self) {
        if !self.loops() {
            self.store(BE);
        }
    }
}
