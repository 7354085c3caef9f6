// SPDX-License-Identifier: MIT
//! The register map, in this crate's own constants (TRM chapter 3).

/// Offsets into the frame.
#[expect(missing_docs, reason = "the TRM's names")]
pub mod reg {
    pub const DR: u16 = 0x000;
    pub const RSR: u16 = 0x004;
    pub const FR: u16 = 0x018;
    pub const ILPR: u16 = 0x020;
    pub const IBRD: u16 = 0x024;
    pub const FBRD: u16 = 0x028;
    pub const LCR_H: u16 = 0x02C;
    pub const CR: u16 = 0x030;
    pub const IFLS: u16 = 0x034;
    pub const IMSC: u16 = 0x038;
    pub const RIS: u16 = 0x03C;
    pub const MIS: u16 = 0x040;
    pub const ICR: u16 = 0x044;
    pub const DMACR: u16 = 0x048;
}

/// Bits of UARTFR (TRM 3.3.3).
#[expect(missing_docs, reason = "the TRM's names")]
pub mod fr {
    pub const CTS: u32 = 1 << 0;
    pub const DSR: u32 = 1 << 1;
    pub const DCD: u32 = 1 << 2;
    pub const BUSY: u32 = 1 << 3;
    pub const RXFE: u32 = 1 << 4;
    pub const TXFF: u32 = 1 << 5;
    pub const RXFF: u32 = 1 << 6;
    pub const TXFE: u32 = 1 << 7;
    pub const RI: u32 = 1 << 8;
}

/// Interrupts, in the order of RIS, MIS, IMSC and ICR (TRM 3.3.10).
#[expect(missing_docs, reason = "the TRM's names")]
pub mod int {
    pub const RI: u32 = 1 << 0;
    pub const CTS: u32 = 1 << 1;
    pub const DCD: u32 = 1 << 2;
    pub const DSR: u32 = 1 << 3;
    pub const RX: u32 = 1 << 4;
    pub const TX: u32 = 1 << 5;
    pub const RT: u32 = 1 << 6;
    pub const BE: u32 = 1 << 9;
    pub const OE: u32 = 1 << 10;
    pub const ALL: u32 = 0x7FF;
}

/// Bits of UARTCR (TRM 3.3.8).
#[expect(missing_docs, reason = "the TRM's names")]
pub mod cr {
    pub const UARTEN: u32 = 1 << 0;
    pub const LBE: u32 = 1 << 7;
    pub const TXE: u32 = 1 << 8;
    pub const RXE: u32 = 1 << 9;
    pub const DTR: u32 = 1 << 10;
    pub const RTS: u32 = 1 << 11;
    pub const OUT1: u32 = 1 << 12;
    pub const OUT2: u32 = 1 << 13;
}

/// Bits of `UARTLCR_H` (TRM 3.3.7).
#[expect(missing_docs, reason = "the TRM's names")]
pub mod lcr_h {
    pub const BRK: u32 = 1 << 0;
    pub const FEN: u32 = 1 << 4;
    pub const WLEN8: u32 = 3 << 5;
}

/// Trigger levels: the value of each in a field of UARTIFLS (TRM 3.3.9), and how many
/// entries of 32 it is.
#[expect(missing_docs, reason = "the TRM's names")]
pub mod trigger {
    pub const ONE_EIGHTH: (u32, u32) = (0, 4);
    pub const ONE_QUARTER: (u32, u32) = (1, 8);
    pub const HALF: (u32, u32) = (2, 16);
    pub const THREE_QUARTERS: (u32, u32) = (3, 24);
    pub const SEVEN_EIGHTHS: (u32, u32) = (4, 28);
}

/// Break, in bits 11:8 of DR (TRM 3.3.1).
pub const DR_BE: u32 = 1 << 10;
/// Overrun, in bits 11:8 of DR.
pub const DR_OE: u32 = 1 << 11;

/// The TRM's name of a register.
pub(crate) fn name(offset: u16) -> &'static str {
    match offset {
        reg::DR => "DR",
        reg::RSR => "RSR",
        reg::FR => "FR",
        reg::ILPR => "ILPR",
        reg::IBRD => "IBRD",
        reg::FBRD => "FBRD",
        reg::LCR_H => "LCR_H",
        reg::CR => "CR",
        reg::IFLS => "IFLS",
        reg::IMSC => "IMSC",
        reg::RIS => "RIS",
        reg::MIS => "MIS",
        reg::ICR => "ICR",
        reg::DMACR => "DMACR",
        0xFE0..=0xFEF => "PeriphID",
        0xFF0..=0xFFF => "PCellID",
        _ => "an offset without a register",
    }
}
