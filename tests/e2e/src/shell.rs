// SPDX-License-Identifier: MIT
//! A shell in a Linux guest, at the end of a console.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::console::{Console, Line};

/// The limit of a guest's boot. At a load of 16 on two CPUs, Linux 6.12 took more than
/// 120 s.
pub(crate) const BOOT: Duration = Duration::from_secs(300);
/// The limit of a command that only prints.
pub(crate) const SHORT: Duration = Duration::from_secs(60);

/// The end of a shell's prompt.
pub(crate) const PROMPT: &str = "# ";

/// A shell at its prompt.
#[derive(Debug)]
pub(crate) struct Shell {
    /// Its console.
    pub(crate) console: Console,
    commands: u32,
}

impl Shell {
    /// Opens a line of a guest and waits for a shell on it.
    pub(crate) fn open(guest: &str, line: Line) -> Result<Self> {
        Self::login(Console::open(guest, line)?, BOOT)
    }

    /// Presses return until a prompt is shown; logs in if asked.
    pub(crate) fn login(mut console: Console, limit: Duration) -> Result<Self> {
        let end = Instant::now() + limit;
        loop {
            console.send("\r")?;
            match console.expect_any(&[PROMPT, "login: "], Duration::from_secs(2)) {
                Ok((0, _)) => break,
                Ok(_) => console.send("root\r")?,
                Err(error) if Instant::now() > end || !console.is_open() => return Err(error),
                Err(_) => {}
            }
        }
        let mut shell = Self {
            console,
            commands: 0,
        };
        // A wide terminal, so that the shell does not wrap its echo.
        shell.run("stty cols 1000", SHORT)?;
        Ok(shell)
    }

    /// Runs a command line that must succeed; returns its output.
    pub(crate) fn run(&mut self, line: &str, limit: Duration) -> Result<String> {
        self.commands += 1;
        let n = self.commands;
        // The marks contain quotes, so that the echo does not match them.
        self.console.send(&format!(
            "echo \"<\"{n}\">\"; {line}; echo \"</\"{n}\">\"$?.\r"
        ))?;
        self.console.expect(&format!("<{n}>\r\n"), limit)?;
        let output = self.console.expect(&format!("</{n}>"), limit)?;
        let status = self.console.expect(".", limit)?;
        let output = String::from_utf8_lossy(&output).replace("\r\n", "\n");
        if status != b"0" {
            bail!(
                "`{line}` ended with {}: {}",
                String::from_utf8_lossy(&status),
                output.trim()
            );
        }
        Ok(output)
    }
}
