// SPDX-License-Identifier: MIT
//! The register map (TRM chapter 3): which register an offset names, which of
//! its bits exist, and what they hold after reset.
//!
//! An offset becomes a [`Register`] once; nothing further in handles offsets.

use tock_registers::{LocalRegisterCopy, register_bitfields};

use crate::trap::Width;

/// A register of the frame. Names are ours, aliases the TRM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Data, 0x000 (TRM 3.3.1).
    #[doc(alias = "UARTDR")]
    Data,
    /// Receive status and error clear, 0x004 (TRM 3.3.2).
    #[doc(alias = "UARTRSR")]
    #[doc(alias = "UARTECR")]
    ReceiveStatus,
    /// Flags, 0x018 (TRM 3.3.3).
    #[doc(alias = "UARTFR")]
    Flags,
    /// IrDA low-power counter, 0x020 (TRM 3.3.4).
    #[doc(alias = "UARTILPR")]
    LowPowerCounter,
    /// Integer baud rate divisor, 0x024 (TRM 3.3.5).
    #[doc(alias = "UARTIBRD")]
    IntegerBaudRate,
    /// Fractional baud rate divisor, 0x028 (TRM 3.3.6).
    #[doc(alias = "UARTFBRD")]
    FractionalBaudRate,
    /// Line control, 0x02C (TRM 3.3.7).
    #[doc(alias = "UARTLCR_H")]
    LineControl,
    /// Control, 0x030 (TRM 3.3.8).
    #[doc(alias = "UARTCR")]
    Control,
    /// FIFO trigger levels, 0x034 (TRM 3.3.9).
    #[doc(alias = "UARTIFLS")]
    FifoLevels,
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
    /// DMA control, 0x048 (TRM 3.3.14).
    #[doc(alias = "UARTDMACR")]
    DmaControl,
    /// One of the eight identification registers, 0xFE0 to 0xFFC (TRM 3.3.15 to
    /// 3.3.22), by its value.
    #[doc(alias = "UARTPeriphID")]
    #[doc(alias = "UARTPCellID")]
    Identification(u8),
}

/// PeriphID0-3 and PCellID0-3 of a PL011 r1p5 (TRM 3.3.15 to 3.3.22): part
/// 0x011, designer 0x41, revision 3, which tells drivers of a 32-deep FIFO.
const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

impl Register {
    /// Whether `offset` names [`Register::Data`], which it does in every
    /// profile. Asked first, as a driver that sends writes little else.
    #[inline]
    #[must_use]
    pub const fn is_data(offset: u16) -> bool {
        offset == 0
    }

    /// The register of a PL011 at `offset` bytes into the frame; `None` for an
    /// offset that names no register or lies inside one.
    #[inline]
    #[must_use]
    pub fn at(offset: u16) -> Option<Self> {
        Some(match offset {
            0x000 => Self::Data,
            0x004 => Self::ReceiveStatus,
            0x018 => Self::Flags,
            0x020 => Self::LowPowerCounter,
            0x024 => Self::IntegerBaudRate,
            0x028 => Self::FractionalBaudRate,
            0x02C => Self::LineControl,
            0x030 => Self::Control,
            0x034 => Self::FifoLevels,
            0x038 => Self::InterruptMask,
            0x03C => Self::RawInterruptStatus,
            0x040 => Self::MaskedInterruptStatus,
            0x044 => Self::InterruptClear,
            0x048 => Self::DmaControl,
            0xFE0..=0xFFC if offset.is_multiple_of(4) => {
                let index = usize::from((offset - 0xFE0) / 4);
                Self::Identification(*IDENTIFICATION.get(index)?)
            }
            _ => return None,
        })
    }
}

/// Which UART the guest is offered.
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
    #[must_use]
    pub fn register(self, offset: u16) -> Option<Register> {
        Register::at(offset).filter(|register| {
            self == Self::Pl011
                || matches!(
                    register,
                    Register::Data
                        | Register::ReceiveStatus
                        | Register::Flags
                        | Register::InterruptMask
                        | Register::RawInterruptStatus
                        | Register::MaskedInterruptStatus
                        | Register::InterruptClear
                )
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

/// The registers that hold what was written to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) ilpr: u16,
    pub(crate) ibrd: u16,
    pub(crate) fbrd: u16,
    pub(crate) lcr_h: u16,
    pub(crate) cr: u16,
    pub(crate) ifls: u16,
    pub(crate) dmacr: u16,
}

impl Stored {
    /// What they hold after reset.
    pub(crate) fn new(profile: Profile) -> Self {
        let lcr_h = match profile {
            Profile::Pl011 => LCR_H::FEN::CLEAR,
            Profile::Sbsa => LCR_H::FEN::SET,
        };
        Self {
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: lcr_h.value,
            cr: 0x300,
            ifls: 0x12,
            dmacr: 0,
        }
    }

    /// The cell of a register of this bank and the bits that exist in it.
    fn cell(&mut self, register: Register) -> Option<(&mut u16, u16)> {
        Some(match register {
            Register::LowPowerCounter => (&mut self.ilpr, 0x00FF),
            Register::IntegerBaudRate => (&mut self.ibrd, 0xFFFF),
            Register::FractionalBaudRate => (&mut self.fbrd, 0x003F),
            Register::LineControl => (&mut self.lcr_h, 0x00FF),
            // Bits 6:3 are reserved, and read as zero (TRM 3.3.8).
            Register::Control => (&mut self.cr, 0xFF87),
            Register::FifoLevels => (&mut self.ifls, 0x003F),
            Register::DmaControl => (&mut self.dmacr, 0x0007),
            _ => return None,
        })
    }

    /// Stores the bytes of `value` that the access covers.
    pub(crate) fn write(&mut self, register: Register, value: u32, width: Width) {
        if let Some((cell, bits)) = self.cell(register) {
            *cell = width.merge(*cell, value) & bits;
        }
    }

    #[inline]
    pub(crate) fn cr(&self) -> LocalRegisterCopy<u16, CR::Register> {
        LocalRegisterCopy::new(self.cr)
    }

    pub(crate) fn lcr_h(&self) -> LocalRegisterCopy<u16, LCR_H::Register> {
        LocalRegisterCopy::new(self.lcr_h)
    }

    pub(crate) fn ifls(&self) -> LocalRegisterCopy<u16, IFLS::Register> {
        LocalRegisterCopy::new(self.ifls)
    }
}
