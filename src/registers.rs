// SPDX-License-Identifier: MIT
//! The register map (TRM chapter 3): which register an offset names, which of
//! its bits exist, and what they hold after reset.
//!
//! An offset becomes a `Register` once; nothing further in handles offsets.

use tock_registers::fields::Field;
use tock_registers::{LocalRegisterCopy, register_bitfields};

use crate::access::Width;
use crate::fifo::DEPTH;

/// A register of the frame. The aliases are the TRM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    /// Data, 0x000 (TRM 3.3.1).
    #[doc(alias = "UARTDR")]
    Data,
    /// Receive status and error clear, 0x004 (TRM 3.3.2).
    #[doc(alias("UARTRSR", "UARTECR"))]
    ReceiveStatus,
    /// Flags, 0x018 (TRM 3.3.3).
    #[doc(alias = "UARTFR")]
    Flags,
    /// Interrupt mask, 0x038 (TRM 3.3.10).
    #[doc(alias = "UARTIMSC")]
    InterruptMask,
    /// Raw interrupt status, 0x03C (TRM 3.3.11).
    #[doc(alias = "UARTRIS")]
    RawInterruptStatus,
    /// Masked interrupt status, 0x040 (TRM 3.3.12).
    #[doc(alias = "UARTMIS")]
    MaskedInterruptStatus,
    /// Interrupt clear, 0x044 (TRM 3.3.13).
    #[doc(alias = "UARTICR")]
    InterruptClear,
    /// One that holds what was written to it, by its place in [`STORED`].
    Stored(usize),
    /// One of the eight identification registers, 0xFE0 to 0xFFC (TRM 3.3.15 to
    /// 3.3.22), by its value.
    #[doc(alias("UARTPeriphID", "UARTPCellID"))]
    Identification(u8),
}

/// The properties of a register that only stores a value.
pub(crate) struct StoredRegister {
    pub(crate) offset: u16,
    /// The bits that exist.
    pub(crate) bits: u16,
    pub(crate) reset: u16,
    #[cfg_attr(
        not(feature = "snapshot"),
        expect(dead_code, reason = "in the error of a refused snapshot")
    )]
    pub(crate) name: &'static str,
}

const fn stored(offset: u16, bits: u16, reset: u16, name: &'static str) -> StoredRegister {
    StoredRegister {
        offset,
        bits,
        reset,
        name,
    }
}

/// The registers that hold what was written to them (TRM 3.3.4 to 3.3.9,
/// 3.3.14). Bits 6:3 of UARTCR are reserved, and read as zero.
pub(crate) const STORED: [StoredRegister; 7] = [
    stored(0x020, 0x00FF, 0, "UARTILPR"),
    stored(0x024, 0xFFFF, 0, "UARTIBRD"),
    stored(0x028, 0x003F, 0, "UARTFBRD"),
    stored(0x02C, 0x00FF, 0, "UARTLCR_H"),
    stored(0x030, 0xFF87, 0x300, "UARTCR"),
    stored(0x034, 0x003F, 0x12, "UARTIFLS"),
    stored(0x048, 0x0007, 0, "UARTDMACR"),
];

/// PeriphID0-3 and PCellID0-3 of a PL011 r1p5 (TRM 3.3.15 to 3.3.22): part
/// 0x011, designer 0x41, revision 3, which tells drivers of a 32-deep FIFO.
const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

/// Offsets of drivers' most frequent accesses, in every profile.
impl Register {
    pub(crate) const DR: u16 = 0x000;
    pub(crate) const FR: u16 = 0x018;
    pub(crate) const IMSC: u16 = 0x038;
    pub(crate) const RIS: u16 = 0x03C;
    pub(crate) const MIS: u16 = 0x040;
    pub(crate) const ICR: u16 = 0x044;

    /// The register of a PL011 at `offset` bytes into the frame; `None` for an
    /// offset that names no register or lies inside one.
    #[inline]
    pub(crate) fn at(offset: u16) -> Option<Self> {
        Some(match offset {
            Self::DR => Self::Data,
            0x004 => Self::ReceiveStatus,
            Self::FR => Self::Flags,
            Self::IMSC => Self::InterruptMask,
            Self::RIS => Self::RawInterruptStatus,
            Self::MIS => Self::MaskedInterruptStatus,
            Self::ICR => Self::InterruptClear,
            0xFE0..=0xFFC if offset.is_multiple_of(4) => {
                let index = usize::from((offset - 0xFE0) / 4);
                Self::Identification(*IDENTIFICATION.get(index)?)
            }
            _ => Self::Stored(STORED.iter().position(|stored| stored.offset == offset)?),
        })
    }
}

/// Which UART the guest gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The PL011, every register of it.
    #[default]
    Pl011,
    /// The Generic UART of Arm's SBSA: the registers that move characters and
    /// handle interrupts. Firmware is taken to have set the rest, which is out
    /// of reach: the FIFOs are enabled from reset.
    Sbsa,
}

impl Profile {
    /// The register that the guest finds at `offset` bytes into the frame;
    /// what this is `None` for reads as zero and ignores writes.
    #[inline]
    pub(crate) fn register(self, offset: u16) -> Option<Register> {
        Register::at(offset).filter(|register| {
            let beyond = matches!(register, Register::Stored(_) | Register::Identification(_));
            self == Self::Pl011 || !beyond
        })
    }
}

register_bitfields! { u16,
    /// UARTLCR_H (TRM 3.3.7): the fields that do something here.
    pub(crate) LCR_H [
        BRK OFFSET(0) NUMBITS(1) [],
        FEN OFFSET(4) NUMBITS(1) []
    ],
    /// UARTCR (TRM 3.3.8): the fields that do something here.
    pub(crate) CR [
        LBE OFFSET(7) NUMBITS(1) [],
        RXE OFFSET(9) NUMBITS(1) [],
        DTR OFFSET(10) NUMBITS(1) [],
        RTS OFFSET(11) NUMBITS(1) [],
        OUT1 OFFSET(12) NUMBITS(1) [],
        OUT2 OFFSET(13) NUMBITS(1) []
    ],
    /// UARTIFLS (TRM 3.3.9).
    pub(crate) IFLS [
        TXIFLSEL OFFSET(0) NUMBITS(3) [],
        RXIFLSEL OFFSET(3) NUMBITS(3) []
    ],
    /// UARTFR (TRM 3.3.3).
    pub(crate) FR [
        CTS OFFSET(0) NUMBITS(1) [],
        DSR OFFSET(1) NUMBITS(1) [],
        DCD OFFSET(2) NUMBITS(1) [],
        BUSY OFFSET(3) NUMBITS(1) [],
        RXFE OFFSET(4) NUMBITS(1) [],
        TXFF OFFSET(5) NUMBITS(1) [],
        RXFF OFFSET(6) NUMBITS(1) [],
        TXFE OFFSET(7) NUMBITS(1) [],
        RI OFFSET(8) NUMBITS(1) []
    ]
}

/// UARTFR's value.
pub(crate) type Flags = LocalRegisterCopy<u16, FR::Register>;

/// The values of [`STORED`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored([u16; STORED.len()]);

impl Stored {
    pub(crate) const LCR_H: usize = 3;
    const CR: usize = 4;
    const IFLS: usize = 5;

    /// What they hold after reset.
    pub(crate) fn new(profile: Profile) -> Self {
        let mut stored = Self(STORED.map(|register| register.reset));
        if profile == Profile::Sbsa {
            stored.0[Self::LCR_H] = LCR_H::FEN::SET.value;
        }
        stored
    }

    #[inline]
    pub(crate) fn read(&self, index: usize) -> u16 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// Stores the bytes of `value` that the access covers.
    pub(crate) fn write(&mut self, index: usize, value: u32, width: Width) {
        if let (Some(cell), Some(register)) = (self.0.get_mut(index), STORED.get(index)) {
            *cell = width.merge(*cell, value) & register.bits;
        }
    }

    /// UARTLCR as a whole, which a write of `LCR_H` sets (TRM 3.3.7).
    pub(crate) fn line_control(&self) -> u32 {
        let [_, ibrd, fbrd, lcr_h, ..] = self.0.map(u32::from);
        lcr_h << 22 | ibrd << 6 | fbrd
    }

    /// Entries that a FIFO has as the guest sees it. The transmitter's may hold
    /// more, if FEN was cleared while it held some.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        if self.has_fifos() { DEPTH } else { 1 }
    }

    #[inline]
    pub(crate) fn has_fifos(&self) -> bool {
        self.lcr_h().is_set(LCR_H::FEN)
    }

    /// The level of UARTRXINTR; without FIFOs, one character (TRM 2.8.2).
    #[inline]
    pub(crate) fn rx_trigger(&self) -> usize {
        self.trigger(IFLS::RXIFLSEL).unwrap_or(1)
    }

    /// The level of UARTTXINTR; without FIFOs, none (TRM 2.8.3).
    #[inline]
    pub(crate) fn tx_trigger(&self) -> usize {
        self.trigger(IFLS::TXIFLSEL).unwrap_or(0)
    }

    /// Reserved values mean the highest level (TRM 3.3.9).
    #[inline]
    fn trigger(&self, select: Field<u16, IFLS::Register>) -> Option<usize> {
        const LEVELS: [u8; 8] = [4, 8, 16, 24, 28, 28, 28, 28];
        let level = LEVELS[usize::from(select.read(self.0[Self::IFLS]))];
        self.has_fifos().then_some(level.into())
    }

    #[inline]
    pub(crate) fn loops_back(&self) -> bool {
        self.cr().is_set(CR::LBE)
    }

    /// Only in loopback RXE gates reception: Linux up to 4.0 loops a NUL back
    /// with RXE=0 to provoke a transmit interrupt, and must not find it
    /// afterwards.
    pub(crate) fn loops_to_receiver(&self) -> bool {
        self.loops_back() && self.cr().is_set(CR::RXE)
    }

    /// The break that `LCR_H.BRK` transmits comes back.
    pub(crate) fn loops_break(&self) -> bool {
        self.loops_back() && self.lcr_h().is_set(LCR_H::BRK)
    }

    #[inline]
    pub(crate) fn cr(&self) -> LocalRegisterCopy<u16, CR::Register> {
        LocalRegisterCopy::new(self.0[Self::CR])
    }

    #[inline]
    fn lcr_h(&self) -> LocalRegisterCopy<u16, LCR_H::Register> {
        LocalRegisterCopy::new(self.0[Self::LCR_H])
    }
}
