// SPDX-License-Identifier: MIT
//! The guest: a shell with two commands on each of its lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::driver::Serial;

pub(crate) const ASK_SYSTEM: &str = "uname -a";
pub(crate) const ASK_INTERRUPTS: &str = "cat /proc/interrupts | grep -i uart";
pub(crate) const PROMPT: &str = "guest:/# ";

/// How often it checks whether the guest is switched off.
const TICK: Duration = Duration::from_millis(20);

/// The guest's state that a shell uses.
#[derive(Clone)]
pub(crate) struct System {
    /// Interrupts that the UART's driver took.
    pub(crate) interrupts: Arc<AtomicU64>,
    /// The guest is switched off.
    pub(crate) off: Arc<AtomicBool>,
}

impl System {
    /// Runs a shell on a line until the guest is switched off.
    pub(crate) fn shell(&self, mut serial: impl Serial, greeting: &str) {
        serial.send(format!("{greeting}\r\n{PROMPT}").as_bytes());
        let mut typed = Vec::new();
        while !self.off.load(Ordering::Relaxed) {
            for byte in serial.receive(TICK) {
                if byte != b'\r' {
                    serial.send(&[byte]);
                    typed.push(byte);
                    continue;
                }
                let answer = self.answer(&String::from_utf8_lossy(&std::mem::take(&mut typed)));
                serial.send(format!("\r\n{answer}{PROMPT}").as_bytes());
            }
        }
    }

    fn answer(&self, command: &str) -> String {
        match command {
            "" => String::new(),
            ASK_SYSTEM => "Model guest 1.0 aarch64, without a kernel\r\n".into(),
            ASK_INTERRUPTS => {
                format!(
                    " 32: {:>10}   uart-pl011\r\n",
                    self.interrupts.load(Ordering::Relaxed)
                )
            }
            _ => format!("{command}: not found\r\n"),
        }
    }
}
