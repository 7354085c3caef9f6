// SPDX-License-Identifier: MIT
//! A script per driver: all output is delivered, all input received, and interrupts are
//! bounded, at any pace of the far side.

use crate::drivers::{
    ArceOs, Driver, Earlycon, Edk2, FreeBsd, Kind, Linux, NetBsd, NewOpenBsd, NuttX, OldOpenBsd,
    Rtems, SeL4, TfA, UBoot, Unikraft, Zephyr, bounded_exchange, exchange, serve,
};
use crate::registers::{fr, int, reg};
use crate::{Uart, Verdict, Width, pattern};

cases! { "drivers":
    linux_full_driver "Linux amba-pl011",
    linux_full_driver_slow_peer "Linux amba-pl011",
    linux_takes_few_interrupts "Linux amba-pl011",
    linux_close_drops_no_output "Linux amba-pl011; C4",
    linux_close_and_reopen "Linux amba-pl011",
    linux_console_write "Linux amba-pl011; C1",
    linux_sbsa "Linux sbsa-uart",
    linux_sbsa_slow_peer "Linux sbsa-uart",
    linux_earlycon "Linux earlycon; C5",
    linux_earlycon_slow_peer "Linux earlycon; C1, C5",
    linux_up_to_4_0 "Linux up to 4.0",
    linux_up_to_4_0_slow_peer "Linux up to 4.0",
    linux_up_to_4_0_finds_no_nul "Linux up to 4.0; D7",
    u_boot "U-Boot; C18",
    u_boot_slow_peer "U-Boot",
    edk2 "EDK2; C2",
    edk2_slow_peer "EDK2",
    edk2_programs_the_port_once "EDK2; C7",
    edk2_reprograms_a_used_port "EDK2; C2",
    zephyr "Zephyr; C15",
    zephyr_slow_peer "Zephyr",
    freebsd "FreeBSD; C14, C15",
    freebsd_slow_peer "FreeBSD",
    freebsd_disables_without_draining "FreeBSD; C4",
    netbsd "NetBSD; C10, C14",
    netbsd_slow_peer "NetBSD",
    openbsd_old "OpenBSD, old; C3, C16",
    openbsd_old_slow_peer "OpenBSD, old",
    openbsd_old_comes_to_rest "OpenBSD, old; C16",
    openbsd_new "OpenBSD, new; C2, C15",
    openbsd_new_slow_peer "OpenBSD, new",
    openbsd_new_console "OpenBSD, new; C2",
    rtems "RTEMS; C11, C16, C19",
    rtems_slow_peer "RTEMS",
    nuttx "NuttX; C2",
    nuttx_slow_peer "NuttX",
    sel4 "seL4; C11",
    sel4_slow_peer "seL4",
    unikraft "Unikraft; D2",
    unikraft_slow_peer "Unikraft; D2",
    arceos "ArceOS; C12",
    arceos_slow_peer "ArceOS",
    tf_a "TF-A; C1",
    tf_a_slow_peer "TF-A; C1",
}

/// Both directions at once, and each alone.
fn both_ways<D: Driver>(
    uart: &mut Uart<'_>,
    mut new: impl FnMut() -> D,
    pace: Option<u16>,
) -> Verdict {
    let (output, input) = (pattern(300), pattern(200));
    for (output, input) in [(output, &[][..]), (&[], input), (output, input)] {
        bounded_exchange(uart, &mut new(), pace, output, input)?;
    }
    Ok(())
}

fn one_way<D: Driver>(
    uart: &mut Uart<'_>,
    mut new: impl FnMut() -> D,
    pace: Option<u16>,
) -> Verdict {
    bounded_exchange(uart, &mut new(), pace, pattern(300), &[])?;
    bounded_exchange(uart, &mut new(), pace, &[], pattern(200))
}

fn output_only(uart: &mut Uart<'_>, driver: &mut impl Driver, pace: Option<u16>) -> Verdict {
    exchange(uart, driver, pace, pattern(100), &[]).map(drop)
}

/// A far side that takes a few bytes a turn, over a full line.
const SLOW: Option<u16> = Some(7);

fn linux_full_driver(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, || Linux::new(Kind::Full), None)
}

fn linux_full_driver_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, || Linux::new(Kind::Full), SLOW)
}

/// With a far side that keeps up, one handler call carries many bytes.
fn linux_takes_few_interrupts(uart: &mut Uart<'_>) -> Verdict {
    let output = pattern(1024);
    let interrupts = exchange(uart, &mut Linux::new(Kind::Full), None, output, &[])?;
    uart.check("interrupts past 64", interrupts.saturating_sub(64), 0)
}

fn linux_close_drops_no_output(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    let mut driver = Linux::new(Kind::Full);
    driver.open(uart)?;
    driver.send(uart, pattern(20))?;
    driver.close(uart);
    uart.line_is(false)?;
    uart.outputs(pattern(20))
}

fn linux_close_and_reopen(uart: &mut Uart<'_>) -> Verdict {
    let mut driver = Linux::new(Kind::Full);
    driver.open(uart)?;
    driver.send(uart, pattern(20))?;
    driver.close(uart);
    uart.outputs(pattern(20))?;
    uart.feed(b"typed meanwhile");
    uart.line_is(false)?;
    let mut driver = Linux::new(Kind::Full);
    driver.open(uart)?;
    for _ in 0..20 {
        serve(&mut driver, uart)?;
        uart.feed(&[]);
    }
    // FEN=0 left one place; enabling the FIFOs flushes that one.
    let received = driver.queues().received() == b"yped meanwhile";
    uart.check("what was typed meanwhile", received.into(), 1)
}

/// Console output: TXFF per character, then BUSY without bound.
fn linux_console_write(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    for &byte in pattern(100) {
        uart.wait("room", |uart| {
            uart.read_as(reg::FR, Width::Half) & fr::TXFF == 0
        })?;
        uart.write_as(reg::DR, Width::Half, byte.into());
    }
    uart.wait("the end of BUSY", |uart| {
        uart.read_as(reg::FR, Width::Half) & fr::BUSY == 0
    })?;
    uart.outputs(pattern(100))
}

fn linux_sbsa(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, || Linux::new(Kind::Sbsa), None)
}

fn linux_sbsa_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, || Linux::new(Kind::Sbsa), SLOW)
}

fn linux_earlycon(uart: &mut Uart<'_>) -> Verdict {
    output_only(uart, &mut Earlycon::default(), None)
}

fn linux_earlycon_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    output_only(uart, &mut Earlycon::default(), SLOW)
}

fn linux_up_to_4_0(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, || Linux::new(Kind::UpTo40), None)
}

fn linux_up_to_4_0_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, || Linux::new(Kind::UpTo40), SLOW)
}

/// What the loopback probe sends stays between it and the device.
fn linux_up_to_4_0_finds_no_nul(uart: &mut Uart<'_>) -> Verdict {
    exchange(uart, &mut Linux::new(Kind::UpTo40), None, b"", b"login").map(drop)
}

fn u_boot(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, UBoot::default, None)
}

fn u_boot_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, UBoot::default, SLOW)
}

fn edk2(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, Edk2::default, None)
}

fn edk2_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, Edk2::default, SLOW)
}

fn edk2_programs_the_port_once(uart: &mut Uart<'_>) -> Verdict {
    let mut driver = Edk2::default();
    for _ in 0..5 {
        driver.initialize(uart)?;
        driver.send(uart, b"stage")?;
    }
    uart.check("times it was programmed", driver.programmed(), 1)?;
    uart.outputs(b"stagestagestagestagestage")
}

fn edk2_reprograms_a_used_port(uart: &mut Uart<'_>) -> Verdict {
    uart.block()?;
    uart.send(b"x");
    let mut driver = Edk2::default();
    driver.initialize(uart)?;
    driver.send(uart, b"y")?;
    uart.outputs(b"xy")
}

fn zephyr(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, Zephyr::default, None)
}

fn zephyr_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, Zephyr::default, SLOW)
}

fn freebsd(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, FreeBsd::default, None)
}

fn freebsd_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, FreeBsd::default, SLOW)
}

fn freebsd_disables_without_draining(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    let mut driver = FreeBsd::default();
    driver.open(uart)?;
    driver.send(uart, pattern(24))?;
    uart.write(reg::CR, 0);
    uart.write(reg::LCR_H, 0);
    uart.outputs(pattern(24))
}

fn netbsd(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, NetBsd::default, None)
}

fn netbsd_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, NetBsd::default, SLOW)
}

fn openbsd_old(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, OldOpenBsd::default, None)
}

fn openbsd_old_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, OldOpenBsd::default, SLOW)
}

/// After its last byte there is no storm: RIS, ICR, and silence.
fn openbsd_old_comes_to_rest(uart: &mut Uart<'_>) -> Verdict {
    let mut driver = OldOpenBsd::default();
    driver.open(uart)?;
    driver.send(uart, b"x")?;
    uart.write(reg::IMSC, int::RX | int::RT | int::TX);
    let interrupts = serve(&mut driver, uart)?;
    uart.check("interrupts", interrupts, 1)
}

fn openbsd_new(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, NewOpenBsd::default, None)
}

fn openbsd_new_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, NewOpenBsd::default, SLOW)
}

fn openbsd_new_console(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    NewOpenBsd::console(uart, pattern(50))?;
    uart.outputs(pattern(50))
}

/// One direction at a time: its reads of DR take input away.
fn rtems(uart: &mut Uart<'_>) -> Verdict {
    one_way(uart, Rtems::default, None)
}

fn rtems_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    one_way(uart, Rtems::default, SLOW)
}

fn nuttx(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, NuttX::default, None)
}

fn nuttx_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, NuttX::default, SLOW)
}

fn sel4(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, SeL4::default, None)
}

fn sel4_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, SeL4::default, SLOW)
}

fn unikraft(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, Unikraft::default, None)
}

fn unikraft_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, Unikraft::default, SLOW)
}

fn arceos(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, ArceOs::default, None)
}

fn arceos_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    both_ways(uart, ArceOs::default, SLOW)
}

fn tf_a(uart: &mut Uart<'_>) -> Verdict {
    output_only(uart, &mut TfA::default(), None)
}

fn tf_a_slow_peer(uart: &mut Uart<'_>) -> Verdict {
    output_only(uart, &mut TfA::default(), SLOW)
}
