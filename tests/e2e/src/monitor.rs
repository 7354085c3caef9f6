// SPDX-License-Identifier: MIT
//! The bare-metal guest of `tests/guests`: it runs single accesses and hypercalls
//! on request, over its UART.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::console::{Console, Line};
use crate::{command, errno};

const ANSWER: Duration = Duration::from_secs(60);

/// The result of a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// A value that was read, or a hypercall's result.
    Value(i64),
    /// An access caused an exception.
    Abort { esr: u64, far: u64 },
}

impl Answer {
    /// A hypercall's result as text.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Value(value) if value < 0 => {
                errno::name(i32::try_from(-value).unwrap_or_default())
            }
            Self::Value(_) => "ok".to_owned(),
            Self::Abort { esr, far } => format!("abort {esr:#x} at {far:#x}"),
        }
    }

    /// Whether it is a data abort of EL1 at this address.
    pub(crate) fn is_data_abort(self, address: u64) -> bool {
        // ESR_EL1.EC, bits 31:26: 0x25 is a data abort from the same level.
        matches!(self, Self::Abort { esr, far } if esr >> 26 == 0x25 && far == address)
    }
}

/// The console of the guest.
#[derive(Debug)]
pub(crate) struct Monitor {
    console: Console,
}

impl Monitor {
    /// Opens the guest's UART and waits until it answers.
    pub(crate) fn open(guest: &str) -> Result<Self> {
        let mut monitor = Self {
            console: Console::open(guest, Line::Vuart)?,
        };
        monitor.console.send("hello\r")?;
        monitor.console.expect("? hello\r\n", ANSWER)?;
        Ok(monitor)
    }

    /// Runs a command; see `tests/guests/monitor.c`.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Answer> {
        self.console.send(&format!("{command}\r"))?;
        self.answer(command)
    }

    /// Reads words of 32 bits, at most as many as the guest's line can buffer
    /// requests for.
    pub(crate) fn read_words(&mut self, at: &[u64]) -> Result<Vec<Answer>> {
        let commands: Vec<String> = at.iter().map(|at| format!("read {at:x}")).collect();
        self.console.send(&format!("{}\r", commands.join("\r")))?;
        commands
            .iter()
            .map(|command| self.answer(command))
            .collect()
    }

    fn answer(&mut self, command: &str) -> Result<Answer> {
        let line = self.console.expect("\r\n", ANSWER)?;
        let line = String::from_utf8_lossy(&line);
        parse(&line).with_context(|| format!("`{command}` was answered with {line:?}"))
    }

    /// Starts endless output, and waits for its beginning.
    pub(crate) fn flood(&mut self) -> Result<()> {
        self.console.send("flood\r")?;
        self.console.expect("flood 0x20\r\n", ANSWER).map(drop)
    }

    /// Makes the guest stop reading.
    pub(crate) fn deafen(&mut self) -> Result<()> {
        self.console.send("deaf\r")?;
        self.console.expect("deaf\r\n", ANSWER).map(drop)
    }

    /// Types until its client accepts no more for so long; returns how many bytes
    /// it accepted.
    pub(crate) fn stuff(&mut self, bytes: &[u8], quiet: Duration) -> Result<usize> {
        self.console.send_what_goes(bytes, quiet)
    }

    /// Leaves the client by its key; returns whether it ended.
    pub(crate) fn leave(self) -> Result<bool> {
        self.console.leave()
    }

    /// Makes the guest report a crash to Xen.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.console.send("crash\r")
    }

    /// Makes the guest hammer the UART for so many seconds.
    pub(crate) fn hammer(&mut self, seconds: u64) -> Result<()> {
        self.console.send(&format!("hammer {seconds:x}\r"))
    }

    /// Waits until the guest has hammered; returns the accesses of each vCPU.
    pub(crate) fn hammered(&mut self, limit: Duration) -> Result<Vec<u64>> {
        self.console.expect("\r\nhammered ", limit)?;
        let line = self.console.expect("\r\n", ANSWER)?;
        let line = String::from_utf8_lossy(&line);
        line.split(' ').map(hex).collect()
    }

    /// Types without waiting for an answer.
    pub(crate) fn mumble(&mut self) -> Result<()> {
        self.console.send("mumble\r")?;
        std::thread::sleep(command::TICK);
        Ok(())
    }

    /// Waits until the guest answers again, whatever was on its line.
    pub(crate) fn come_round(&mut self) -> Result<()> {
        self.console.send("\rround\r")?;
        self.console.expect("? round\r\n", ANSWER).map(drop)
    }

    /// Whether the client ends by itself in that time.
    pub(crate) fn console_ends(&mut self, limit: Duration) -> bool {
        command::poll(limit, || !self.console.is_open())
    }
}

fn parse(line: &str) -> Result<Answer> {
    let words: Vec<&str> = line.split(' ').collect();
    Ok(match words[..] {
        ["=", value] => match value.strip_prefix('-') {
            Some(value) => Answer::Value(-i64::try_from(hex(value)?)?),
            None => Answer::Value(i64::try_from(hex(value)?)?),
        },
        ["abort", esr, far] => Answer::Abort {
            esr: hex(esr)?,
            far: hex(far)?,
        },
        _ => bail!("neither a value nor an abort"),
    })
}

fn hex(text: &str) -> Result<u64> {
    let digits = text.strip_prefix("0x").context("no 0x")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        assert_eq!(parse("= 0x1f").unwrap(), Answer::Value(31));
        assert_eq!(parse("= -0x16").unwrap().word(), "EINVAL");
        let abort = parse("abort 0x96000000 0x39003000").unwrap();
        assert!(abort.is_data_abort(0x3900_3000) && !abort.is_data_abort(0));
        assert!(parse("? read").is_err() && parse("= 12").is_err());
    }

    #[test]
    fn another_exception_is_no_data_abort() {
        assert!(
            !Answer::Abort {
                esr: 0x8600_0000,
                far: 1
            }
            .is_data_abort(1)
        );
        assert!(!Answer::Value(0).is_data_abort(0));
    }
}
