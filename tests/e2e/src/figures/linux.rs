// SPDX-License-Identifier: MIT
//! Linux's cost of transferring bytes: a program in the guest measures its own
//! time.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::tty::Tty;
use super::with_uart;
use crate::console::Line;
use crate::guest::{Config, Guest};
use crate::report::Report;
use crate::shell::Shell;
use crate::{daemon, pattern};

const SEED: u32 = 5;
/// How long the daemon may still work on the output.
const SETTLE: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(120);

/// A guest with a shell on one line, and the other line's pty.
pub(super) struct Bench {
    _guest: Guest,
    shell: Shell,
    pub(super) tty: Tty,
    line: Line,
}

impl Bench {
    /// The pty of `line`; the shell is on the other one.
    pub(super) fn start(name: &str, line: Line) -> Result<Self> {
        let other = match line {
            Line::Vuart => Line::Pv,
            Line::Pv => Line::Vuart,
        };
        // The guest's init treats the argument as a variable.
        let bootargs = format!("console={0} shells={0} quiet", other.tty());
        let guest = with_uart(Config::linux(name))
            .bootargs(&bootargs)
            .create()?;
        let shell = Shell::open(&guest.name, other)?;
        let tty = Tty::open(guest.domid, line)?;
        Ok(Self {
            _guest: guest,
            shell,
            tty,
            line,
        })
    }

    /// Starts a probe on the measured line and waits until it is ready.
    pub(super) fn probe(&mut self, probe: &str, arguments: &str) -> Result<()> {
        let tty = self.line.tty();
        let console = &mut self.shell.console;
        console.send(&format!("e2e probe {probe} /dev/{tty} {arguments}\r"))?;
        console.expect("ready\r\n", LIMIT).map(drop)
    }

    /// Starts a probe that is ready.
    pub(super) fn go(&mut self) -> Result<()> {
        // The kernel may have printed on this line.
        self.tty.discard();
        self.shell.console.send("\r")
    }

    /// Makes a ready probe write; returns the `len` bytes received, and its result.
    fn sent(&mut self, len: usize) -> Result<(Vec<u8>, Value)> {
        self.go()?;
        let mut seen = vec![0; len];
        self.tty.read_exact(&mut seen, LIMIT)?;
        Ok((seen, self.found()?))
    }

    /// The probe's result.
    pub(super) fn found(&mut self) -> Result<Value> {
        self.shell.console.expect("found ", LIMIT)?;
        let text = self.shell.console.expect("\r\n", LIMIT)?;
        serde_json::from_slice(&text)
            .with_context(|| format!("the probe found {:?}", String::from_utf8_lossy(&text)))
    }
}

/// Bytes from Linux on each line.
pub(crate) fn output(report: &mut Report) -> Result<()> {
    for (line, sizes) in [
        (Line::Vuart, &[(64, "64k"), (1024, "1m")][..]),
        (Line::Pv, &[(64, "64k")][..]),
    ] {
        let mut bench = Bench::start(&format!("output-{}", line.name()), line)?;
        // A guest that has just booted has other work, of 15 ms at once.
        bench.probe("send", &format!("{SEED} {}", pattern::LEN))?;
        bench.sent(pattern::LEN)?;
        for &(kib, size) in sizes {
            let len = kib * 1024;
            bench.probe("send", &format!("{SEED} {len}"))?;
            let before = daemon::Cost::now()?;
            let (seen, found) = bench.sent(len)?;
            // By then the log is written completely, which counts.
            thread::sleep(SETTLE);
            let cost = daemon::Cost::now()?.since(&before);
            let name = format!("{}_{size}", line.tty().to_lowercase());
            report.data(&name, &found["ns"]);
            report.data(&format!("{name}_interrupts_count"), &found["interrupts"]);
            report.data(&format!("{name}_doorbells_count"), cost.events);
            report.data(&format!("{name}_daemon"), cost.ns);
            let wanted = pattern::text(SEED, len);
            let what = format!("{kib} KiB on {}", line.tty());
            report.check(what, seen == wanted, pattern::difference(&seen, &wanted));
        }
    }
    Ok(())
}

/// Bytes pasted into Linux on the UART.
pub(crate) fn input(report: &mut Report) -> Result<()> {
    let mut bench = Bench::start("input", Line::Vuart)?;
    let sent = pattern::bytes(SEED, pattern::LEN);
    bench.probe("take", &format!("{}", pattern::LEN))?;
    bench.go()?;
    bench.tty.write_all(&sent, LIMIT)?;
    let found = bench.found()?;
    report.data("paste_64k", &found["ns"]);
    report.data("paste_64k_interrupts_count", &found["interrupts"]);
    report.check_eq(
        "64 KiB pasted",
        &found["sha256"].as_str().unwrap_or_default(),
        &pattern::sha256(&sent).as_str(),
    );
    Ok(())
}
