// SPDX-License-Identifier: MIT
//! The PL011 itself: registers, FIFOs and interrupts, over a line.
//!
//! Neither direction is gated by UARTEN, TXE or RXE: firmware and early consoles
//! use the port without ever writing UARTCR. State that follows from other state,
//! such as flags, levels and the two input interrupts, is computed when it is read.

use crate::access::Width;
use crate::backend::{Backend, Sent};
use crate::fifo::DEPTH;
use crate::glance::Glance;
use crate::interrupt::Interrupts;
use crate::modem;
use crate::outcome::Outcome;
use crate::receiver::{Character, Errors, Receiver};
use crate::registers::{FR, Flags, Profile, Register, Stored};
use crate::transmitter::Transmitter;

/// The register file with both directions.
#[derive(Clone, Debug)]
pub(crate) struct Pl011 {
    pub(crate) profile: Profile,
    pub(crate) stored: Stored,
    /// UARTIMSC.
    pub(crate) mask: Interrupts,
    /// UARTRIS but for RX and RT, which follow from the receiver.
    pub(crate) events: Interrupts,
    pub(crate) transmitter: Transmitter,
    pub(crate) receiver: Receiver,
}

impl Pl011 {
    /// The device after reset.
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            profile,
            stored: Stored::new(profile),
            mask: Interrupts::empty(),
            events: Interrupts::empty(),
            transmitter: Transmitter::default(),
            receiver: Receiver::default(),
        }
    }

    /// UARTRIS.
    #[inline]
    pub(crate) fn raw(&self) -> Interrupts {
        if self.receiver.fifo.is_empty() {
            return self.events;
        }
        self.events | self.input_interrupts()
    }

    #[inline(never)]
    fn input_interrupts(&self) -> Interrupts {
        let trigger = self.stored.rx_trigger();
        self.receiver.interrupts(trigger, self.mask)
    }

    /// UARTMIS: the interrupt line is high while this is not empty.
    #[inline]
    pub(crate) fn pending(&self) -> Interrupts {
        self.raw() & self.mask
    }

    /// UARTMIS and the glance, at the end of an entry. While the line is high,
    /// every access goes to the device.
    #[inline(never)]
    pub(crate) fn rest(&self) -> (Interrupts, Glance) {
        // As in `raw`, without a call: every read comes here.
        let mut raw = self.events;
        if !self.receiver.fifo.is_empty() {
            let trigger = self.stored.rx_trigger();
            raw |= self.receiver.interrupts(trigger, self.mask);
        }
        let pending = raw & self.mask;
        if pending.is_empty() {
            (pending, self.glance(raw))
        } else {
            (pending, Glance::default())
        }
    }

    /// What polled registers show until the next event. While characters wait, are
    /// in flight or loop back, reads of UARTFR change state, so the glance does not
    /// answer them.
    #[inline]
    fn glance(&self, raw: Interrupts) -> Glance {
        if !self.transmitter.is_idle() || self.stored.loops_back() {
            return Glance::default();
        }
        let shown = self.receiver.shown.contains(raw & Interrupts::INPUT);
        let unmasked = self.receiver.cleared.is_empty();
        Glance::new(self.flags(), raw, self.mask, shown, unmasked)
    }

    /// Reads a register; pending interrupts and glance are left to the caller.
    #[inline]
    pub(crate) fn read(&mut self, register: Register, line: &mut impl Backend) -> Outcome {
        let mut doorbell = false;
        let value = match register {
            Register::Data => {
                // Room on the line is given away for many characters at once.
                let fifo = &self.receiver.fifo;
                let enough = self.receiver.waiting == 0 || fifo.len() > self.stored.rx_trigger();
                let data = self.take();
                doorbell = !enough && self.refill(line);
                data
            }
            Register::Flags if self.transmitter.is_idle() => self.flags().get(),
            Register::Flags => return self.look(line),
            Register::ReceiveStatus => self.receiver.status.bits().into(),
            Register::InterruptMask => self.mask.bits(),
            Register::RawInterruptStatus => self.show(self.raw()),
            Register::MaskedInterruptStatus => self.show(self.pending()),
            Register::InterruptClear => 0,
            Register::Stored(index) => self.stored.read(index),
            Register::Identification(value) => value.into(),
        };
        Outcome {
            value: value.into(),
            doorbell,
            ..Outcome::default()
        }
    }

    /// Writes the bytes of a register that an access of `width` covers. Returns
    /// whether to notify.
    #[inline]
    pub(crate) fn write(
        &mut self,
        register: Register,
        value: u32,
        width: Width,
        line: &mut impl Backend,
    ) -> bool {
        match register {
            Register::Data => return self.transmit((value & 0xFF) as u8, line),
            Register::ReceiveStatus => self.receiver.status = Errors::empty(),
            Register::InterruptMask => {
                let mask = width.merge(self.mask.bits(), value);
                self.mask = Interrupts::from_bits_truncate(mask);
                self.receiver.cleared = Interrupts::empty();
            }
            Register::InterruptClear => {
                let clear = Interrupts::from_bits_truncate(width.merge(0, value));
                return self.clear(clear, line);
            }
            Register::Stored(index) => return self.configure(index, value, width, line),
            Register::Flags
            | Register::RawInterruptStatus
            | Register::MaskedInterruptStatus
            | Register::Identification(_) => {}
        }
        false
    }

    /// Sends a character directly to the line, if none waits before it, it does not
    /// loop back, and there is room. Returns whether to notify; `None` if one of
    /// these does not hold, and then nothing has changed. Afterwards the glance is
    /// empty.
    #[inline]
    pub(crate) fn send(&mut self, byte: u8, line: &mut impl Backend) -> Option<bool> {
        if !self.transmitter.fifo.is_empty() || self.stored.loops_back() {
            return None;
        }
        let sent = line.try_send(byte);
        if sent == Sent::Full {
            return None;
        }
        self.transmitter.written();
        self.events |= Interrupts::TX;
        Some(sent == Sent::Ring)
    }

    /// The far side may have done something.
    pub(crate) fn attend(&mut self, line: &mut impl Backend) -> bool {
        line.look() | self.drain(line) | self.refill(line)
    }

    /// A character arrives from the line.
    pub(crate) fn receive(&mut self, character: Character) {
        if !self.stored.loops_back() {
            self.store(character);
        }
    }

    fn loop_in(&mut self, character: Character) {
        if self.stored.loops_to_receiver() {
            self.store(character);
        }
    }

    fn store(&mut self, character: Character) {
        self.events |= if self.receiver_is_full() {
            self.receiver.overrun()
        } else {
            self.receiver.store(character)
        };
    }

    /// The guest takes a character.
    #[inline]
    fn take(&mut self) -> u16 {
        self.transmitter.polled &= self.receiver.fifo.is_empty();
        self.receiver.take()
    }

    /// A read of UARTFR. A polling driver sees room as soon as there is some.
    ///
    /// A single holding register does not show what is in flight: a driver
    /// without FIFOs waits for each character. In loopback a full receiver holds
    /// the transmitter.
    #[inline]
    fn look(&mut self, line: &mut impl Backend) -> Outcome {
        let doorbell = !self.transmitter.fifo.is_empty() && self.drain(line);
        let mut flags = self.flags();
        let held = self.stored.loops_to_receiver() && self.receiver_is_full();
        let waits = !self.transmitter.fifo.is_empty();
        let stalled = waits && self.transmitter.polled && self.receiver.fifo.is_empty();
        self.transmitter.polled = waits;
        let first = self.transmitter.in_flight > 0 && !self.transmitter.looked;
        if waits {
            self.transmitter.looked = true;
        } else if first && (held || self.stored.has_fifos()) {
            self.transmitter.looked = true;
            let full = held || usize::from(self.transmitter.in_flight) == DEPTH;
            flags.modify(FR::TXFF.val(full.into()) + FR::BUSY::SET + FR::TXFE::CLEAR);
        } else {
            self.transmitter.pass_time();
        }
        Outcome {
            value: flags.get().into(),
            doorbell,
            stalled,
            ..Outcome::default()
        }
    }

    /// The guest reads RIS or MIS and gets `status`.
    fn show(&mut self, status: Interrupts) -> u16 {
        self.receiver.shown |= status & Interrupts::INPUT;
        if status.contains(Interrupts::TX) {
            self.transmitter.pass_time();
        }
        status.bits()
    }

    fn clear(&mut self, which: Interrupts, line: &mut impl Backend) -> bool {
        let told = which & self.raw() & self.receiver.shown;
        // From here on it rests on what it knows of a line that it has no place
        // for.
        let behind = self.receiver_is_full() || self.receiver.waiting > 0;
        let doorbell = !told.is_empty() && behind && self.attend(line);
        let raised = which & self.raw();
        self.receiver.clear(raised & Interrupts::INPUT, self.mask);
        self.events -= raised;
        if raised.contains(Interrupts::TX) {
            let still_to_go = self.transmitter.in_flight > 0 && self.at_tx_trigger();
            self.events.set(Interrupts::TX, still_to_go);
            if !self.transmitter.looked || self.mask.contains(Interrupts::TX) {
                self.transmitter.pass_time();
            }
        }
        doorbell
    }

    /// A write of a register that holds its value.
    fn configure(&mut self, at: usize, value: u32, width: Width, line: &mut impl Backend) -> bool {
        let was = self.stored.clone();
        let sent_break = self.stored.loops_break();
        self.stored.write(at, value, width);
        if at == Stored::LCR_H {
            line.set_line_control(self.stored.line_control());
        }
        let flushed = self.stored.has_fifos() != was.has_fifos();
        if flushed {
            self.receiver.flush();
        }
        if flushed || self.stored.loops_back() != was.loops_back() {
            self.transmitter.pass_time();
        }
        if !self.at_tx_trigger() {
            // One that falls below it raises nothing, as nothing drained.
            self.events -= Interrupts::TX;
        }
        if self.stored.loops_break() && !sent_break {
            self.loop_in(Character::BREAK);
        }
        self.events |= modem::interrupts(modem::inputs(&was) ^ modem::inputs(&self.stored));
        self.refill(line)
    }

    /// Sends one character, behind those that wait.
    fn transmit(&mut self, byte: u8, line: &mut impl Backend) -> bool {
        let first = self.transmitter.fifo.is_empty();
        // What waits goes on to the line in loopback too.
        let mut doorbell = self.drain(line);
        if self.stored.loops_back() {
            self.loop_in(Character::good(byte));
        } else {
            let stored = self.transmitter.fifo.push(byte);
            let dropped = &mut self.transmitter.dropped;
            *dropped = dropped.wrapping_add((!stored).into());
            // The far side is told when the first has to wait, whatever else it
            // asked for.
            doorbell |= self.drain(line) || first && !self.transmitter.fifo.is_empty();
        }
        self.transmitter.written();
        self.events.set(Interrupts::TX, self.at_tx_trigger());
        doorbell
    }

    /// Sends waiting characters, as far as the line takes them.
    #[cold]
    #[inline(never)]
    fn drain(&mut self, line: &mut impl Backend) -> bool {
        let mut doorbell = false;
        while let Some(byte) = self.transmitter.fifo.front() {
            match line.try_send(byte) {
                Sent::Full => break,
                sent => doorbell |= sent == Sent::Ring,
            }
            self.transmitter.fifo.pop();
            self.transmitter.polled &= !self.transmitter.fifo.is_empty();
            if self.at_tx_trigger() {
                self.events |= Interrupts::TX;
            }
        }
        doorbell
    }

    /// Fills the receive FIFO from the line's cached state.
    #[inline]
    fn refill(&mut self, line: &mut impl Backend) -> bool {
        if line.waiting() == 0 {
            self.receiver.waiting = 0;
            return false;
        }
        self.take_in(line)
    }

    /// Each turn stores a character, so the FIFO's depth bounds them.
    #[inline(never)]
    fn take_in(&mut self, line: &mut impl Backend) -> bool {
        let mut doorbell = false;
        while !self.receiver_is_full() && !self.stored.loops_back() && line.waiting() > 0 {
            for _ in self.receiver.fifo.len()..self.stored.depth() {
                let Some(byte) = line.try_recv() else { break };
                self.receiver.store(Character::good(byte));
            }
            // The far side may have gone on without a signal until it saw this.
            doorbell |= line.acknowledge();
        }
        self.receiver.set_waiting(self.waiting(line));
        doorbell
    }

    /// Bytes that the line holds for the receiver; 0 in loopback.
    pub(crate) fn waiting(&self, line: &impl Backend) -> usize {
        let loops = self.stored.loops_back();
        if loops { 0 } else { line.waiting() }
    }

    #[inline]
    pub(crate) fn receiver_is_full(&self) -> bool {
        self.receiver.fifo.len() >= self.stored.depth()
    }

    /// Whether the transmit FIFO is at or below its level.
    #[inline(never)]
    pub(crate) fn at_tx_trigger(&self) -> bool {
        self.transmitter.fifo.len() <= self.stored.tx_trigger()
    }

    /// UARTFR from the characters that really wait.
    #[inline]
    fn flags(&self) -> Flags {
        let (tx, rx) = (&self.transmitter.fifo, &self.receiver.fifo);
        let mut flags = modem::inputs(&self.stored);
        flags |= match tx.len() {
            0 => FR::TXFE::SET.value,
            waiting if waiting < self.stored.depth() => FR::BUSY::SET.value,
            _ => FR::BUSY::SET.value | FR::TXFF::SET.value,
        };
        if rx.is_empty() {
            flags |= FR::RXFE::SET.value;
        } else if self.receiver_is_full() {
            flags |= FR::RXFF::SET.value;
        }
        Flags::new(flags)
    }
}
