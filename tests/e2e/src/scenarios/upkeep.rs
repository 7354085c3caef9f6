// SPDX-License-Identifier: MIT
//! The daemon as a service of dom0: its log of Xen, and its privileges.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::command;
use crate::console::Line;
use crate::daemon;
use crate::guest::{self, Config, xl};
use crate::report::Report;
use crate::scenarios::boot::BOTH_LINES;
use crate::shell::{SHORT, Shell};

const HYPERVISOR_LOG: &str = "/var/log/xen/console/hypervisor.log";
/// A message is in the log after one event.
const PATIENCE: Duration = Duration::from_secs(60);

/// `--log=hv`: Xen's messages are in the log, including later ones.
pub(crate) fn hypervisor_log(report: &mut Report) -> Result<()> {
    let log =
        || String::from_utf8_lossy(&fs::read(HYPERVISOR_LOG).unwrap_or_default()).into_owned();
    let version = command::poll(PATIENCE, || log().contains("Xen version 4."));
    report.check("Xen's first lines are in the log", version, HYPERVISOR_LOG);
    let before = log();
    xl(&["debug-keys", "h"])?;
    // The key's output, which `xl dmesg` shows too.
    let said = "'h' pressed -> showing installed handlers";
    let arrived = command::poll(PATIENCE, || {
        log().matches(said).count() > before.matches(said).count()
    });
    report.check(
        "new messages of Xen arrive without a request",
        arrived,
        said,
    );
    let dmesg = xl(&["dmesg"])?;
    let complete = command::poll(PATIENCE, || {
        let log = log();
        dmesg.lines().all(|line| log.contains(line.trim_end()))
    });
    report.check(
        "every line of xl dmesg is in it",
        complete,
        format_args!("{} lines", dmesg.lines().count()),
    );
    Ok(())
}

/// The daemon has given up root, and then serves a new guest.
pub(crate) fn least_privilege(report: &mut Report) -> Result<()> {
    let pid = daemon::status()?.pid;
    for (number, entry) in fs::read_dir(format!("/proc/{pid}/task"))?.enumerate() {
        let path = entry?.path().join("status");
        let status = fs::read_to_string(&path)?;
        let holds = Held::read(&status).is_some_and(|held| held.nothing());
        let seen: Vec<&str> = status.lines().filter(|line| Held::is_about(line)).collect();
        let id = format_args!("thread {number} is not root and has no capability").to_string();
        report.check(id, holds, seen.join(", ").replace('\t', " "));
    }
    let guest = Config::linux("late")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    for line in Line::BOTH {
        let shell = Shell::open(&guest.name, line).and_then(|mut shell| shell.run("true", SHORT));
        report.check_ok(format_args!("shell on {}", line.name()), shell);
        let logged = daemon::log(&guest.name, line).map(|log| log.len());
        report.check(
            format_args!("{} is logged", line.name()),
            logged.as_ref().is_ok_and(|length| *length > 0),
            format_args!("{logged:?}"),
        );
    }
    guest.destroy()?;
    report.check(
        "the guest is gone",
        guest::all_gone(),
        format_args!("{:?}", guest::domids()?),
    );
    Ok(())
}

/// A thread's privileges, from its status in /proc.
struct Held {
    uids: Vec<u32>,
    capabilities: Vec<u64>,
    no_new_privileges: bool,
    filtered: bool,
}

impl Held {
    fn is_about(line: &str) -> bool {
        [
            "Uid:",
            "CapPrm:",
            "CapEff:",
            "CapAmb:",
            "NoNewPrivs:",
            "Seccomp:",
        ]
        .iter()
        .any(|name| line.starts_with(name))
    }

    fn read(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim())
        };
        let set = |name| u64::from_str_radix(field(name)?, 16).ok();
        Some(Self {
            uids: field("Uid:")?
                .split_whitespace()
                .map(|uid| uid.parse().ok())
                .collect::<Option<_>>()?,
            capabilities: vec![set("CapPrm:")?, set("CapEff:")?, set("CapAmb:")?],
            no_new_privileges: field("NoNewPrivs:")? == "1",
            filtered: field("Seccomp:")? == "2",
        })
    }

    fn nothing(&self) -> bool {
        !self.uids.contains(&0)
            && self.capabilities.iter().all(|set| *set == 0)
            && self.no_new_privileges
            && self.filtered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFINED: &str = "Name:\tvconsoled\nUid:\t990\t990\t990\t990\nGid:\t990\t990\t990\t990\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn each_extra_privilege_is_detected() {
        assert!(Held::read(CONFINED).unwrap().nothing());
        for (from, to) in [
            ("990\t990\t990\t990\nGid", "990\t990\t0\t990\nGid"),
            ("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000002"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
        ] {
            let status = CONFINED.replace(from, to);
            assert_ne!(status, CONFINED);
            assert!(!Held::read(&status).unwrap().nothing(), "{to}");
        }
        assert!(Held::read("Name:\tx\n").is_none());
    }
}
