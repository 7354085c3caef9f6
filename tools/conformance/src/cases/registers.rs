// SPDX-License-Identifier: MIT
//! The register file: reset values, bits that exist, access rights (TRM 3.2).

use crate::registers::{cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict};

cases! { "registers":
    reset_values "TRM 3.2; D13, R26",
    flags_after_reset "TRM 3.3.3; D7, Xen b4637ed6; C21",
    low_power_counter_is_stored "TRM 3.3.4; R16",
    integer_divisor_is_stored "TRM 3.3.5; EDK2; C7",
    fractional_divisor_is_stored "TRM 3.3.6; EDK2; C7, R16",
    line_control_is_stored "TRM 3.3.7; EDK2; C7, R16",
    control_is_stored "TRM 3.3.8; Zephyr; C7, R16",
    trigger_levels_are_stored "TRM 3.3.9; C7, R16",
    interrupt_mask_is_stored "TRM 3.3.10; NuttX; C7, R16",
    dma_control_is_stored "TRM 3.3.14; R16",
    configuration_reads_back "EDK2, NuttX, Zephyr; D2, C7",
    read_only_registers_ignore_writes "TRM 3.2",
    clear_register_reads_zero "TRM 3.3.13; D10, C22, R29",
    divisors_do_not_matter "U-Boot; D13, C6, R5",
    dma_control_is_stored_only "TRM 3.3.14; D13",
}

fn reset_values(uart: &mut Uart<'_>) -> Verdict {
    for (offset, value) in [
        (reg::DR, 0),
        (reg::RSR, 0),
        (reg::ILPR, 0),
        (reg::IBRD, 0),
        (reg::FBRD, 0),
        (reg::LCR_H, 0),
        (reg::CR, 0x300),
        (reg::IFLS, 0x12),
        (reg::IMSC, 0),
        (reg::RIS, 0),
        (reg::MIS, 0),
        (reg::ICR, 0),
        (reg::DMACR, 0),
    ] {
        uart.see(offset, value)?;
    }
    Ok(())
}

/// TXFE and RXFE; a far side that is present and ready.
fn flags_after_reset(uart: &mut Uart<'_>) -> Verdict {
    uart.see(reg::FR, 0x97)
}

/// A register that stores the `bits` that exist in it, and nothing else.
fn keeps(uart: &mut Uart<'_>, offset: u16, bits: u32) -> Verdict {
    for value in [0xFFFF_FFFF, 0, 0x5555_5555, 0xAAAA_AAAA, 0] {
        uart.write(offset, value);
        uart.see(offset, value & bits)?;
    }
    Ok(())
}

fn low_power_counter_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::ILPR, 0xFF)
}

fn integer_divisor_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::IBRD, 0xFFFF)
}

fn fractional_divisor_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::FBRD, 0x3F)
}

fn line_control_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::LCR_H, 0xFF)
}

/// Bits 6:3 are reserved and read as zero.
fn control_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::CR, 0xFF87)
}

fn trigger_levels_are_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::IFLS, 0x3F)
}

fn interrupt_mask_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::IMSC, int::ALL)
}

fn dma_control_is_stored(uart: &mut Uart<'_>) -> Verdict {
    keeps(uart, reg::DMACR, 0x7)
}

/// EDK2 re-programs the port at every start unless these read back exactly; NuttX and
/// Zephyr depend on them too.
fn configuration_reads_back(uart: &mut Uart<'_>) -> Verdict {
    let wanted = [
        (reg::IBRD, 13),
        (reg::FBRD, 1),
        (reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8),
        (reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::RTS | cr::DTR),
        (reg::IFLS, 0x23),
        (reg::IMSC, int::RX | int::RT),
    ];
    for (offset, value) in wanted {
        uart.write(offset, value);
    }
    for (offset, value) in wanted {
        uart.see(offset, value)?;
    }
    Ok(())
}

fn read_only_registers_ignore_writes(uart: &mut Uart<'_>) -> Verdict {
    uart.send(b"x");
    for offset in [reg::FR, reg::RIS, reg::MIS] {
        let before = uart.read(offset);
        uart.write(offset, 0xFFFF_FFFF);
        uart.write(offset, 0);
        uart.see(offset, before)?;
    }
    Ok(())
}

/// Stock Xen aborts a guest's read of it.
fn clear_register_reads_zero(uart: &mut Uart<'_>) -> Verdict {
    uart.send(b"x");
    uart.see(reg::ICR, 0)?;
    // Reading ICR clears nothing.
    uart.has(reg::RIS, int::TX)
}

/// TRM 3.3.5 and 3.3.6 forbid some divisors; no line here depends on them.
fn divisors_do_not_matter(uart: &mut Uart<'_>) -> Verdict {
    for (ibrd, fbrd) in [
        (0, 0),
        (0, 63),
        (0xFFFF, 63),
        (0xFFFF_FFFF, 1),
        (0xF800_0000, 0),
    ] {
        uart.write(reg::IBRD, ibrd);
        uart.write(reg::FBRD, fbrd);
        uart.fifos();
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        uart.send(b"ok");
        uart.feed(b"in");
        uart.outputs(b"ok")?;
        uart.receives(b"in")?;
        uart.lacks(reg::FR, fr::BUSY)?;
    }
    Ok(())
}

fn dma_control_is_stored_only(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::DMACR, 7);
    uart.feed(b"input");
    uart.send(b"output");
    uart.see(reg::DMACR, 7)?;
    uart.receives(b"input")?;
    uart.outputs(b"output")
}
