// SPDX-License-Identifier: MIT
//! What the drivers of real systems do with the port, access by access, and
//! that all they send arrives, all they are sent is received, and interrupts
//! stay within bounds.
//!
//! Each driver is written from its behaviour: the order of accesses, what it
//! waits for and what it takes for granted. None of their text is here.

mod bsd;
mod firmware;
mod linux;
mod rtos;

use std::collections::VecDeque;

use crate::bench::{Bench, pattern};

/// A driver as the exchange below sees it.
pub(crate) trait Driver {
    /// Opens the port.
    fn open(&mut self, uart: &mut Bench);
    /// Sends, or starts to.
    fn send(&mut self, uart: &mut Bench, bytes: &[u8]);
    /// The interrupt handler, called while the line is high.
    fn interrupt(&mut self, _uart: &mut Bench) {
        panic!("a polled driver was interrupted");
    }
    /// A polled driver's look for input.
    fn poll(&mut self, _uart: &mut Bench) {}
    /// What it received so far.
    fn received(&self) -> &[u8];
}

/// What most drivers keep.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) to_send: VecDeque<u8>,
    pub(crate) received: Vec<u8>,
    /// The driver's copy of IMSC, for those that keep one.
    pub(crate) mask: u32,
}

/// Handler calls in a row after which the line counts as stuck.
const STORM: usize = 64;

fn serve(driver: &mut impl Driver, uart: &mut Bench) -> usize {
    let mut calls = 0;
    while uart.line {
        driver.interrupt(uart);
        calls += 1;
        assert!(calls < STORM, "interrupt storm");
    }
    calls
}

/// Sends `output` and `input` at the same time over a far side that takes and
/// gives `pace` bytes a turn. Returns the interrupts taken.
fn exchange(driver: &mut impl Driver, pace: usize, output: &[u8], input: &[u8]) -> usize {
    let mut uart = Bench::with_room(pace);
    driver.open(&mut uart);
    let mut interrupts = serve(driver, &mut uart);
    driver.send(&mut uart, output);
    let mut chunks = input.chunks(pace);
    for _ in 0..10 + 2 * (output.len() + input.len()) {
        interrupts += serve(driver, &mut uart);
        driver.poll(&mut uart);
        if uart.output().len() >= output.len() && driver.received().len() >= input.len() {
            break;
        }
        uart.give_room(pace);
        uart.feed(chunks.next().unwrap_or_default());
    }
    assert_eq!(uart.output(), output, "what the far side got");
    assert_eq!(driver.received(), input, "what the driver got");
    interrupts
}

/// A driver through every pace, both directions at once and each alone.
fn check<D: Driver>(new: impl Fn() -> D) {
    let (output, input) = (pattern(700), pattern(500));
    for pace in [1, 3, 16, 100, 10_000] {
        for (output, input) in [(&output[..], &[][..]), (&[], &input), (&output, &input)] {
            let interrupts = exchange(&mut new(), pace, output, input);
            let bytes = output.len() + input.len();
            assert!(
                interrupts <= 2 * bytes + 8,
                "{interrupts} interrupts for {bytes} bytes"
            );
        }
    }
}
