// SPDX-License-Identifier: MIT
//! The daemon ends and is restarted while a guest prints and reads.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::command;
use crate::console::{Console, Line};
use crate::daemon::{self, Daemon};
use crate::guest::Config;
use crate::keeper::Keeper;
use crate::pattern;
use crate::report::Report;
use crate::scenarios::boot::{BOTH_LINES, QUIET};
use crate::shell::{BOOT, SHORT, Shell};

/// Lines that the guest prints meanwhile: far more than ring and terminal hold, so
/// that it is not finished before the daemon ends.
const LINES: usize = 8000;
/// The limit from one state to the next, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The guest's last line.
const ALL: &str = "all counted";

/// An orderly end.
pub(crate) fn term(report: &mut Report) -> Result<()> {
    restart(report, "term", Signal::TERM)
}

/// A kill.
pub(crate) fn kill(report: &mut Report) -> Result<()> {
    restart(report, "kill", Signal::KILL)
}

/// Repeated kills while the guest prints and reads, over one connection.
pub(crate) fn kills(report: &mut Report) -> Result<()> {
    const GUEST: &str = "kills";
    let kills = report.amount(5, 100);
    let lines = report.amount(12_000, 350_000);
    let typed = pattern::typeable(90, report.amount(16, 256) << 10);
    // With a keeper of descriptors, clients of plain sockets see no restart.
    let kept = Kept::new()?;
    let mut daemon = Daemon::running()?;
    let guest = Config::linux(GUEST).pl011().bootargs(QUIET).create()?;
    let mut shell = Shell::login(plain(GUEST)?, BOOT)?;
    let seen = "/tmp/kills.seen";
    let mut viewer = watch(GUEST, seen)?;
    shell.console.send(&format!(
        "sh -c 'stty raw -echo; (seq {lines} | sed \"s/.*/count &./\"; echo all \"\"counted) & \
         head -c {} | sha256sum >/tmp/sum; wait; cat /tmp/sum; stty sane'\r",
        typed.len()
    ))?;
    shell.console.expect("count 50.", SHORT)?;
    let log = || daemon::log(&guest.name, Line::Vuart);
    for kill in 0..kills {
        // The kills are spread over the whole output.
        let wanted = lines * kill / (kills + 1);
        let reached = format!("count {}.", wanted.max(1));
        let there = command::poll(PATIENCE, || log().is_ok_and(|log| log.contains(&reached)));
        if !there {
            report.check(
                format_args!("kill {kill}"),
                false,
                "the log no longer grows",
            );
            break;
        }
        let part = |kill: usize| typed.len() * kill / kills;
        let typing = &typed[part(kill)..part(kill + 1)];
        shell.console.send_bytes(typing, PATIENCE)?;
        daemon.end(Signal::KILL)?;
        daemon = kept.start(&daemon)?;
    }
    let sum = shell.console.expect("  -", 3 * PATIENCE)?;
    let sum = String::from_utf8_lossy(&sum);
    report.check(
        "the guest read every byte that was typed once",
        sum.ends_with(&pattern::sha256(&typed)),
        format_args!("{} bytes", typed.len()),
    );
    let complete = command::poll(PATIENCE, || {
        fs::read_to_string(seen).is_ok_and(|text| text.contains(ALL))
    });
    viewer.kill()?;
    viewer.wait()?;
    let (good, detail) = counted(&shell.console.transcript(), lines);
    report.check(
        "the connection that stayed shows every byte once",
        good,
        detail,
    );
    let text = String::from_utf8_lossy(&fs::read(seen)?).into_owned();
    let (good, detail) = counted(&text, lines);
    report.check(
        "vconsole attach shows every byte once",
        complete && good,
        detail,
    );
    let log = log()?;
    let (good, detail) = counted(&log, lines);
    report.check("every byte once in the log", good, detail);
    report.data("kills", kills);
    report.data("bytes from the guest", log.len());
    report.data("bytes to the guest", typed.len());
    Ok(())
}

/// A daemon whose descriptors are kept for the next one; on drop, a daemon without
/// a keeper is started for dom0.
struct Kept {
    keeper: Keeper,
    plain: Daemon,
}

impl Kept {
    fn new() -> Result<Self> {
        let plain = Daemon::running()?;
        plain.end(Signal::TERM)?;
        let kept = Self {
            keeper: Keeper::new("/run/e2e-keeper.sock")?,
            plain,
        };
        kept.start(&kept.plain)?;
        Ok(kept)
    }

    /// Starts another daemon like one that ended.
    fn start(&self, daemon: &Daemon) -> Result<Daemon> {
        daemon.start_kept(&self.keeper)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Errors here fail the scenarios that follow.
        let _ = Daemon::running().and_then(|daemon| daemon.end(Signal::TERM));
        let _ = self.plain.start_again();
    }
}

/// socat between a guest's plain socket and a terminal.
fn plain(guest: &str) -> Result<Console> {
    let socket = format!("/run/vconsoled/consoles/by-name/{guest}/vuart0.sock");
    if !command::poll(PATIENCE, || Path::new(&socket).exists()) {
        bail!("there is no {socket}");
    }
    Console::spawn("socat", &["-", &format!("UNIX-CONNECT:{socket}")])
}

/// Starts a viewer on a socket, and waits until it shows the last output; a restart must
/// not be visible in its bytes.
fn watch(guest: &str, seen: &str) -> Result<Child> {
    let viewer = Command::new("vconsole")
        .args(["attach", &format!("{guest}/vuart0")])
        .stdin(Stdio::piped())
        .stdout(File::create(seen)?)
        .spawn()
        .context("starting vconsole")?;
    let shows = || fs::metadata(seen).is_ok_and(|file| file.len() > 0);
    ensure!(command::poll(SHORT, shows), "vconsole shows nothing");
    Ok(viewer)
}

fn restart(report: &mut Report, name: &str, signal: Signal) -> Result<()> {
    // On a busy machine the kernel's watchdog would print between the lines.
    let bootargs = format!("{BOTH_LINES} nowatchdog");
    let guest = Config::linux(name).pl011().bootargs(&bootargs).create()?;
    let mut shells = Vec::new();
    for line in Line::BOTH {
        shells.push((line, Shell::open(name, line)?));
    }
    let seen = format!("/tmp/{name}.seen");
    let mut viewer = watch(name, &seen)?;
    for (_, shell) in &mut shells {
        shell.console.send(&format!(
            "seq {LINES} | sed 's/.*/count &./'; echo all \"\"counted\r"
        ))?;
    }
    for (_, shell) in &mut shells {
        shell.console.expect("count 50.", SHORT)?;
    }
    let daemon = Daemon::running()?;
    report.check_ok("the daemon ends", daemon.end(signal));
    for line in Line::BOTH {
        let counting = !daemon::log(name, line)?.contains(ALL);
        report.check(
            format_args!("{} was in the middle", line.name()),
            counting,
            "of its output",
        );
    }
    if signal == Signal::TERM {
        let mut store = xen_io::xenstore::Client::open()?;
        for node in ["console/tty", "vuart/0/tty"] {
            let tty = store.read(&format!("/local/domain/{}/{node}", guest.domid))?;
            report.check(
                format_args!("{node} is removed"),
                tty.is_none(),
                format_args!("{tty:?}"),
            );
        }
    }
    // Long enough for both rings to fill.
    std::thread::sleep(Duration::from_secs(1));
    let again = daemon.start_again();
    report.check_ok("another daemon serves", again);
    let complete = command::poll(PATIENCE, || {
        fs::read_to_string(&seen).is_ok_and(|text| text.contains(ALL))
    });
    viewer.kill()?;
    viewer.wait()?;
    let (good, detail) = counted(&String::from_utf8_lossy(&fs::read(&seen)?), LINES);
    report.check(
        "vconsole attach shows every byte once",
        complete && good,
        detail,
    );
    for (line, mut shell) in shells {
        let complete = command::poll(PATIENCE, || {
            daemon::log(name, line).is_ok_and(|log| log.contains(ALL))
        });
        let log = daemon::log(name, line)?;
        let (good, detail) = counted(&log, LINES);
        report.check(
            format_args!("every byte once in the log of {}", line.name()),
            complete && good,
            detail,
        );
        let followed = shell.run("true", SHORT);
        report.check_ok(
            format_args!("the open client of {} continues", line.name()),
            followed,
        );
        drop(shell);
        let shell = Shell::open(name, line).and_then(|mut shell| shell.run("true", SHORT));
        report.check_ok(format_args!("{} works again", line.name()), shell);
    }
    Ok(())
}

/// Whether a log has every line once, in order and with only kernel messages in
/// between; and how many it has.
fn counted(log: &str, lines: usize) -> (bool, String) {
    match counting(log, ALL) {
        Ok(seen) => (seen == lines, format!("{seen} of {lines} lines")),
        Err(why) => (false, why),
    }
}

/// How far a text counts up to `end`, if it has every line once.
pub(super) fn counting(text: &str, end: &str) -> std::result::Result<usize, String> {
    let counting = text.find("count 1.").map_or("", |start| &text[start..]);
    let end = counting.find(end).unwrap_or(counting.len());
    let mut seen = 0;
    for line in counting[..end].lines().map(str::trim_end) {
        if line == format!("count {}.", seen + 1) {
            seen += 1;
        } else if !line.is_empty() && !line.starts_with('[') {
            return Err(format!("after line {seen} comes {line:?}"));
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(numbers: impl Iterator<Item = usize>) -> String {
        numbers
            .map(|n| format!("count {n}.\r\n"))
            .collect::<Vec<_>>()
            .concat()
    }

    #[test]
    fn only_a_whole_log_counts() {
        assert!(counted(&log(1..=LINES), LINES).0);
        assert!(!counted(&log(1..LINES), LINES).0);
        assert!(!counted(&log((1..=LINES).filter(|&n| n != 70)), LINES).0);
        assert!(!counted(&log((1..=70).chain(70..=LINES)), LINES).0);
        let whole = log(1..=LINES);
        let said = whole.replacen("count 9.", "[   12.3] crng init done\r\ncount 9.", 1);
        assert!(counted(&said, LINES).0);
        let repeated = whole.replacen("count 9.", "nt 8.\r\ncount 9.", 1);
        assert!(!counted(&repeated, LINES).0, "a part of a line came twice");
    }
}
