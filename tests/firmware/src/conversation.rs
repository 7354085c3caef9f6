// SPDX-License-Identifier: MIT
//! A guest with a published driver: it writes a text by polling, and then echoes
//! input by interrupts.

use core::fmt::Write;

use bare_metal::Interrupt;
use heapless::String;

/// The number of lines.
const LINES: u32 = 200;

/// A published driver's functions, by common names.
pub trait Driver {
    /// Writes a byte, waiting for room.
    fn put(&mut self, byte: u8);
    /// Reads a byte if there is one.
    fn get(&mut self) -> Option<u8>;
    /// Whether the interrupt is for input.
    fn has_input(&self) -> bool;
    /// Clears the interrupt.
    fn clear(&mut self);
}

/// Runs for ever. After each input line it prints the number of interrupts so far.
pub fn converse(name: &str, driver: &mut impl Driver, interrupt: &mut Interrupt) -> ! {
    let say = |driver: &mut dyn Driver, text: &str| {
        for byte in text.bytes() {
            driver.put(byte);
        }
    };
    let mut line = String::<80>::new();
    for number in 0..LINES {
        line.clear();
        // The text fits.
        let _ = write!(line, "{name} line {number:03} of the text\r\n");
        say(driver, &line);
    }
    say(driver, "ready\r\n");
    let mut interrupts = 0_u32;
    loop {
        interrupt.wait();
        interrupts += 1;
        if !driver.has_input() {
            continue;
        }
        driver.clear();
        while let Some(byte) = driver.get() {
            driver.put(byte);
            if byte == b'\r' {
                line.clear();
                let _ = write!(line, "\n[{interrupts} interrupts]\r\n");
                say(driver, &line);
            }
        }
    }
}
