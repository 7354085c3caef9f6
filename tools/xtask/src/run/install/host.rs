// SPDX-License-Identifier: MIT
//! The host: a Debian 13 on a disk, switched on with one hypervisor or another, or by its
//! own firmware; and its administrator at the console.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use steps::Steps;

use crate::image::{Dom0, Uefi};
use crate::rig::machine::{Emulator, Machine, Spec};
use crate::run::outside::Terminal;

/// Timeouts on a busy machine: from power-on to a shell, and of a command.
pub(super) const BOOT: Duration = Duration::from_secs(1200);
const COMMAND: Duration = Duration::from_secs(1800);

/// The end of bash's prompt, and of the guest's.
const PROMPT: &str = "bash-5.2# ";
const GUEST_PROMPT: &str = "guest:/# ";

/// Characters that are typed before their echo is waited for: half of what Xen keeps
/// for a dom0 that does not read.
const PIECE: usize = 64;

/// dom0's task if QEMU loads it: the disk's own init.
pub(super) const START: &str = "start=/sbin/init";

/// systemd would wait for the shell, which does not end by a signal. Without systemd there
/// is only the second command.
const REBOOT: &str = "systemctl reboot --no-block || reboot; exit\r";

/// What GRUB shows: its menu, and what the chosen entry loads first.
const MENU: &str = "GNU GRUB";
const CHOICE: &str = "Loading Xen 4.20";

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
        let log = steps.dirs.log(log);
        let machine = Machine::start(&spec(hypervisor), dom0, &log)?;
        let mut host = Self::of(Terminal::new(machine, log)?);
        host.log_in()?;
        Ok(host)
    }

    /// Switches one on whose firmware boots the first of its disks, and waits for a
    /// shell.
    pub(super) fn boot_by(
        steps: &Steps,
        uefi: &Uefi,
        hypervisor: &Path,
        disks: &[PathBuf],
        log: &str,
    ) -> Result<Self> {
        let log = steps.dirs.log(log);
        let machine = Machine::start_from(&spec(hypervisor), uefi, disks, &log)?;
        let mut host = Self::of(Terminal::new(machine, log)?);
        host.by_grub()?;
        Ok(host)
    }

    fn of(terminal: Terminal) -> Self {
        Self {
            terminal,
            commands: 0,
        }
    }

    /// Waits for GRUB's choice, and for a shell.
    fn by_grub(&mut self) -> Result<()> {
        self.terminal.expect(MENU, BOOT)?;
        self.terminal.expect(CHOICE, BOOT)?;
        self.log_in()
    }

    /// Waits for a shell, and sets the clock, for apt: QEMU's machine gives dom0 none.
    fn log_in(&mut self) -> Result<()> {
        self.terminal.expect(PROMPT, BOOT)?;
        self.run("stty cols 1000")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        self.run(&format!("date -s @{now}")).map(drop)
    }

    /// Restarts one that its firmware boots, and waits for a shell.
    pub(super) fn reboot(&mut self) -> Result<()> {
        self.go_down()?;
        self.by_grub()
    }

    /// Restarts it, which ends a machine without firmware.
    pub(super) fn restart(mut self) -> Result<()> {
        self.go_down()
    }

    fn go_down(&mut self) -> Result<()> {
        self.terminal.send(REBOOT)?;
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

/// The machine of all scenarios.
pub(super) fn spec(hypervisor: &Path) -> Spec {
    Spec {
        hypervisor: hypervisor.to_owned(),
        emulator: Emulator::default(),
        gic: 3,
        cpus: 2,
        counted: false,
        task: START.into(),
        guest: None,
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
