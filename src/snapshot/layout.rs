// SPDX-License-Identifier: MIT
//! How a device lies in a snapshot.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::invalid::{Invalid, VERSION, check, pack, unpack};
use crate::access::Width;
use crate::device::Pl011;
use crate::fifo::{DEPTH, Fifo};
use crate::interrupt::Interrupts;
use crate::receiver::{Character, Errors, Receiver};
use crate::registers::{Profile, STORED, Stored};
use crate::transmitter::Transmitter;

/// Bytes of a snapshot.
pub const SIZE: usize = size_of::<Layout>();

/// Bytes of it that are a backend's.
pub const LINE_SIZE: usize = 41;

const MAGIC: [u8; 5] = *b"PL011";

/// The bytes of a snapshot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Layout {
    magic: [u8; 5],
    kind: u8,
    pub(super) version: U16,
    stored: [U16; STORED.len()],
    /// UARTRIS; RX and RT are 0, as they follow from the rest.
    pub(super) raw: U16,
    pub(super) mask: U16,
    status: u8,
    pub(super) flags: u8,
    tx: Entries<1>,
    rx: Entries<2>,
    dropped: U64,
    overruns: U64,
    doorbells: U64,
    /// The backend's, and zeros.
    pub(super) line: [u8; LINE_SIZE],
    pub(super) in_flight: u8,
}

/// A FIFO: the number of entries, the entries, and zeros up to its depth.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Entries<const N: usize> {
    count: u8,
    entries: [[u8; N]; DEPTH],
}

fn input_bits(interrupts: Interrupts) -> [bool; 2] {
    [Interrupts::RX, Interrupts::RT].map(|which| interrupts.contains(which))
}

fn input([rx, rt]: [bool; 2]) -> Interrupts {
    let mut interrupts = Interrupts::empty();
    interrupts.set(Interrupts::RX, rx);
    interrupts.set(Interrupts::RT, rt);
    interrupts
}

impl Layout {
    /// A device's, with nothing of a line yet.
    pub(super) fn new(device: &Pl011, kind: u8, doorbells: u64) -> Self {
        let Pl011 {
            profile,
            stored,
            mask,
            events,
            transmitter,
            receiver,
        } = device;
        let Transmitter {
            fifo: tx,
            in_flight,
            looked,
            polled,
            dropped,
        } = transmitter;
        let Receiver {
            fifo: rx,
            status,
            lost,
            shown,
            cleared,
            // Follows from the line.
            waiting: _,
            overruns,
        } = receiver;
        let sbsa = *profile == Profile::Sbsa;
        let [shown, cleared] = [*shown, *cleared].map(input_bits);
        let flags = [
            *looked, *lost, *polled, shown[0], shown[1], sbsa, cleared[0], cleared[1],
        ];
        Self {
            magic: MAGIC,
            kind,
            version: VERSION.into(),
            stored: core::array::from_fn(|index| stored.read(index).into()),
            raw: events.bits().into(),
            mask: mask.bits().into(),
            status: status.bits(),
            flags: pack(flags),
            tx: Entries::new(tx, |byte| [byte]),
            rx: Entries::new(rx, |character| [character.byte, character.errors.bits()]),
            dropped: (*dropped).into(),
            overruns: (*overruns).into(),
            doorbells: doorbells.into(),
            line: [0; LINE_SIZE],
            in_flight: *in_flight,
        }
    }

    /// The version, if it is a snapshot of a device on such a line.
    pub(super) fn version_of(&self, kind: u8) -> Result<u16, Invalid> {
        if self.magic != MAGIC || self.kind != kind {
            return Err(Invalid::Format);
        }
        match self.version.get() {
            version @ 1..=VERSION => Ok(version),
            version => Err(Invalid::Version(version)),
        }
    }

    /// The device, and the doorbells it asked for.
    pub(super) fn device(&self) -> Result<(Pl011, u64), Invalid> {
        let flags: [bool; 8] = unpack(self.flags, "device flags")?;
        let [looked, lost, polled, .., sbsa, _, _] = flags;
        let profile = if sbsa { Profile::Sbsa } else { Profile::Pl011 };
        let mut stored = Stored::new(profile);
        for (index, (value, register)) in self.stored.iter().zip(&STORED).enumerate() {
            stored.write(index, value.get().into(), Width::Half);
            check(stored.read(index) == value.get(), register.name)?;
        }
        check(!sbsa || stored == Stored::new(profile), "profile")?;
        let flight = usize::from(self.in_flight);
        check(flight <= DEPTH, "characters in flight")?;
        let device = Pl011 {
            profile,
            stored,
            mask: interrupts(self.mask, "UARTIMSC")?,
            events: interrupts(self.raw, "UARTRIS")?,
            transmitter: Transmitter {
                fifo: self.tx.fifo("transmit FIFO", |[byte]| Some(byte))?,
                in_flight: self.in_flight,
                looked,
                polled,
                dropped: self.dropped.get(),
            },
            receiver: Receiver {
                fifo: self.rx.fifo("receive FIFO", |[byte, errors]| {
                    let errors = Errors::from_bits(errors)?;
                    Some(Character { byte, errors })
                })?,
                status: Errors::from_bits(self.status).ok_or(Invalid::Field("UARTRSR"))?,
                lost,
                shown: input([flags[3], flags[4]]),
                cleared: input([flags[6], flags[7]]),
                waiting: 0,
                overruns: self.overruns.get(),
            },
        };
        let (events, receiver) = (device.events, &device.receiver);
        check(receiver.fifo.len() <= device.stored.depth(), "receive FIFO")?;
        let sent = !events.contains(Interrupts::TX) || device.at_tx_trigger();
        check(sent && !events.intersects(Interrupts::INPUT), "UARTRIS")?;
        let known = receiver.shown.contains(receiver.cleared);
        let empty = receiver.fifo.is_empty() && !receiver.shown.is_empty();
        check(known && !empty, "device flags")?;
        Ok((device, self.doorbells.get()))
    }
}

fn interrupts(bits: U16, field: &'static str) -> Result<Interrupts, Invalid> {
    Interrupts::from_bits(bits.get()).ok_or(Invalid::Field(field))
}

impl<const N: usize> Entries<N> {
    fn new<T: Copy + Default>(fifo: &Fifo<T>, bytes: impl Fn(T) -> [u8; N]) -> Self {
        let mut to = Self {
            count: 0,
            entries: [[0; N]; DEPTH],
        };
        for (to_entry, entry) in to.entries.iter_mut().zip(fifo.iter()) {
            *to_entry = bytes(entry);
            to.count += 1;
        }
        to
    }

    fn fifo<T: Copy + Default>(
        &self,
        field: &'static str,
        entry: impl Fn([u8; N]) -> Option<T>,
    ) -> Result<Fifo<T>, Invalid> {
        let count = usize::from(self.count);
        let entries = self.entries.get(..count).ok_or(Invalid::Field(field))?;
        let zero = self.entries[count..].iter().all(|bytes| *bytes == [0; N]);
        check(zero, field)?;
        let mut fifo = Fifo::default();
        for bytes in entries {
            fifo.push(entry(*bytes).ok_or(Invalid::Field(field))?);
        }
        Ok(fifo)
    }
}
