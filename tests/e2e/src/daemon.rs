// SPDX-License-Identifier: MIT
//! The console daemon, seen from outside: its control socket, its process,
//! its logs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::command;
use crate::console::Line;
use crate::guest;
use crate::keeper::Keeper;

/// The folder of its logs.
pub(crate) const LOGS: &str = "/var/log/xen/console";
const SOCKET: &str = "/run/vconsoled/control.sock";
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer to `status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) consoles: Vec<Served>,
}

/// A served console.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Served {
    pub(crate) domid: u16,
    pub(crate) kind: String,
    pub(crate) from_guest: u64,
    pub(crate) to_guest: u64,
    pub(crate) doorbells_in: u64,
    pub(crate) doorbells_out: u64,
    pub(crate) resyncs: u64,
    /// `connected`, or the reason why not.
    #[expect(dead_code, reason = "printed with failures")]
    pub(crate) state: String,
}

impl Status {
    /// The console of a guest on a line.
    pub(crate) fn console(&self, domid: u16, line: Line) -> Result<&Served> {
        self.consoles
            .iter()
            .find(|console| console.domid == domid && (console.kind == "pv") == (line == Line::Pv))
            .with_context(|| format!("the daemon serves no {} of domain {domid}", line.name()))
    }
}

/// Reads the daemon's status.
pub(crate) fn status() -> Result<Status> {
    let line = ask("status")?;
    serde_json::from_str(&line).with_context(|| format!("the daemon's status is {line:?}"))
}

/// Waits until no console is served; `false` if one stays.
pub(crate) fn serves_nobody() -> bool {
    command::poll(guest::GONE, || {
        status().is_ok_and(|status| status.consoles.is_empty())
    })
}

/// Makes the daemon send a break to a console of a domain, by the console's name;
/// returns its answer.
pub(crate) fn send_break(domid: u16, console: &str) -> Result<String> {
    ask(&format!("break {domid}/{console}"))
}

/// The daemon's answer to a request.
fn ask(request: &str) -> Result<String> {
    let mut socket =
        UnixStream::connect(SOCKET).with_context(|| format!("connecting to {SOCKET}"))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(socket)
        .read_line(&mut line)
        .with_context(|| format!("reading the daemon's answer to {request:?}"))?;
    Ok(line)
}

/// A daemon's process and command line, to start another one like it.
#[derive(Debug)]
pub(crate) struct Daemon {
    pid: u32,
    command: Vec<String>,
}

impl Daemon {
    /// The running daemon.
    pub(crate) fn running() -> Result<Self> {
        let pid = status()?.pid;
        let path = format!("/proc/{pid}/cmdline");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let command: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        if command.is_empty() {
            bail!("process {pid} has no command line");
        }
        Ok(Self { pid, command })
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The same with another value of `--log`.
    pub(crate) fn logging(&self, what: &str) -> Self {
        let option = format!("--log={what}");
        let with = |word: &String| {
            if word.starts_with("--log=") {
                option.clone()
            } else {
                word.clone()
            }
        };
        Self {
            pid: self.pid,
            command: self.command.iter().map(with).collect(),
        }
    }

    /// Sends a signal and waits until the process is gone.
    pub(crate) fn end(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("pid")?;
        kill_process(pid, signal)?;
        let gone = command::poll(PATIENCE, || !is_running(self.pid));
        if !gone {
            bail!(
                "process {} is still there {PATIENCE:?} after {signal:?}",
                self.pid
            );
        }
        Ok(())
    }

    /// Starts a daemon with the same command line and waits until it answers.
    pub(crate) fn start_again(&self) -> Result<Self> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        self.started(command)
    }

    /// The same with a keeper for its descriptors. It stays in the foreground: the
    /// descriptors are for this very process.
    pub(crate) fn start_kept(&self, keeper: &Keeper) -> Result<Self> {
        let mut words = self.command.clone();
        let foreground = "--interactive".to_owned();
        if !words.contains(&foreground) {
            words.push(foreground);
        }
        self.started(keeper.command(&words)?)
    }

    fn started(&self, mut command: Command) -> Result<Self> {
        // In a process group of its own: it outlives the scenario.
        command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", self.command.join(" ")))?;
        if !command::poll(PATIENCE, || status().is_ok()) {
            bail!("the daemon that was started does not answer");
        }
        Self::running()
    }
}

/// A daemon's memory in KiB, by its process number.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok())
        .with_context(|| format!("process {pid} has {line:?} as its memory"))
}

/// Whether this project's daemon serves the consoles, not the stock one.
pub(crate) fn is_ours() -> bool {
    process().is_ok_and(|(_, name)| name == OURS)
}

const OURS: &str = "vconsoled";
const STOCK: &str = "xenconsoled";

/// The process that serves the consoles, by number and name.
fn process() -> Result<(u32, &'static str)> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if let Some(name) = [OURS, STOCK].into_iter().find(|name| comm.trim() == *name) {
            return Ok((pid, name));
        }
    }
    bail!("no console daemon runs")
}

/// The CPU time and interrupts of the running daemon so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Nanoseconds on a CPU, including the kernel's work for it.
    pub(crate) ns: u64,
    /// Interrupts of dom0 for the daemon's event channels.
    pub(crate) events: u64,
}

impl Cost {
    /// Up to now.
    pub(crate) fn now() -> Result<Self> {
        let (pid, name) = process()?;
        let mut ns = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = thread?.path().join("schedstat");
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let first = text.split(' ').next().unwrap_or_default();
            ns += first.parse::<u64>().context("schedstat")?;
        }
        let interrupts = fs::read_to_string("/proc/interrupts")?;
        let events = count_interrupts(&interrupts, &format!("evtchn:{name}"));
        Ok(Self { ns, events })
    }

    /// The difference from an earlier value.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            ns: self.ns - before.ns,
            events: self.events - before.events,
        }
    }
}

/// The interrupts of all lines of `/proc/interrupts` with the name `what`, on all
/// CPUs: as many columns as the first line names, or else all numbers. Kernels
/// differ in the text after them, and in its spacing.
pub(crate) fn count_interrupts(table: &str, what: &str) -> u64 {
    let heads = table.lines().next().unwrap_or_default().split_whitespace();
    let columns = match heads.filter(|word| word.starts_with("CPU")).count() {
        0 => usize::MAX,
        cpus => cpus,
    };
    table
        .lines()
        .filter(|line| line.split_whitespace().any(|word| word == what))
        .flat_map(|line| {
            let counts = line.split_whitespace().skip(1).take(columns);
            counts.map_while(|word| word.parse::<u64>().ok())
        })
        .sum()
}

/// Whether a process runs; a zombie does not.
fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'))
    })
}

/// The log of a guest's console.
pub(crate) fn log(guest: &str, line: Line) -> Result<String> {
    let suffix = if line == Line::Vuart { "-vuart0" } else { "" };
    let path = format!("{LOGS}/guest-{guest}{suffix}.log");
    let bytes = fs::read(&path).with_context(|| format!("reading {path}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_is_parsed() {
        let line = r#"{"version":1,"pid":7,"consoles":[
            {"domid":1,"name":"g","console":"vuart0","kind":"vuart-private","tty":"/dev/pts/3",
             "from_guest":10,"to_guest":2,"doorbells_in":3,"doorbells_out":4,"resyncs":0,
             "dropped":0,"state":"connected"},
            {"domid":1,"name":"g","console":"pv0","kind":"pv","tty":"/dev/pts/4",
             "from_guest":20,"to_guest":0,"doorbells_in":0,"doorbells_out":0,"resyncs":0,
             "dropped":0,"state":"connected"}]}"#;
        let status: Status = serde_json::from_str(line).unwrap();
        assert_eq!(status.console(1, Line::Vuart).unwrap().from_guest, 10);
        assert_eq!(status.console(1, Line::Pv).unwrap().from_guest, 20);
        assert!(status.console(2, Line::Pv).is_err());
    }

    #[test]
    fn interrupts_are_added_up_by_name() {
        let table = "           CPU0       CPU1\n\
                     13:          4          2     GICv3  32 Level     uart-pl011\n\
                     20:        100          0  xen-dyn  13 Edge     evtchn:vconsoled\n\
                     21:          7          1  xen-dyn  14 Edge     evtchn:vconsoled\n";
        assert_eq!(count_interrupts(table, "uart-pl011"), 6);
        assert_eq!(count_interrupts(table, "evtchn:vconsoled"), 108);
        assert_eq!(count_interrupts(table, "evtchn"), 0);
        let table = "   CPU0 CPU1\n13: 4 2 32 Level uart-pl011\n";
        assert_eq!(count_interrupts(table, "uart-pl011"), 6, "no chip's name");
        let lines = "# grep -i uart /proc/interrupts\n 13: 40 2 GICv3-32 Level uart-pl011\n";
        assert_eq!(count_interrupts(lines, "uart-pl011"), 42, "no first line");
    }

    #[test]
    fn a_running_process_is_distinguished_from_an_ended_one() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(is_running(child.id()));
        child.kill().unwrap();
        assert!(
            command::poll(PATIENCE, || !is_running(child.id())),
            "a zombie counts as running"
        );
        child.wait().unwrap();
        assert!(!is_running(child.id()));
    }
}
