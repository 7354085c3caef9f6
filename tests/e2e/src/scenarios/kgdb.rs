// SPDX-License-Identifier: MIT
//! gdb in dom0 on a guest's kernel over ttyAMA0, with the commands of
//! `docs/use/integrations/gdb.md`.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::command;
use crate::console::{Console, Line};
use crate::guest::Config;
use crate::recipe::block;
use crate::report::Report;
use crate::scenarios::boot::uart_line;
use crate::shell::{SHORT, Shell};

const PAGE: &str = include_str!("../../../../docs/use/integrations/gdb.md");
const SOCAT: &str = include_str!("../../../../docs/use/integrations/socat.md");
/// The guest of the pages.
const GUEST: &str = "guest";
/// The kernel's symbols, and the page's commands for steps.
const SYMBOLS: &str = "/guest/kgdb/vmlinux";
const STEPS: &str = "/tmp/step.gdb";

const BOOTARGS: &str = "console=ttyAMA0 console=hvc0 kgdboc=ttyAMA0 sysrq_always_enabled quiet";

/// A system call of the shell's `sync`, and the function that it calls.
const CALL: &str = "__arm64_sys_sync";
const CALLED: &str = "ksys_sync";
/// Instructions of the former up to the call, at most.
const MOST: usize = 12;

/// gdb sends a packet for each register and word that it needs; on a busy machine each
/// takes long.
const PACKETS: Duration = Duration::from_secs(180);

/// A whole session by a pipe, and a second one by TCP.
pub(crate) fn kgdb(report: &mut Report) -> Result<()> {
    fs::write(STEPS, block(PAGE, "gdb", 1)?)?;
    let _guest = Config::kgdb(GUEST)
        .pl011()
        .with("vcpus = 2")
        .bootargs(BOOTARGS)
        .create()?;
    let mut other = Shell::open(GUEST, Line::Pv)?;
    let mut uart = Shell::open(GUEST, Line::Vuart)?;
    let kernel = uart.run("uname -r", SHORT)?;
    report.check(
        "a shell on the debugger's line",
        kernel.trim().ends_with("-kgdb"),
        kernel.trim(),
    );

    command::run("sh", &["-c", &block(PAGE, "sh", 0)?], SHORT)?.ok()?;
    let mut gdb = Gdb::start()?;
    let stop = gdb.run(&block(PAGE, "gdb", 0)?)?;
    report.check("break in", stop.contains("kgdb_breakpoint"), stop.trim());
    let frames = gdb.run("bt")?;
    report.check(
        "the key led there",
        frames.contains("sysrq_handle_dbg"),
        frames.trim(),
    );
    let registers = gdb.run("info registers pc sp")?;
    report.check(
        "registers",
        registers.lines().count() == 2 && registers.contains("kgdb_breakpoint"),
        registers.trim(),
    );
    breakpoints(report, &mut gdb, &mut other)?;
    let left = gdb.run("detach")?;
    report.check("detach", left.contains("[Inferior 1"), left.trim());

    let echo = uart.run("echo h", SHORT)?;
    report.check_eq("the line is a terminal again", &echo.as_str(), &"h\n");
    let counted = uart_line(&mut uart)?;
    report.check(
        "the driver counts one break and no overrun",
        counted.contains("brk:1 ") && !counted.contains("oe:"),
        &counted,
    );
    by_tcp(report, &mut other)?;
    let echo = uart.run("echo h", SHORT)?;
    report.check_eq("and a terminal after that", &echo.as_str(), &"h\n");
    Ok(())
}

/// Breakpoints in a system call of the other console's shell, and steps from there.
fn breakpoints(report: &mut Report, gdb: &mut Gdb, other: &mut Shell) -> Result<()> {
    gdb.run(&format!("break *{CALL}"))?;
    gdb.send("continue")?;
    other.console.send("sync; echo \"<\"synced\">\"\r")?;
    stopped(report, gdb, "a breakpoint in a kernel's function")?;
    let frames = gdb.run("bt")?;
    report.check("its callers", frames.contains("el0_svc"), frames.trim());
    let begin = gdb.number(&format!("(unsigned long) $pc - (unsigned long) &{CALL}"))?;
    let mut steps = Vec::new();
    let inside = loop {
        let stop = gdb.run("xstep")?;
        let at = gdb.run("info symbol $pc")?;
        steps.push(at.trim().to_owned());
        if at.starts_with(CALLED) {
            break true;
        }
        if !stop.contains(CALL) || steps.len() == MOST {
            break false;
        }
    };
    report.check(
        "steps into a function",
        begin == 0 && inside,
        format_args!("{steps:?}"),
    );
    report.check(
        "the guest stands still between them",
        !other.console.transcript().contains("<synced>"),
        "the other console",
    );
    let back = gdb.run("finish")?;
    report.check("out of it", back.contains(CALL), back.trim());

    gdb.send("continue")?;
    let printed = other.console.expect("<synced>", SHORT);
    report.check_ok("the guest continues", printed);
    other.console.send("sync; echo \"<\"again\">\"\r")?;
    stopped(report, gdb, "the breakpoint stays")?;
    gdb.send("xcontinue")?;
    let printed = other.console.expect("<again>", SHORT);
    report.check_ok("the guest continues from it", printed);
    other.console.send("sync; echo \"<\"third\">\"\r")?;
    stopped(report, gdb, "and it stays again")?;
    gdb.run("delete")?;
    Ok(())
}

/// The guest has stopped at the breakpoint.
fn stopped(report: &mut Report, gdb: &mut Gdb, id: &str) -> Result<()> {
    let stop = gdb.prompt()?;
    let is_there = stop.contains("reakpoint 1, ") && stop.contains(CALL);
    report.check(id, is_there, stop.trim());
    Ok(())
}

/// Another session, by TCP; the console's history has the packets of the one before.
fn by_tcp(report: &mut Report, other: &mut Shell) -> Result<()> {
    let _port = Console::spawn("sh", &["-c", &block(SOCAT, "sh", 5)?])?;
    other.console.send("echo g >/proc/sysrq-trigger\r")?;
    let mut gdb = Gdb::start()?;
    let stop = gdb.run("target remote 127.0.0.1:4001")?;
    let frames = gdb.run("bt")?;
    report.check(
        "by TCP, after another session",
        stop.contains("kgdb_breakpoint") && frames.contains("sysrq_handle_dbg"),
        format_args!("{} {}", stop.trim(), frames.trim()),
    );
    gdb.run("detach")?;
    let echo = other.run("echo h", SHORT)?;
    report.check_eq("the guest runs then", &echo.as_str(), &"h\n");
    Ok(())
}

/// gdb at its prompt, which reads lines as they come.
struct Gdb(Console);

impl Gdb {
    fn start() -> Result<Self> {
        let line = format!(
            "TERM=dumb exec gdb -q -nx -l 60 -x {STEPS} -ex 'set editing off' -ex 'set width 0' \
             -ex 'set pagination off' -ex 'set confirm off' {SYMBOLS}"
        );
        let mut gdb = Self(Console::spawn("sh", &["-c", &line])?);
        gdb.prompt()?;
        Ok(gdb)
    }

    fn send(&mut self, command: &str) -> Result<()> {
        self.0.send(&format!("{command}\n"))
    }

    /// What it prints up to its next prompt.
    fn prompt(&mut self) -> Result<String> {
        let printed = self.0.expect("(gdb) ", PACKETS)?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    fn run(&mut self, command: &str) -> Result<String> {
        self.send(command)?;
        self.prompt()
    }

    /// The value of an expression.
    fn number(&mut self, expression: &str) -> Result<u64> {
        let printed = self.run(&format!("output {expression}"))?;
        match printed.trim().parse() {
            Ok(number) => Ok(number),
            Err(_) => bail!("gdb printed {printed:?} for {expression}"),
        }
    }
}
