// SPDX-License-Identifier: MIT
//! The PL011 itself: registers, FIFOs and interrupts, over a line.
//!
//! Neither direction is gated by UARTEN, TXE or RXE: firmware and early
//! consoles use the port without ever writing UARTCR. What follows from other
//! state, as flags, levels and the two input interrupts, is computed where it is
//! asked for.

use crate::access::Width;
use crate::backend::{Backend, Sent};
use crate::fifo::{self, DEPTH};
use crate::glance::{Glance, Quiet};
use crate::interrupt::Interrupts;
use crate::receiver::{Character, Errors, Receiver};
use crate::registers::{CR, FR, Flags, IFLS, LCR_H, Profile, Register, Stored};
use crate::transmitter::Transmitter;

/// What an access gives, beside what the device shows after it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    /// The value read.
    pub(crate) value: u16,
    pub(crate) doorbell: bool,
    pub(crate) stalled: bool,
}

impl Answer {
    const fn of(value: u16) -> Self {
        Self {
            value,
            doorbell: false,
            stalled: false,
        }
    }
}

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

    #[cold]
    #[inline(never)]
    fn input_interrupts(&self) -> Interrupts {
        self.receiver.interrupts(self.rx_trigger(), self.mask)
    }

    /// The level of UARTRXINTR; without FIFOs, one character (TRM 2.8.2).
    #[inline]
    fn rx_trigger(&self) -> usize {
        if self.is_deep() {
            fifo::trigger(self.stored.ifls().read(IFLS::RXIFLSEL))
        } else {
            1
        }
    }

    /// UARTMIS: the interrupt line is high while this is not empty.
    #[inline]
    pub(crate) fn pending(&self) -> Interrupts {
        self.raw() & self.mask
    }

    /// UARTMIS and what there is at a glance, at the end of an entry.
    #[inline(never)]
    pub(crate) fn rest(&self) -> (Interrupts, Glance) {
        let mut raw = self.events;
        if !self.receiver.fifo.is_empty() {
            raw |= self.receiver.interrupts(self.rx_trigger(), self.mask);
        }
        let pending = raw & self.mask;
        // A line that is high wants the device at every access.
        let glance = if pending.is_empty() {
            self.glance(raw)
        } else {
            Glance::default()
        };
        (pending, glance)
    }

    /// What polled registers show until something happens. What waits, is in
    /// flight or loops back has its looks at UARTFR noted.
    #[inline]
    fn glance(&self, raw: Interrupts) -> Glance {
        if !self.transmitter.is_idle() || self.loops_back() {
            return Glance::default();
        }
        let quiet = Quiet {
            status: self.receiver.shown.contains(raw & Interrupts::INPUT),
            mask: self.receiver.cleared.is_empty(),
        };
        Glance::new(self.flags(), raw, self.mask, quiet)
    }

    /// Reads a register.
    #[inline]
    pub(crate) fn read(&mut self, register: Register, line: &mut impl Backend) -> Answer {
        let value = match register {
            Register::Data => return self.read_data(line),
            Register::Flags => return self.look(line),
            Register::ReceiveStatus => self.receiver.status.bits().into(),
            Register::InterruptMask => self.mask.bits(),
            Register::RawInterruptStatus => self.show(self.raw()),
            Register::MaskedInterruptStatus => self.show(self.pending()),
            Register::InterruptClear => 0,
            Register::Stored(index) => self.stored.read(index),
            Register::Identification(value) => value.into(),
        };
        Answer::of(value)
    }

    /// Writes the bytes of a register that an access of `width` covers.
    #[inline]
    pub(crate) fn write(
        &mut self,
        register: Register,
        value: u32,
        width: Width,
        line: &mut impl Backend,
    ) -> Answer {
        let mut doorbell = false;
        match register {
            Register::Data => doorbell = self.transmit((value & 0xFF) as u8, line),
            Register::ReceiveStatus => self.receiver.status = Errors::empty(),
            Register::InterruptMask => {
                let mask = width.merge(self.mask.bits(), value);
                self.mask = Interrupts::from_bits_truncate(mask);
                self.receiver.cleared = Interrupts::empty();
            }
            Register::InterruptClear => {
                let clear = Interrupts::from_bits_truncate(width.merge(0, value));
                doorbell = self.clear(clear, line);
            }
            Register::Stored(index) => doorbell = self.configure(index, value, width, line),
            Register::Flags
            | Register::RawInterruptStatus
            | Register::MaskedInterruptStatus
            | Register::Identification(_) => {}
        }
        Answer {
            doorbell,
            ..Answer::default()
        }
    }

    /// A character goes straight to the line: none waits before it, it does not
    /// come back, and there is room. Whether to ring, or `None` if not so, and
    /// nothing has happened. Then there is nothing to be seen at a glance.
    #[inline]
    pub(crate) fn send(&mut self, byte: u8, line: &mut impl Backend) -> Option<bool> {
        if !self.transmitter.fifo.is_empty() || self.loops_back() {
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
        if !self.loops_back() {
            self.store(character);
        }
    }

    #[inline]
    fn store(&mut self, character: Character) {
        self.events |= self.receiver.store(character, self.receiver_is_full());
    }

    #[inline]
    fn read_data(&mut self, line: &mut impl Backend) -> Answer {
        self.transmitter.polled &= self.receiver.fifo.is_empty();
        let value = self.receiver.take();
        let doorbell = self.refill(line);
        Answer {
            value,
            doorbell,
            stalled: false,
        }
    }

    /// A read of UARTFR. A polling driver sees room as soon as there is some.
    ///
    /// A single holding register does not show what is in flight: a driver
    /// without FIFOs waits for each character. In loopback a full receiver holds
    /// the transmitter.
    #[inline]
    fn look(&mut self, line: &mut impl Backend) -> Answer {
        if self.transmitter.is_idle() {
            return Answer::of(self.flags().get());
        }
        let doorbell = !self.transmitter.fifo.is_empty() && self.drain(line);
        let mut flags = self.flags();
        let held = self.loops_to_receiver() && self.receiver_is_full();
        let waits = !self.transmitter.fifo.is_empty();
        let stalled = waits && self.transmitter.polled && self.receiver.fifo.is_empty();
        self.transmitter.polled = waits;
        let first = self.transmitter.in_flight > 0 && !self.transmitter.looked;
        if waits {
            self.transmitter.looked = true;
        } else if first && (held || self.is_deep()) {
            self.transmitter.looked = true;
            let full = held || usize::from(self.transmitter.in_flight) == DEPTH;
            flags.modify(FR::TXFF.val(full.into()) + FR::BUSY::SET + FR::TXFE::CLEAR);
        } else {
            self.transmitter.pass_time();
        }
        Answer {
            value: flags.get(),
            doorbell,
            stalled,
        }
    }

    /// The guest reads RIS or MIS and gets `status`.
    fn show(&mut self, status: Interrupts) -> u16 {
        self.receiver.show(status);
        if status.contains(Interrupts::TX) {
            self.transmitter.pass_time();
        }
        status.bits()
    }

    fn clear(&mut self, which: Interrupts, line: &mut impl Backend) -> bool {
        let told = which & self.raw() & self.receiver.shown;
        // From here on it rests on what it knows of a line that it cannot take
        // from.
        let doorbell = !told.is_empty() && self.receiver_is_full() && self.attend(line);
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
    fn configure(
        &mut self,
        index: usize,
        value: u32,
        width: Width,
        line: &mut impl Backend,
    ) -> bool {
        let was = self.stored.clone();
        let modem = self.modem_inputs();
        let sent_break = self.loops_break();
        self.stored.write(index, value, width);
        let flushed = self.stored.lcr_h().is_set(LCR_H::FEN) != was.lcr_h().is_set(LCR_H::FEN);
        let looped = self.loops_back() != was.cr().is_set(CR::LBE);
        if flushed {
            self.receiver.flush();
        }
        if flushed || looped {
            self.transmitter.pass_time();
        }
        if !self.at_tx_trigger() {
            // One that falls below it raises nothing, as nothing drained.
            self.events -= Interrupts::TX;
        }
        if self.loops_break() && !sent_break {
            self.store_looped(Character::BREAK);
        }
        self.events |= modem_interrupts(modem ^ self.modem_inputs());
        self.refill(line)
    }

    /// Sends one character, behind those that wait.
    fn transmit(&mut self, byte: u8, line: &mut impl Backend) -> bool {
        let first = self.transmitter.fifo.is_empty();
        // What waits goes on to the line in loopback too.
        let mut doorbell = self.drain(line);
        if self.loops_back() {
            self.store_looped(Character::good(byte));
        } else {
            self.transmitter.queue(byte);
            doorbell |= self.drain(line);
            // The far side is told when the first has to wait, whatever else it
            // asked for.
            doorbell |= first && !self.transmitter.fifo.is_empty();
        }
        self.transmitter.written();
        self.events.set(Interrupts::TX, self.at_tx_trigger());
        doorbell
    }

    /// Sends what waits, as far as the line takes it.
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

    /// Fills the receive FIFO with what the line is known to hold. Each turn
    /// stores a character, so the FIFO's depth bounds them.
    #[inline]
    fn refill(&mut self, line: &mut impl Backend) -> bool {
        if line.waiting() == 0 {
            self.receiver.waiting = 0;
            return false;
        }
        self.take_in(line)
    }

    #[inline(never)]
    fn take_in(&mut self, line: &mut impl Backend) -> bool {
        let mut doorbell = false;
        loop {
            while self.takes_input()
                && let Some(byte) = line.try_recv()
            {
                self.receiver.store(Character::good(byte), false);
            }
            // The far side may have gone on without a signal until it saw this.
            doorbell |= line.acknowledge();
            if !self.takes_input() || line.waiting() == 0 {
                break;
            }
        }
        let waiting = self.waiting(line);
        self.receiver.set_waiting(waiting);
        doorbell
    }

    /// What the line holds for a receiver that is full.
    #[inline]
    pub(crate) fn waiting(&self, line: &impl Backend) -> usize {
        if self.receiver_is_full() && !self.loops_back() {
            line.waiting()
        } else {
            0
        }
    }

    /// Only here RXE gates reception: Linux up to 4.0 loops a NUL back with
    /// RXE=0 to provoke a transmit interrupt, and must not find it afterwards.
    fn store_looped(&mut self, character: Character) {
        if self.loops_to_receiver() {
            self.store(character);
        }
    }

    /// Whether the receiver has a place for what is on the line, which loopback
    /// takes away from it.
    #[inline]
    fn takes_input(&self) -> bool {
        !self.receiver_is_full() && !self.loops_back()
    }

    #[inline]
    fn is_deep(&self) -> bool {
        self.stored.lcr_h().is_set(LCR_H::FEN)
    }

    /// Entries that a FIFO has as the guest sees it. The transmitter's may hold
    /// more, if FEN was cleared while it held some.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        if self.is_deep() { DEPTH } else { 1 }
    }

    #[inline]
    pub(crate) fn receiver_is_full(&self) -> bool {
        let fifo = &self.receiver.fifo;
        if self.is_deep() {
            fifo.is_full()
        } else {
            !fifo.is_empty()
        }
    }

    /// Whether the transmit FIFO is at or below its level; without FIFOs, empty
    /// (TRM 2.8.3).
    #[inline(never)]
    pub(crate) fn at_tx_trigger(&self) -> bool {
        let waiting = self.transmitter.fifo.len();
        waiting == 0
            || self.is_deep() && waiting <= fifo::trigger(self.stored.ifls().read(IFLS::TXIFLSEL))
    }

    #[inline]
    fn loops_back(&self) -> bool {
        self.stored.cr().is_set(CR::LBE)
    }

    fn loops_to_receiver(&self) -> bool {
        self.loops_back() && self.stored.cr().is_set(CR::RXE)
    }

    /// The transmitted break of `LCR_H.BRK` reaches the receiver.
    fn loops_break(&self) -> bool {
        self.loops_back() && self.stored.lcr_h().is_set(LCR_H::BRK)
    }

    /// UARTFR, of what really waits.
    #[inline]
    fn flags(&self) -> Flags {
        let (tx, rx) = (&self.transmitter.fifo, &self.receiver.fifo);
        let mut flags = self.modem_inputs();
        flags |= match tx.len() {
            0 => FR::TXFE::SET.value,
            waiting if waiting < self.depth() => FR::BUSY::SET.value,
            _ => FR::BUSY::SET.value | FR::TXFF::SET.value,
        };
        if rx.is_empty() {
            flags |= FR::RXFE::SET.value;
        } else if self.receiver_is_full() {
            flags |= FR::RXFF::SET.value;
        }
        Flags::new(flags)
    }

    /// The modem flags of UARTFR: the far side is always there and ready, but in
    /// loopback they are our own outputs (TRM 3.3.8, LBE).
    #[inline]
    fn modem_inputs(&self) -> u16 {
        if self.loops_back() {
            return self.looped_modem_inputs();
        }
        (FR::CTS::SET + FR::DSR::SET + FR::DCD::SET).value
    }

    #[cold]
    #[inline(never)]
    fn looped_modem_inputs(&self) -> u16 {
        let cr = self.stored.cr();
        let inputs = FR::CTS.val(cr.read(CR::RTS))
            + FR::DSR.val(cr.read(CR::DTR))
            + FR::DCD.val(cr.read(CR::OUT1))
            + FR::RI.val(cr.read(CR::OUT2));
        inputs.value
    }
}

/// The interrupts of modem flags that changed.
fn modem_interrupts(changed: u16) -> Interrupts {
    let changed = Flags::new(changed);
    [
        (FR::CTS, Interrupts::CTS),
        (FR::DSR, Interrupts::DSR),
        (FR::DCD, Interrupts::DCD),
        (FR::RI, Interrupts::RI),
    ]
    .into_iter()
    .filter(|(flag, _)| changed.is_set(*flag))
    .fold(Interrupts::empty(), |all, (_, interrupt)| all | interrupt)
}
