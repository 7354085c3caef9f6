// SPDX-License-Identifier: MIT
//! The tables of the manual: Arm DDI 0183G, "the TRM".

/// A row of TRM table 3-1.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) offset: u16,
    /// Bits that a write can change; none for a read-only register, or one whose
    /// writes do something other than store.
    pub(crate) stores: u16,
    pub(crate) reset: u16,
    /// The SBSA's Generic UART has this register.
    pub(crate) generic: bool,
}

const fn row(offset: u16, stores: u16, reset: u16, generic: bool) -> Row {
    Row {
        offset,
        stores,
        reset,
        generic,
    }
}

pub(crate) const DR: u16 = 0x000;
pub(crate) const RSR: u16 = 0x004;
pub(crate) const FR: u16 = 0x018;
pub(crate) const LCR_H: u16 = 0x02c;
pub(crate) const CR: u16 = 0x030;
pub(crate) const IFLS: u16 = 0x034;
pub(crate) const IMSC: u16 = 0x038;
pub(crate) const RIS: u16 = 0x03c;
pub(crate) const MIS: u16 = 0x040;
pub(crate) const ICR: u16 = 0x044;

/// TRM table 3-1.
pub(crate) const ROWS: [Row; 22] = [
    row(DR, 0, 0, true),
    row(RSR, 0, 0, true),
    row(FR, 0, 0, true),
    row(0x020, 0x00ff, 0, false), // ILPR
    row(0x024, 0xffff, 0, false), // IBRD
    row(0x028, 0x003f, 0, false), // FBRD
    row(LCR_H, 0x00ff, 0, false),
    // Bits 6:3 are reserved (TRM 3.3.8).
    row(CR, 0xff87, 0x0300, false),
    row(IFLS, 0x003f, 0x0012, false),
    row(IMSC, 0x07ff, 0, true),
    row(RIS, 0, 0, true),
    row(MIS, 0, 0, true),
    row(ICR, 0, 0, true),
    row(0x048, 0x0007, 0, false), // DMACR
    // PeriphID0 to 3 and PCellID0 to 3 of an r1p5.
    row(0xfe0, 0, 0x11, false),
    row(0xfe4, 0, 0x10, false),
    row(0xfe8, 0, 0x34, false),
    row(0xfec, 0, 0x00, false),
    row(0xff0, 0, 0x0d, false),
    row(0xff4, 0, 0xf0, false),
    row(0xff8, 0, 0x05, false),
    row(0xffc, 0, 0xb1, false),
];

/// Entries of a FIFO of an r1p5 (TRM 2.4.3).
pub(crate) const ENTRIES: usize = 32;

/// TRM 3.3.9: the levels of UARTIFLS. The last three are reserved, and treated as
/// the highest.
pub(crate) const LEVELS: [usize; 8] = [4, 8, 16, 24, 28, 28, 28, 28];

/// TRM 3.3.3.
pub(crate) mod flag {
    pub(crate) const CTS: u16 = 1 << 0;
    pub(crate) const DSR: u16 = 1 << 1;
    pub(crate) const DCD: u16 = 1 << 2;
    pub(crate) const BUSY: u16 = 1 << 3;
    pub(crate) const RXFE: u16 = 1 << 4;
    pub(crate) const TXFF: u16 = 1 << 5;
    pub(crate) const RXFF: u16 = 1 << 6;
    pub(crate) const TXFE: u16 = 1 << 7;
    pub(crate) const RI: u16 = 1 << 8;
}

/// TRM 3.3.10 to 3.3.13.
pub(crate) mod interrupt {
    pub(crate) const RI: u16 = 1 << 0;
    pub(crate) const CTS: u16 = 1 << 1;
    pub(crate) const DCD: u16 = 1 << 2;
    pub(crate) const DSR: u16 = 1 << 3;
    pub(crate) const RX: u16 = 1 << 4;
    pub(crate) const TX: u16 = 1 << 5;
    pub(crate) const RT: u16 = 1 << 6;
    pub(crate) const BE: u16 = 1 << 9;
    pub(crate) const OE: u16 = 1 << 10;
}

/// Bits of `UARTLCR_H` (TRM 3.3.7).
pub(crate) mod line_control {
    pub(crate) const BRK: u16 = 1 << 0;
    pub(crate) const FEN: u16 = 1 << 4;
}

/// Bits of UARTCR (TRM 3.3.8).
pub(crate) mod control {
    pub(crate) const LBE: u16 = 1 << 7;
    pub(crate) const RXE: u16 = 1 << 9;
    pub(crate) const DTR: u16 = 1 << 10;
    pub(crate) const RTS: u16 = 1 << 11;
    pub(crate) const OUT1: u16 = 1 << 12;
    pub(crate) const OUT2: u16 = 1 << 13;
}

/// Loopback's connections from UARTCR to UARTFR, each with the interrupt of a
/// change (TRM 2.7.2, 3.3.8).
pub(crate) const WIRES: [(u16, u16, u16); 4] = [
    (control::RTS, flag::CTS, interrupt::CTS),
    (control::DTR, flag::DSR, interrupt::DSR),
    (control::OUT1, flag::DCD, interrupt::DCD),
    (control::OUT2, flag::RI, interrupt::RI),
];

/// Bits 11:8 of UARTDR, and 3:0 of UARTRSR (TRM 3.3.1, 3.3.2).
pub(crate) mod error {
    pub(crate) const BREAK: u16 = 1 << 2;
    pub(crate) const OVERRUN: u16 = 1 << 3;
}
