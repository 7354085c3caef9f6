// SPDX-License-Identifier: MIT
//! The PL011 itself: registers, FIFOs and interrupts, on a line it does not
//! know.
//!
//! [`Pl011::write`] says what the line has to do; whoever owns the line then
//! tells what became of it. Neither direction is gated by UARTEN, TXE or RXE:
//! firmware and early consoles use the port without ever writing UARTCR.

use tock_registers::fields::FieldValue;

use crate::fifo;
use crate::glance::{Glance, Quiet};
use crate::interrupt::{InterruptRegisters, Interrupts};
use crate::receiver::{Character, Errors, Receiver};
use crate::registers::{CR, FR, Flags, IFLS, LCR_H, Profile, Register, Stored};
use crate::transmitter::Transmitter;
use crate::trap::Width;

/// What the line has to do after a register was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Nothing.
    None,
    /// Carry this character; then report by [`Pl011::sent`] or
    /// [`Pl011::queue`].
    Transmit(u8),
    /// Offer input: there may be room for it now.
    Receive,
}

/// The register file with both directions.
#[derive(Clone, Debug)]
pub struct Pl011 {
    pub(crate) profile: Profile,
    pub(crate) stored: Stored,
    pub(crate) interrupts: InterruptRegisters,
    pub(crate) transmitter: Transmitter,
    pub(crate) receiver: Receiver,
    /// UARTFR, kept right by every operation so that reading it costs nothing.
    pub(crate) flags: Flags,
}

impl Pl011 {
    /// The device after reset.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let mut device = Self {
            profile,
            stored: Stored::new(profile),
            interrupts: InterruptRegisters::default(),
            transmitter: Transmitter::new(),
            receiver: Receiver::new(),
            flags: Flags::new(0),
        };
        device.settle_derived();
        device
    }

    /// The register that the guest finds at `offset`.
    #[inline]
    #[must_use]
    pub fn register(&self, offset: u16) -> Option<Register> {
        self.profile.register(offset)
    }

    /// UARTMIS: the interrupt line is high while this is not empty.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> Interrupts {
        self.interrupts.masked()
    }

    /// What polled registers show until something happens.
    #[inline]
    #[must_use]
    pub fn glance(&self) -> Glance {
        // There a look at UARTFR is noted too.
        if self.loops_back() || self.transmitter.shows_burst() {
            return Glance::default();
        }
        let InterruptRegisters { raw, mask } = self.interrupts;
        let quiet = Quiet {
            status: !(self.transmitter.unseen && raw.contains(Interrupts::TX)),
            mask: self.receiver.timeout_armed && !self.receiver.waiting,
        };
        Glance::new(self.flags, raw, mask, quiet)
    }

    /// Reads a register. Reading [`Register::Data`] makes room for input.
    #[inline]
    pub fn read(&mut self, register: Register) -> u16 {
        match register {
            Register::Data => {
                let data = self.receiver.take(&mut self.interrupts);
                self.transmitter.held_shown = false;
                self.settle();
                data
            }
            Register::ReceiveStatus => self.receiver.status.bits().into(),
            Register::Flags => self.read_flags(),
            Register::LowPowerCounter => self.stored.ilpr,
            Register::IntegerBaudRate => self.stored.ibrd,
            Register::FractionalBaudRate => self.stored.fbrd,
            Register::LineControl => self.stored.lcr_h,
            Register::Control => self.stored.cr,
            Register::FifoLevels => self.stored.ifls,
            Register::InterruptMask => self.interrupts.mask.bits(),
            Register::RawInterruptStatus => self.read_status(self.interrupts.raw),
            Register::MaskedInterruptStatus => self.read_status(self.interrupts.masked()),
            Register::InterruptClear => 0,
            Register::DmaControl => self.stored.dmacr,
            Register::Identification(value) => value.into(),
        }
    }

    /// Writes the bytes of a register that an access of `width` covers.
    #[inline]
    pub fn write(&mut self, register: Register, value: u32, width: Width) -> Effect {
        match register {
            Register::Data => {
                let byte = (value & 0xFF) as u8;
                if self.loops_back() {
                    self.loop_back(byte);
                    return Effect::None;
                }
                return Effect::Transmit(byte);
            }
            Register::ReceiveStatus => self.receiver.status = Errors::empty(),
            Register::LineControl | Register::Control | Register::FifoLevels => {
                self.configure(register, value, width);
                return Effect::Receive;
            }
            Register::LowPowerCounter
            | Register::IntegerBaudRate
            | Register::FractionalBaudRate
            | Register::DmaControl => self.stored.write(register, value, width),
            Register::InterruptMask => {
                let mask = width.merge(self.interrupts.mask.bits(), value);
                self.interrupts.mask = Interrupts::from_bits_truncate(mask);
                self.receiver.timeout_armed = true;
                self.input_pushes();
            }
            Register::InterruptClear => {
                let clear = width.merge(0, value);
                self.clear(Interrupts::from_bits_truncate(clear));
            }
            Register::Flags
            | Register::RawInterruptStatus
            | Register::MaskedInterruptStatus
            | Register::Identification(_) => {}
        }
        Effect::None
    }

    /// Whether characters leave straight for the line, with none queued before
    /// them.
    #[inline]
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.flags.is_set(FR::TXFE)
    }

    /// Whether a character that the guest writes is only to be carried: none
    /// waits before it, and it does not come back.
    #[inline]
    #[must_use]
    pub fn sends_straight(&self) -> bool {
        self.is_drained() && !self.loops_back()
    }

    /// The line took the character of [`Effect::Transmit`]. Whether any
    /// register or the [`glance`](Self::glance) has changed by it.
    #[inline]
    pub fn sent(&mut self) -> bool {
        self.transmitter.sent(&mut self.interrupts)
    }

    /// The line did not take the character of [`Effect::Transmit`].
    pub fn queue(&mut self, byte: u8) {
        self.transmitter.queue(byte, &mut self.interrupts);
        self.settle_flags();
    }

    /// The character that waits longest for the line.
    #[must_use]
    pub fn queued(&self) -> Option<u8> {
        self.transmitter.fifo.front().copied()
    }

    /// The line took the character that [`queued`](Self::queued) gave.
    pub fn drained(&mut self) {
        self.transmitter.drained(&mut self.interrupts);
        self.settle_flags();
    }

    /// Whether a character from the line has a place: not while the FIFO is
    /// full, nor in loopback, which takes the line away from the receiver.
    #[must_use]
    pub fn can_receive(&self) -> bool {
        !self.flags.is_set(FR::RXFF) && !self.loops_back()
    }

    /// A character arrives from the line; it overruns a full FIFO.
    pub fn receive(&mut self, byte: u8) {
        self.receive_from_line(Character::good(byte));
    }

    /// A break arrives from the line: one zero character with BE set.
    pub fn receive_break(&mut self) {
        self.receive_from_line(Character::BREAK);
    }

    /// Says whether the line still holds input after the FIFO took what it
    /// could.
    pub fn set_waiting(&mut self, waiting: bool) {
        self.receiver.waiting = waiting && !self.loops_back();
        self.receiver.settle_timeout(&mut self.interrupts);
    }

    /// The line was found to hold input that has no place: as for a character
    /// that arrives, the interrupt is raised anew.
    pub fn input_pushes(&mut self) {
        self.receiver.push(&mut self.interrupts);
        self.receiver.settle_timeout(&mut self.interrupts);
    }

    /// Characters written that found no storage.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.transmitter.dropped
    }

    /// Characters received that found no storage.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.receiver.overruns
    }

    #[inline]
    fn loops_back(&self) -> bool {
        self.stored.cr().is_set(CR::LBE)
    }

    /// In loopback a full receiver holds the transmitter, but no time passes
    /// here in which it would go on: the guest is told once, so that it can
    /// read, and if it looks again instead, that time is over.
    ///
    /// On the line no time passes either: once in a FIFO's depth of characters a
    /// look shows them on their way out.
    #[inline]
    fn read_flags(&mut self) -> u16 {
        let mut flags = self.flags;
        let held = flags.is_set(FR::RXFF) && self.loops_to_receiver();
        let shows_held = held && !self.transmitter.held_shown;
        let shows_burst = self.transmitter.shows_burst() && !self.loops_back();
        if shows_held {
            self.transmitter.held_shown = true;
        }
        if shows_burst {
            self.transmitter.burst_shown(&mut self.interrupts);
        }
        if shows_held || shows_burst {
            flags.modify(FR::TXFF::SET + FR::BUSY::SET + FR::TXFE::CLEAR);
        }
        flags.get()
    }

    fn read_status(&mut self, status: Interrupts) -> u16 {
        self.transmitter.seen(status);
        status.bits()
    }

    fn clear(&mut self, which: Interrupts) {
        self.interrupts.lower(which);
        if which.contains(Interrupts::TX) {
            self.transmitter.clear(&mut self.interrupts);
        }
        if which.contains(Interrupts::RT) {
            self.receiver.timeout_armed = false;
        }
    }

    /// A write of a register that decides how the device works.
    fn configure(&mut self, register: Register, value: u32, width: Width) {
        let was_deep = self.stored.lcr_h().is_set(LCR_H::FEN);
        let sent_break = self.loops_break();
        self.stored.write(register, value, width);
        let deep = self.stored.lcr_h().is_set(LCR_H::FEN);
        if deep != was_deep {
            self.transmitter.fifo.set_enabled(deep);
            self.receiver.set_enabled(deep, &mut self.interrupts);
            self.transmitter.held_shown = false;
        }
        let (tx, rx) = self.triggers();
        self.transmitter.set_trigger(tx, &mut self.interrupts);
        self.receiver.set_trigger(rx, &mut self.interrupts);
        if self.loops_break() && !sent_break {
            self.receive_looped(Character::BREAK);
        }
        self.settle_modem();
        self.settle();
    }

    /// The levels that `LCR_H.FEN` and IFLS select for the two directions;
    /// without FIFOs, the holding registers' (TRM 2.8.2, 2.8.3).
    fn triggers(&self) -> (u8, u8) {
        if !self.stored.lcr_h().is_set(LCR_H::FEN) {
            return (0, 1);
        }
        let levels = self.stored.ifls();
        let level = |field| fifo::trigger(levels.read(field));
        (level(IFLS::TXIFLSEL), level(IFLS::RXIFLSEL))
    }

    /// Sets what follows from registers and FIFOs after reset or restore, which
    /// is no event and raises nothing.
    pub(crate) fn settle_derived(&mut self) {
        let deep = self.stored.lcr_h().is_set(LCR_H::FEN);
        self.transmitter.fifo.set_enabled(deep);
        self.receiver.fifo.set_enabled(deep);
        (self.transmitter.trigger, self.receiver.trigger) = self.triggers();
        self.flags.modify(self.modem_inputs());
        self.settle_flags();
    }

    /// The transmitted break of `LCR_H.BRK` reaches the receiver.
    fn loops_break(&self) -> bool {
        self.loops_back() && self.stored.lcr_h().is_set(LCR_H::BRK)
    }

    fn loop_back(&mut self, byte: u8) {
        self.transmitter.looped(&mut self.interrupts);
        self.receive_looped(Character::good(byte));
        self.settle();
    }

    /// Only here RXE gates reception: Linux up to 4.0 loops a NUL back with
    /// RXE=0 to provoke a transmit interrupt, and must not find it afterwards.
    fn receive_looped(&mut self, character: Character) {
        if self.loops_to_receiver() {
            self.receiver.store(character, &mut self.interrupts);
        }
    }

    fn loops_to_receiver(&self) -> bool {
        let cr = self.stored.cr();
        cr.is_set(CR::LBE) && cr.is_set(CR::RXE)
    }

    fn receive_from_line(&mut self, character: Character) {
        if !self.loops_back() {
            self.receiver.store(character, &mut self.interrupts);
            self.settle();
        }
    }

    /// The modem inputs: the far side is always there and ready, but in
    /// loopback they are our own outputs (TRM 3.3.8, LBE).
    fn modem_inputs(&self) -> FieldValue<u16, FR::Register> {
        let cr = self.stored.cr();
        if cr.is_set(CR::LBE) {
            FR::CTS.val(cr.read(CR::RTS))
                + FR::DSR.val(cr.read(CR::DTR))
                + FR::DCD.val(cr.read(CR::OUT1))
                + FR::RI.val(cr.read(CR::OUT2))
        } else {
            FR::CTS::SET + FR::DSR::SET + FR::DCD::SET + FR::RI::CLEAR
        }
    }

    /// Brings the modem flags in line, with an interrupt for each change.
    fn settle_modem(&mut self) {
        let before = self.flags;
        self.flags.modify(self.modem_inputs());
        for (flag, interrupt) in [
            (FR::CTS, Interrupts::CTS),
            (FR::DSR, Interrupts::DSR),
            (FR::DCD, Interrupts::DCD),
            (FR::RI, Interrupts::RI),
        ] {
            if before.is_set(flag) != self.flags.is_set(flag) {
                self.interrupts.raise(interrupt);
            }
        }
    }

    fn settle(&mut self) {
        self.settle_flags();
        self.receiver.settle_timeout(&mut self.interrupts);
    }

    /// Brings the FIFO flags in line.
    fn settle_flags(&mut self) {
        let (tx, rx) = (&self.transmitter.fifo, &self.receiver.fifo);
        let waits = !tx.is_empty();
        self.flags.modify(
            FR::TXFE.val((!waits).into())
                + FR::BUSY.val(waits.into())
                + FR::TXFF.val(tx.is_full().into())
                + FR::RXFE.val(rx.is_empty().into())
                + FR::RXFF.val(rx.is_full().into()),
        );
    }
}
