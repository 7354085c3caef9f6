// SPDX-License-Identifier: MIT
//! The state of a UART as bytes, for a guest that is saved or moved.
//!
//! A snapshot holds what cannot be derived: registers, FIFOs, interrupts,
//! private ring indices, counters. What follows from those is computed again.
//! The ring page itself is memory, and travels as memory does.
//!
//! Snapshots come from outside. [`Uart::restore`] checks every field and the
//! relations between them, and accepts exactly the bytes that
//! [`Uart::save`] can produce.

use core::fmt;

use crate::backend::{Backend, Traffic};
use crate::device::Pl011;
use crate::fifo::{DEPTH, Fifo};
use crate::interrupt::Interrupts;
use crate::receiver::{Character, Errors};
use crate::registers::{Profile, Register, Stored};
use crate::ring::index::filled;
use crate::ring::layout::{IN_CONS, IN_SIZE, OUT_PROD, OUT_SIZE};
use crate::ring::memory::RingMemory;
use crate::ring::port::RingPort;
use crate::transmitter::BURST;
use crate::trap::Width;
use crate::uart::Uart;

/// Bytes of a snapshot.
pub const SIZE: usize = 192;

/// The layout written here. Another one is refused.
pub const VERSION: u16 = 2;

const MAGIC: [u8; 5] = *b"PL011";

/// The state of a UART and its end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot(pub [u8; SIZE]);

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Not a snapshot of this kind of UART, or of another length.
    Format,
    /// A layout other than [`VERSION`].
    Version(u16),
    /// A value that the named field never has.
    Field(&'static str),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("not a PL011 snapshot"),
            Self::Version(version) => write!(f, "snapshot version {version}, not {VERSION}"),
            Self::Field(field) => write!(f, "impossible value in {field}"),
        }
    }
}

impl core::error::Error for Invalid {}

/// A backend whose end of the line is saved with the device.
pub trait Persistent: Backend + Sized {
    /// Tells the snapshots of one kind of line from those of another.
    const KIND: u8;

    /// What a restored backend stands on.
    type Ground;

    /// Appends the backend's state, the same number of bytes each time.
    fn save(&self, to: &mut Writer);

    /// Takes the state from where [`save`](Self::save) put it.
    fn restore(ground: Self::Ground, from: &mut Reader<'_>) -> Result<Self, Invalid>;
}

impl<B: Persistent> Uart<B> {
    /// The state between two entries.
    pub fn save(&self) -> Snapshot {
        let mut to = Writer {
            bytes: [0; SIZE],
            next: 0,
        };
        to.put(&MAGIC);
        to.put(&[B::KIND]);
        to.put(&VERSION.to_le_bytes());
        save_device(&self.device, &mut to);
        to.put(&self.doorbells.to_le_bytes());
        self.backend.save(&mut to);
        to.put(&[self.device.transmitter.burst]);
        Snapshot(to.bytes)
    }

    /// A UART that goes on where [`save`](Self::save) was called, with the
    /// interrupt line as it was then.
    pub fn restore(ground: B::Ground, bytes: &[u8]) -> Result<Self, Invalid> {
        let bytes: &[u8; SIZE] = bytes.try_into().map_err(|_| Invalid::Format)?;
        let mut from = Reader { left: bytes };
        if from.take()? != MAGIC || from.take()? != [B::KIND] {
            return Err(Invalid::Format);
        }
        let version = from.u16()?;
        if version != VERSION {
            return Err(Invalid::Version(version));
        }
        let mut device = restore_device(&mut from)?;
        let doorbells = from.u64()?;
        let backend = B::restore(ground, &mut from)?;
        let [burst] = from.take()?;
        check(burst <= BURST, "burst")?;
        device.transmitter.burst = burst;
        check(from.left.iter().all(|&byte| byte == 0), "padding")?;
        Ok(Self::joined(device, backend, doorbells))
    }
}

/// The bytes of a snapshot under construction.
#[derive(Debug)]
pub struct Writer {
    bytes: [u8; SIZE],
    next: usize,
}

impl Writer {
    /// Appends bytes; [`SIZE`] is what all callers together need.
    pub fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(slot) = self.bytes.get_mut(self.next) {
                *slot = byte;
            }
            self.next += 1;
        }
    }
}

/// What is left to read of a snapshot.
#[derive(Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl Reader<'_> {
    /// The next `N` bytes.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], Invalid> {
        let (bytes, left) = self.left.split_first_chunk().ok_or(Invalid::Format)?;
        self.left = left;
        Ok(*bytes)
    }

    /// The next 16 bits, little-endian.
    pub fn u16(&mut self) -> Result<u16, Invalid> {
        self.take().map(u16::from_le_bytes)
    }

    /// The next 32 bits, little-endian.
    pub fn u32(&mut self) -> Result<u32, Invalid> {
        self.take().map(u32::from_le_bytes)
    }

    /// The next 64 bits, little-endian.
    pub fn u64(&mut self) -> Result<u64, Invalid> {
        self.take().map(u64::from_le_bytes)
    }

    /// The next byte as a set of `N` flags, lowest bit first.
    pub fn flags<const N: usize>(&mut self, field: &'static str) -> Result<[bool; N], Invalid> {
        let [byte] = self.take()?;
        check(u32::from(byte) >> N == 0, field)?;
        Ok(core::array::from_fn(|bit| byte >> bit & 1 == 1))
    }
}

fn check(holds: bool, field: &'static str) -> Result<(), Invalid> {
    if holds {
        Ok(())
    } else {
        Err(Invalid::Field(field))
    }
}

fn flags<const N: usize>(flags: [bool; N]) -> [u8; 1] {
    [flags
        .into_iter()
        .rev()
        .fold(0, |byte, flag| byte << 1 | u8::from(flag))]
}

/// The stored registers, in the order of a snapshot.
const REGISTERS: [(Register, &str); 7] = [
    (Register::LowPowerCounter, "UARTILPR"),
    (Register::IntegerBaudRate, "UARTIBRD"),
    (Register::FractionalBaudRate, "UARTFBRD"),
    (Register::LineControl, "UARTLCR_H"),
    (Register::Control, "UARTCR"),
    (Register::FifoLevels, "UARTIFLS"),
    (Register::DmaControl, "UARTDMACR"),
];

fn save_device(device: &Pl011, to: &mut Writer) {
    let Stored {
        ilpr,
        ibrd,
        fbrd,
        lcr_h,
        cr,
        ifls,
        dmacr,
    } = device.stored;
    let raw = device.interrupts.raw.bits();
    let mask = device.interrupts.mask.bits();
    for register in [ilpr, ibrd, fbrd, lcr_h, cr, ifls, dmacr, raw, mask] {
        to.put(&register.to_le_bytes());
    }
    let (tx, rx) = (&device.transmitter, &device.receiver);
    to.put(&[rx.status.bits()]);
    to.put(&flags([
        tx.unseen,
        rx.overrun,
        rx.timeout_armed,
        rx.waiting,
        tx.held_shown,
        device.profile == Profile::Sbsa,
    ]));
    save_fifo(&tx.fifo, to, |&byte| [byte]);
    save_fifo(&rx.fifo, to, |character| {
        [character.byte, character.errors.bits()]
    });
    to.put(&tx.dropped.to_le_bytes());
    to.put(&rx.overruns.to_le_bytes());
}

fn restore_device(from: &mut Reader<'_>) -> Result<Pl011, Invalid> {
    let mut device = Pl011::new(Profile::Pl011);
    for (register, name) in REGISTERS {
        let value = from.u16()?;
        device.stored.write(register, value.into(), Width::Half);
        check(device.read(register) == value, name)?;
    }
    device.interrupts.raw = interrupts(from, "UARTRIS")?;
    device.interrupts.mask = interrupts(from, "UARTIMSC")?;
    device.receiver.status = errors(from.take()?, "UARTRSR")?;
    let [unseen, overrun, timeout_armed, waiting, held_shown, sbsa] = from.flags("device flags")?;
    if sbsa {
        device.profile = Profile::Sbsa;
    }
    device.transmitter.unseen = unseen;
    device.receiver.overrun = overrun;
    device.receiver.timeout_armed = timeout_armed;
    device.receiver.waiting = waiting;
    device.transmitter.held_shown = held_shown;
    restore_fifo(
        &mut device.transmitter.fifo,
        from,
        "transmit FIFO",
        |[byte]| Ok(byte),
    )?;
    restore_fifo(
        &mut device.receiver.fifo,
        from,
        "receive FIFO",
        |[byte, bits]| {
            Ok(Character {
                byte,
                errors: errors([bits], "receive FIFO")?,
            })
        },
    )?;
    device.transmitter.dropped = from.u64()?;
    device.receiver.overruns = from.u64()?;
    device.settle_derived();
    check_device(&device)?;
    Ok(device)
}

/// The relations that hold after every entry.
fn check_device(device: &Pl011) -> Result<(), Invalid> {
    let (tx, rx) = (&device.transmitter, &device.receiver);
    let raw = device.interrupts.raw;
    check(
        device.profile == Profile::Pl011 || device.stored == Stored::new(device.profile),
        "profile",
    )?;
    check(rx.fifo.len() <= rx.fifo.depth(), "receive FIFO")?;
    let full = rx.fifo.is_full();
    check(full || !(rx.waiting || tx.held_shown), "device flags")?;
    check(!raw.contains(Interrupts::TX) || tx.at_trigger(), "UARTRIS")?;
    check(!raw.contains(Interrupts::RX) || rx.at_trigger(), "UARTRIS")?;
    let mut settled = device.interrupts.clone();
    rx.settle_timeout(&mut settled);
    check(settled == device.interrupts, "UARTRIS")
}

fn interrupts(from: &mut Reader<'_>, field: &'static str) -> Result<Interrupts, Invalid> {
    Interrupts::from_bits(from.u16()?).ok_or(Invalid::Field(field))
}

fn errors([bits]: [u8; 1], field: &'static str) -> Result<Errors, Invalid> {
    Errors::from_bits(bits).ok_or(Invalid::Field(field))
}

/// The number of entries, the entries, and zeros up to the FIFO's depth.
fn save_fifo<T, const N: usize>(fifo: &Fifo<T>, to: &mut Writer, bytes: fn(&T) -> [u8; N]) {
    to.put(&[fifo.iter().fold(0, |entries, _| entries + 1)]);
    for entry in fifo.iter() {
        to.put(&bytes(entry));
    }
    for _ in fifo.len()..DEPTH {
        to.put(&[0; N]);
    }
}

fn restore_fifo<T, const N: usize>(
    fifo: &mut Fifo<T>,
    from: &mut Reader<'_>,
    field: &'static str,
    entry: fn([u8; N]) -> Result<T, Invalid>,
) -> Result<(), Invalid> {
    let [entries] = from.take()?;
    check(usize::from(entries) <= DEPTH, field)?;
    for index in 0..DEPTH {
        let bytes = from.take()?;
        if index < entries.into() {
            fifo.push(entry(bytes)?);
        } else {
            check(bytes == [0; N], field)?;
        }
    }
    Ok(())
}

/// The ring's private indices. Those of the backend are what was last accepted
/// of them, and are looked at afresh when next needed.
impl<M: RingMemory> Persistent for RingPort<M> {
    const KIND: u8 = 1;

    type Ground = M;

    fn save(&self, to: &mut Writer) {
        for index in [self.out_prod, self.out_cons, self.in_cons, self.in_prod] {
            to.put(&index.to_le_bytes());
        }
        to.put(&flags([self.in_blocked, self.event_index]));
        let Traffic {
            bytes_out,
            bytes_in,
            resyncs,
        } = self.traffic();
        for count in [bytes_out, bytes_in, resyncs] {
            to.put(&count.to_le_bytes());
        }
    }

    fn restore(memory: M, from: &mut Reader<'_>) -> Result<Self, Invalid> {
        let [out_prod, out_cons] = [from.u32()?, from.u32()?];
        let [in_cons, in_prod] = [from.u32()?, from.u32()?];
        check(
            filled(out_prod, out_cons, OUT_SIZE).is_some(),
            "indices of out",
        )?;
        check(filled(in_prod, in_cons, IN_SIZE).is_some(), "indices of in")?;
        let [in_blocked, event_index] = from.flags("ring flags")?;
        let traffic = Traffic {
            bytes_out: from.u64()?,
            bytes_in: from.u64()?,
            resyncs: from.u64()?,
        };
        memory.store_u32(OUT_PROD, out_prod);
        memory.store_u32(IN_CONS, in_cons);
        Ok(Self {
            memory,
            out_prod,
            out_cons,
            in_cons,
            in_cons_published: in_cons,
            in_prod,
            in_blocked,
            event_index,
            out_counted: out_prod,
            traffic,
        })
    }
}
