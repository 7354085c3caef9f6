// SPDX-License-Identifier: MIT
//! Faults and attacks, and the guests and programs that they must not affect.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use vpl011::ring::layout::PAGE_SIZE;
use vpl011::ring::memory::RingMemory;
use xen_io::{DomId, Privcmd, Resource};

use crate::command;
use crate::console::Line;
use crate::daemon::{self, Daemon, LOGS};
use crate::guest::{self, Config, Guest, xl};
use crate::monitor::Monitor;
use crate::pattern::numbers;
use crate::report::Report;
use crate::scenarios::boot::{BOTH_LINES, QUIET};
use crate::scenarios::transfer::{TRANSFER, from_guest, to_guest};
use crate::shell::{SHORT, Shell};

const XENSTORED: &str = "/run/xenstored.pid";

/// Dom0 writes arbitrary values into a guest's ring while the daemon serves it.
pub(crate) fn scribble(report: &mut Report) -> Result<()> {
    let victim = Config::monitor("victim").pl011().create()?;
    let mut monitor = Monitor::open(&victim.name)?;
    let (other, mut shell) = bystander()?;
    let served_by = daemon::status()?.pid;
    let ring = Privcmd::open()?.map_resource(DomId(victim.domid), Resource::VUART)?;
    let writes = report.amount(1_000_000, 10_000_000);
    thread::scope(|scope| {
        let scribbler = scope.spawn(move || scribble_on(&ring, writes));
        from_guest(report, &mut shell, "another guest meanwhile", 61)?;
        to_guest(report, &mut shell, "another guest meanwhile", 62)?;
        // The victim prints into the corrupted ring.
        while !scribbler.is_finished() {
            monitor.mumble()?;
        }
        scribbler
            .join()
            .map_err(|_| anyhow!("the writing thread panicked"))
    })?;
    report.data("writes", writes);
    report.check_ok("the victim's line works again", monitor.come_round());
    report.check_ok("the other guest continues", shell.run("true", SHORT));
    report.check_eq("the daemon is the same", &daemon::status()?.pid, &served_by);
    let status = daemon::status()?;
    let resyncs = status.console(victim.domid, Line::Vuart)?.resyncs;
    report.check("the daemon has corrected indices", resyncs > 0, resyncs);
    report.data("resyncs", resyncs);
    report.check_eq(
        "and none of the other guest's",
        &status.console(other.domid, Line::Vuart)?.resyncs,
        &0,
    );
    Ok(())
}

/// Stores the words of a xorshift sequence at offsets of the same sequence.
fn scribble_on(ring: &impl RingMemory, writes: u32) {
    let mut state = 0x2545_f491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    for _ in 0..writes {
        let place = next() as usize % PAGE_SIZE;
        ring.store_u32(place & !3, next());
    }
}

/// A guest attacks its own UART.
pub(crate) fn hammer(report: &mut Report) -> Result<()> {
    let hammer = Config::monitor("hammer")
        .with("vcpus = 2")
        .pl011()
        .create()?;
    let mut monitor = Monitor::open(&hammer.name)?;
    let (_other, mut shell) = bystander()?;
    let seconds: u64 = report.amount(5, 60);
    monitor.hammer(seconds)?;
    let over = AtomicBool::new(false);
    let counts = thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let counts = monitor.hammered(Duration::from_secs(seconds) + 2 * TRANSFER);
            over.store(true, Ordering::Relaxed);
            counts
        });
        let wanted = numbers(500, "\n");
        let mut rounds = 0;
        while !over.load(Ordering::Relaxed) {
            // Four vCPUs and dom0 share the machine's two CPUs.
            let shown = shell.run("seq 500", 2 * TRANSFER)?;
            rounds += u32::from(shown == wanted);
            if shown != wanted {
                report.check("another guest's output", false, shown);
            }
        }
        report.check("another guest's output is complete", rounds > 0, rounds);
        report.data("bystander's outputs", rounds);
        waiting
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the reader panicked")))
    })?;
    for (vcpu, accesses) in counts.iter().enumerate() {
        report.check(
            format_args!("vCPU {vcpu} has accessed registers"),
            *accesses > 1000,
            format_args!("{accesses} accesses"),
        );
    }
    report.data("accesses", counts.iter().sum::<u64>());
    report.check_ok("its UART works again", monitor.come_round());
    report.check_ok("Xen answers", xl(&["info"]));
    Ok(())
}

/// xenstored is stopped for a while.
pub(crate) fn slow_xenstore(report: &mut Report) -> Result<()> {
    let guest = Config::linux("slow")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    let mut vuart = Shell::open(&guest.name, Line::Vuart)?;
    let mut pv = Shell::open(&guest.name, Line::Pv)?;
    let stopped = Stopped::process(XENSTORED)?;
    from_guest(report, &mut vuart, "vuart meanwhile", 71)?;
    to_guest(report, &mut vuart, "vuart meanwhile", 72)?;
    report.check_ok("hvc0 answers meanwhile", pv.run("true", SHORT));
    report.check_ok("so does the daemon", daemon::status());
    drop(stopped);
    let second = Config::monitor("second").pl011().create()?;
    report.check_ok(
        "a guest made afterwards is served",
        Monitor::open(&second.name).map(drop),
    );
    Ok(())
}

/// The logs' file system has room for only a part of a guest's output.
pub(crate) fn full_disk(report: &mut Report) -> Result<()> {
    const LINES: usize = 25_000;
    /// The disk has room for more, without the other logs.
    const FITS: usize = 64 << 10;
    let disk = SmallDisk::mount()?;
    let guest = Config::linux("full").pl011().bootargs(QUIET).create()?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    let shown = shell.run(&format!("seq {LINES}"), TRANSFER)?;
    let whole = numbers(LINES, "\n");
    report.check(
        "an open client shows every byte",
        shown == whole,
        format_args!("{} of {} bytes", shown.len(), whole.len()),
    );
    let log = || daemon::log(&guest.name, Line::Vuart).unwrap_or_default();
    let whole = numbers(LINES, "\r\n");
    let kept = counted(&log()).to_owned();
    report.check(
        "the log has what fitted, unchanged",
        kept.len() > FITS && whole.starts_with(&kept),
        format_args!("{} of {} bytes", kept.len(), whole.len()),
    );
    disk.enlarge()?;
    let goes_on = command::poll(SHORT, || {
        // A failed log is retried when there is more output.
        let _ = shell.run("echo room again", SHORT);
        log().contains("room again\r\n")
    });
    report.check("with room the log continues", goes_on, log().len());
    // The rest is less than what is kept for a log that is behind.
    let late = log();
    let late = counted(&late);
    report.check(
        "nothing is missing from it",
        late.starts_with(&whole) && kept.len() < whole.len(),
        format_args!("{} of {} bytes", late.len(), whole.len()),
    );
    Ok(())
}

/// A log from the first number that a guest counts.
fn counted(log: &str) -> &str {
    log.find("1\r\n2\r\n").map_or("", |at| &log[at..])
}

/// Guests that are paused, are not watched, or crash.
pub(crate) fn standstill(report: &mut Report) -> Result<()> {
    const LINES: usize = 8000;
    let guest = Config::linux("still")
        .pl011()
        .bootargs(&format!("{BOTH_LINES} panic=1"))
        .with("on_reboot = \"destroy\"")
        .create()?;
    let mut pv = Shell::open(&guest.name, Line::Pv)?;
    pv.console.send(&format!(
        "(seq {LINES}; echo all \"\"said) >/dev/ttyAMA0 &\r"
    ))?;
    let log = || daemon::log(&guest.name, Line::Vuart).unwrap_or_default();
    let begun = command::poll(SHORT, || log().contains("\n100\r\n"));
    report.check("output without a client is logged", begun, log().len());
    xl(&["pause", &guest.name])?;
    let mut length = log().len();
    let still = command::poll(SHORT, || {
        thread::sleep(Duration::from_millis(500));
        std::mem::replace(&mut length, log().len()) == length
    });
    report.check(
        "a paused guest prints nothing",
        still && !log().contains("all said"),
        format_args!("{length} bytes so far"),
    );
    xl(&["unpause", &guest.name])?;
    let whole = numbers(LINES, "\r\n");
    let all = command::poll(TRANSFER, || log().contains("all said"));
    report.check(
        "unpaused, it prints the rest, each line once",
        all && log().contains(&whole),
        format_args!("{} bytes", log().len()),
    );
    pv.run("echo 1 >/proc/sys/kernel/sysrq", SHORT)?;
    pv.console.send("echo c >/proc/sysrq-trigger\r")?;
    report.check(
        "a guest whose kernel panics is gone",
        guest::all_gone(),
        format_args!("{:?}", guest::domids()),
    );
    let last = "Kernel panic - not syncing";
    report.check("its last output is logged", log().contains(last), last);
    let guest = Config::monitor("crash").pl011().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    monitor.crash()?;
    report.check(
        "a guest that reports a crash is gone",
        guest::all_gone(),
        format_args!("{:?}", guest::domids()),
    );
    report.check(
        "and their consoles are no longer served",
        daemon::serves_nobody(),
        "none",
    );
    Ok(())
}

/// A guest that must not be affected, and its shell.
fn bystander() -> Result<(Guest, Shell)> {
    let guest = Config::linux("bystander")
        .pl011()
        .bootargs(QUIET)
        .create()?;
    let shell = Shell::open(&guest.name, Line::Vuart)?;
    Ok((guest, shell))
}

/// A process, stopped until this is dropped.
struct Stopped(Pid);

impl Stopped {
    /// By its PID file.
    fn process(path: &str) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{path} has {text:?}"))?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // If it has ended, later checks fail.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// A small file system for the logs of a new daemon.
struct SmallDisk {
    at: &'static str,
    /// The daemon of the large file system.
    daemon: Daemon,
}

impl SmallDisk {
    fn mount() -> Result<Self> {
        let daemon = Daemon::running()?;
        daemon.end(Signal::TERM)?;
        let disk = Self { at: LOGS, daemon };
        disk.mounted("size=96k,mode=0755", &["-t", "tmpfs", "none"])?;
        // Xen's messages meanwhile are left for the usual log.
        disk.daemon.logging("guest").start_again()?;
        Ok(disk)
    }

    fn enlarge(&self) -> Result<()> {
        self.mounted("remount,size=16m", &[])
    }

    fn mounted(&self, options: &str, more: &[&str]) -> Result<()> {
        let args = [&["-o", options], more, &[self.at]].concat();
        command::run("mount", &args, SHORT)?.ok().map(drop)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Errors here fail the scenarios that follow.
        let _ = Daemon::running().and_then(|daemon| daemon.end(Signal::TERM));
        let _ = command::run("umount", &[self.at], SHORT);
        let _ = self.daemon.start_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_counts_from_its_first_number() {
        assert_eq!(counted("# seq 100\r\n1\r\n2\r\n3"), "1\r\n2\r\n3");
    }
}
