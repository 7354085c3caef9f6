// SPDX-License-Identifier: MIT
//! D10: access widths, offsets without a register.

use crate::registers::{cr, fr, int, reg};
use crate::{Uart, Verdict, Width};

cases! { "widths":
    narrow_reads_are_cut "SBSA; D10",
    narrow_writes_leave_other_bytes "NetBSD; D10",
    narrow_clear_reaches_its_byte "NetBSD; D10",
    half_and_word_are_equal "Linux; SBSA; D10",
    data_moves_by_bytes "SBSA; Linux earlycon, EDK2; D10",
    data_moves_by_halves "SBSA; Linux; D10",
    data_moves_by_words "SBSA; U-Boot; D10",
    flags_read_at_every_width "SBSA; D10",
    status_reads_at_every_width "SBSA; D10",
    identification_reads_at_every_width "D10",
    offsets_inside_a_register_name_nothing "D10, C23",
    offsets_between_registers_name_nothing "TRM 3.2; D10, C23",
    offsets_of_test_registers_are_harmless "TRM 4.3; D10, C23",
    unknown_offsets_change_nothing "D10, C23; Xen b8d5ea6d",
    a_64_bit_access_aborts "D10, R29",
    a_64_bit_access_does_no_harm "D10, R29",
}

const WIDTHS: [Width; 3] = [Width::Byte, Width::Half, Width::Word];

fn narrow_reads_are_cut(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::IBRD, 0xFF87);
    uart.see_as(reg::IBRD, Width::Byte, 0x87)?;
    uart.see_as(reg::IBRD, Width::Half, 0xFF87)?;
    uart.see_as(reg::IBRD, Width::Word, 0xFF87)
}

fn narrow_writes_leave_other_bytes(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, cr::TXE | cr::RXE | cr::RTS);
    uart.write_as(reg::CR, Width::Byte, cr::UARTEN);
    uart.see(reg::CR, cr::TXE | cr::RXE | cr::RTS | cr::UARTEN)?;

    uart.write(reg::IBRD, 0x1234);
    uart.write_as(reg::IBRD, Width::Byte, 0x56);
    uart.see(reg::IBRD, 0x1256)?;

    uart.write(reg::IMSC, int::OE | int::RX);
    uart.write_as(reg::IMSC, Width::Byte, int::TX);
    uart.see(reg::IMSC, int::OE | int::TX)
}

/// NetBSD uses byte accesses: it cannot clear bits of the other byte.
fn narrow_clear_reaches_its_byte(uart: &mut Uart<'_>) -> Verdict {
    overrun_once(uart);
    uart.has(reg::RIS, int::OE | int::RX)?;
    uart.write_as(reg::ICR, Width::Byte, 0xFF);
    uart.see_bits(reg::RIS, int::OE | int::RX, int::OE)?;
    uart.write_as(reg::ICR, Width::Half, 0xFFFF);
    uart.lacks(reg::RIS, int::OE)
}

/// OE is an interrupt in the upper byte that loopback can raise on every target.
fn overrun_once(uart: &mut Uart<'_>) {
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    uart.send(b"ab");
}

fn half_and_word_are_equal(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, 0xFF07);
    uart.write_as(reg::CR, Width::Half, 0x0001);
    uart.see(reg::CR, 1)?;
    uart.write_as(reg::CR, Width::Word, 0xDEAD_0301);
    uart.see_as(reg::CR, Width::Half, 0x301)
}

fn data_moves(uart: &mut Uart<'_>, width: Width) -> Verdict {
    uart.fifos();
    uart.feed(b"ab");
    uart.write_as(reg::DR, width, 0xFFFF_FF41);
    uart.outputs(b"A")?;
    uart.see_as(reg::DR, width, u32::from(b'a'))?;
    uart.see_as(reg::DR, width, u32::from(b'b'))?;
    uart.has(reg::FR, fr::RXFE)
}

fn data_moves_by_bytes(uart: &mut Uart<'_>) -> Verdict {
    data_moves(uart, Width::Byte)
}

fn data_moves_by_halves(uart: &mut Uart<'_>) -> Verdict {
    data_moves(uart, Width::Half)
}

fn data_moves_by_words(uart: &mut Uart<'_>) -> Verdict {
    data_moves(uart, Width::Word)
}

fn flags_read_at_every_width(uart: &mut Uart<'_>) -> Verdict {
    let both = fr::TXFE | fr::RXFE;
    for width in WIDTHS {
        let flags = uart.read_as(reg::FR, width);
        uart.check("FR", flags & both, both)?;
    }
    Ok(())
}

fn status_reads_at_every_width(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::IMSC, int::TX);
    uart.send(b"x");
    for width in WIDTHS {
        for offset in [reg::RIS, reg::MIS, reg::IMSC] {
            uart.see_as(offset, width, int::TX)?;
        }
    }
    Ok(())
}

fn identification_reads_at_every_width(uart: &mut Uart<'_>) -> Verdict {
    for width in WIDTHS {
        uart.see_as(0xFE0, width, 0x11)?;
        uart.see_as(0xFFC, width, 0xB1)?;
    }
    Ok(())
}

fn offsets_inside_a_register_name_nothing(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::IBRD, 0x1234);
    for (offset, width) in [
        (reg::IBRD + 1, Width::Byte),
        (reg::IBRD + 2, Width::Byte),
        (reg::IBRD + 3, Width::Byte),
        (reg::IBRD + 2, Width::Half),
    ] {
        uart.see_as(offset, width, 0)?;
        uart.write_as(offset, width, 0xFFFF);
        uart.see(reg::IBRD, 0x1234)?;
    }
    Ok(())
}

fn is_zero_whatever_is_written(uart: &mut Uart<'_>, offsets: &[u16]) -> Verdict {
    for &offset in offsets {
        for width in WIDTHS {
            uart.write_as(offset, width, 0xFFFF_FFFF);
            uart.see_as(offset, width, 0)?;
        }
    }
    Ok(())
}

fn offsets_between_registers_name_nothing(uart: &mut Uart<'_>) -> Verdict {
    is_zero_whatever_is_written(
        uart,
        &[
            0x008, 0x00C, 0x010, 0x014, 0x01C, 0x04C, 0x050, 0x07C, 0x100, 0x800, 0xFDC,
        ],
    )
}

/// The integration test registers of the TRM are at 0x080 to 0x08C.
fn offsets_of_test_registers_are_harmless(uart: &mut Uart<'_>) -> Verdict {
    is_zero_whatever_is_written(uart, &[0x080, 0x084, 0x088, 0x08C])?;
    uart.send(b"x");
    uart.outputs(b"x")
}

/// Every word of the frame without a register.
fn unknown_offsets_change_nothing(uart: &mut Uart<'_>) -> Verdict {
    for offset in (0x04C..0xFE0).step_by(4).chain([0x008, 0x01C]) {
        uart.write(offset, 0xFFFF_FFFF);
    }
    uart.see(reg::CR, 0x300)?;
    uart.see(reg::IMSC, 0)?;
    uart.see(reg::IFLS, 0x12)?;
    uart.see(reg::RIS, 0)?;
    uart.outputs(b"")
}

fn a_64_bit_access_aborts(uart: &mut Uart<'_>) -> Verdict {
    let aborts = uart.wide_read_aborts(reg::CR);
    uart.check("a 64-bit load that aborts", aborts.into(), 1)
}

fn a_64_bit_access_does_no_harm(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"ab");
    for offset in [reg::FR, reg::CR, reg::IMSC] {
        uart.wide_read_aborts(offset);
    }
    uart.send(b"x");
    uart.outputs(b"x")?;
    uart.receives(b"ab")?;
    uart.see(reg::CR, 0x300)
}
