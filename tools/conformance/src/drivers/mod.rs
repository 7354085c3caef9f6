// SPDX-License-Identifier: MIT
//! The accesses of real systems' drivers, and checks that all their output arrives, all
//! their input is received, and interrupts stay within bounds.
//!
//! Each driver is written from its behaviour: the order of accesses, the conditions it
//! waits for, and its assumptions. None of their source text is here.

mod bsd;
mod firmware;
mod linux;
mod rtos;

use heapless::{Deque, Vec};

use crate::{Uart, Verdict};

pub use bsd::{FreeBsd, NetBsd, NewOpenBsd, OldOpenBsd};
pub use firmware::{Edk2, TfA, UBoot};
pub use linux::{Earlycon, Kind, Linux};
pub use rtos::{ArceOs, NuttX, Rtems, SeL4, Unikraft, Zephyr};

/// A driver as [`exchange`] uses it.
pub trait Driver {
    /// Opens the port.
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict;

    /// Sends, or starts to; at most 1024 bytes.
    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict;

    /// The interrupt handler.
    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.fail("interrupts of a polled driver", 1, 0)
    }

    /// A polled driver's check for input.
    fn poll(&mut self, _uart: &mut Uart<'_>) -> Verdict {
        Ok(())
    }

    /// Its queues.
    fn queues(&self) -> &Queues;
}

/// The state of most drivers.
#[derive(Debug, Default)]
pub struct Queues {
    /// Bytes that wait for room.
    to_send: Deque<u8, 1024>,
    /// Bytes received.
    received: Vec<u8, 1024>,
    /// The driver's copy of IMSC, for those that keep one.
    mask: u32,
}

impl Queues {
    /// The driver's input so far.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// Changes with every byte that moves.
    fn progress(&self) -> (usize, usize) {
        (self.to_send.len(), self.received.len())
    }

    fn enqueue(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // No exchange is longer than the queue.
            let _ = self.to_send.push_back(byte);
        }
    }

    fn receive(&mut self, data: u32) {
        // Too much input is found by its length.
        let _ = self.received.push(data.to_le_bytes()[0]);
    }

    /// Reads DR until RXFE, as every driver does in some form.
    fn receive_all(&mut self, uart: &mut Uart<'_>) {
        for _ in 0..MOST_AT_ONCE {
            if uart.any(crate::registers::reg::FR, crate::registers::fr::RXFE) {
                return;
            }
            let data = uart.read(crate::registers::reg::DR);
            self.receive(data);
        }
    }
}

/// Characters in a row after which a device that always has another one counts as
/// broken.
const MOST_AT_ONCE: usize = 2048;

/// Handler calls in a row, none of which moved a byte, after which the line
/// counts as stuck.
const STORM: u32 = 64;

/// Runs the handler while interrupts are delivered. Returns the calls.
pub fn serve(driver: &mut impl Driver, uart: &mut Uart<'_>) -> Verdict<u32> {
    let mut calls = 0;
    let mut idle = 0;
    while uart.interrupted() {
        let before = driver.queues().progress();
        driver.interrupt(uart)?;
        calls += 1;
        idle = if driver.queues().progress() == before {
            idle + 1
        } else {
            0
        };
        if idle == STORM {
            return uart.fail("interrupts that moved no byte", idle, 0);
        }
    }
    Ok(calls)
}

/// Sends `output` and `input` at the same time. With a `pace` the far side takes and
/// gives so many bytes a turn, over a line that was full; without one, it takes all and
/// gives 16. Returns the interrupts taken.
pub fn exchange(
    uart: &mut Uart<'_>,
    driver: &mut impl Driver,
    pace: Option<u16>,
    output: &[u8],
    input: &[u8],
) -> Verdict<u32> {
    if let Some(pace) = pace {
        uart.block()?;
        uart.take(pace);
    }
    driver.open(uart)?;
    let mut interrupts = serve(driver, uart)?;
    driver.send(uart, output)?;
    let mut chunks = input.chunks(pace.unwrap_or(16).into());
    let finished = |driver: &dyn Driver| {
        let queues = driver.queues();
        queues.to_send.is_empty() && queues.received.len() >= input.len()
    };
    for _ in 0..10 + 2 * (output.len() + input.len()) {
        interrupts += serve(driver, uart)?;
        driver.poll(uart)?;
        if finished(driver) {
            break;
        }
        uart.turn(pace.unwrap_or(u16::MAX), chunks.next().unwrap_or_default());
    }
    uart.outputs(output)?;
    // The driver has to end the interrupt of the last drain.
    interrupts += serve(driver, uart)?;
    let received = driver.queues().received();
    for (&seen, &expected) in received.iter().zip(input) {
        uart.check("a byte the driver got", seen.into(), expected.into())?;
    }
    let count = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    uart.check("bytes the driver got", count(received), count(input))?;
    Ok(interrupts)
}

/// Like [`exchange`], with at most two interrupts for each byte.
pub fn bounded_exchange(
    uart: &mut Uart<'_>,
    driver: &mut impl Driver,
    pace: Option<u16>,
    output: &[u8],
    input: &[u8],
) -> Verdict {
    let interrupts = exchange(uart, driver, pace, output, input)?;
    let bound = u32::try_from(2 * (output.len() + input.len()) + 8).unwrap_or(u32::MAX);
    uart.check(
        "interrupts past two a byte",
        interrupts.saturating_sub(bound),
        0,
    )
}
