// SPDX-License-Identifier: MIT
//! The host: a Debian 13 on a disk, switched on with one hypervisor or another, and its
//! administrator at the console.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use steps::Steps;

use crate::image::Dom0;
use crate::rig::machine::{Emulator, Machine, Spec};
use crate::run::outside::Terminal;

/// Timeouts on a busy machine: from power-on to a shell, and of a command.
const BOOT: Duration = Duration::from_secs(1200);
const COMMAND: Duration = Duration::from_secs(900);

/// The end of bash's prompt, and of the guest's.
const PROMPT: &str = "bash-5.2# ";
const GUEST_PROMPT: &str = "guest:/# ";

/// Characters that are typed before their echo is waited for: half of what Xen keeps
/// for a dom0 that does not read.
const PIECE: usize = 64;

/// The key that leaves a console.
const LEAVE: &str = "\x1d";

/// A machine that is on.
pub(super) struct Host {
    pub(super) terminal: Terminal,
    commands: u32,
}

impl Host {
    /// Switches it on, with its disks, and waits for a shell.
    pub(super) fn boot(steps: &Steps, hypervisor: &Path, dom0: &Dom0, log: &str) -> Result<Self> {
        let spec = Spec {
            hypervisor: hypervisor.to_owned(),
            emulator: Emulator::default(),
            gic: 3,
            cpus: 2,
            counted: false,
            task: "start=/usr/lib/systemd/systemd".into(),
            guest: None,
        };
        let log = steps.dirs.log(log);
        let machine = Machine::start(&spec, dom0, &log)?;
        let mut terminal = Terminal::new(machine, log)?;
        terminal.expect(PROMPT, BOOT)?;
        let mut host = Self {
            terminal,
            commands: 0,
        };
        host.run("stty cols 1000")?;
        Ok(host)
    }

    /// Restarts it, which ends the emulated machine.
    pub(super) fn restart(mut self) -> Result<()> {
        // systemd would wait for the shell, which does not end by a signal.
        self.terminal.send("systemctl reboot --no-block; exit\r")?;
        self.terminal.expect("rebooting machine", COMMAND).map(drop)
    }

    /// Runs a command that must succeed. Returns its output.
    pub(super) fn run(&mut self, line: &str) -> Result<String> {
        let (status, output) = self.attempt(line)?;
        ensure!(status == "0", "`{line}` ended with {status}: {output}");
        Ok(output)
    }

    /// Runs a command. Returns its status and output.
    pub(super) fn attempt(&mut self, line: &str) -> Result<(String, String)> {
        self.commands += 1;
        let n = self.commands;
        // The quotes distinguish the marks from their echo.
        let typed = format!("echo \"<\"{n}\">\"; {line}; echo \"</\"{n}\">\"$?.");
        for piece in pieces(&typed) {
            self.terminal.send(piece)?;
            // A last bracket may be the beginning of Xen's mark, and is shown later.
            self.terminal.expect(piece.trim_end_matches('('), COMMAND)?;
        }
        self.terminal.send("\r")?;
        // Both dom0's terminal and Xen add a return to each line.
        self.terminal.expect(&format!("<{n}>\r"), COMMAND)?;
        let output = self.terminal.expect(&format!("</{n}>"), COMMAND)?;
        let status = self.terminal.expect(".", COMMAND)?;
        self.terminal.expect(PROMPT, COMMAND)?;
        Ok((status, output.replace('\r', "").trim().to_owned()))
    }

    /// Types lines at a shell in the guest, by a command that opens its console, until
    /// the last one shows an expected text. Leaves the console.
    pub(super) fn in_guest(&mut self, open: &str, lines: &[&str], expected: &str) -> Result<()> {
        self.terminal.send(&format!("{open}\r"))?;
        for line in lines {
            self.terminal.send("\r")?;
            self.terminal.expect(GUEST_PROMPT, BOOT)?;
            self.terminal.send(&format!("{line}\r"))?;
        }
        let shown = self.terminal.expect(expected, COMMAND);
        self.terminal.send(LEAVE)?;
        self.terminal.expect(PROMPT, COMMAND)?;
        shown.map(drop)
    }
}

/// A line of ASCII in pieces.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    (0..line.len())
        .step_by(PIECE)
        .map(|at| &line[at..line.len().min(at + PIECE)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_typed_whole() {
        for length in [0, 1, PIECE, PIECE + 1, 5 * PIECE - 1] {
            let line = "abcdefg".repeat(length)[..length].to_owned();
            let typed: Vec<&str> = pieces(&line).collect();
            assert_eq!(typed.concat(), line);
            assert!(typed.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
        }
    }
}
