// SPDX-License-Identifier: MIT
//! Builds of Xen with other options than the default.

use anyhow::Result;
use rustix::process::Signal;

use crate::command;
use crate::daemon::Daemon;
use crate::guest::{self, Config, xl};
use crate::monitor::Monitor;
use crate::report::Report;
use crate::scenarios::{boot, conformance, life, private, trace, transfer};
use crate::shell::SHORT;

/// With assertions and lock checks, through all code that takes our locks, while
/// FLASK enforces the policy of Xen's own source.
pub(crate) fn debug(report: &mut Report) -> Result<()> {
    let said = xl(&["dmesg"])?;
    report.check("Xen is a debug build", said.contains("debug=y"), "debug=y");
    report.check_eq("FLASK", &flask_mode()?.as_str(), &"Enforcing\n");
    transfer::transfer(report)?;
    life::two_vcpus(report)?;
    let guest = Config::monitor("flood").pl011().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    monitor.flood()?;
    let daemon = Daemon::running()?;
    daemon.end(Signal::KILL)?;
    daemon.start_again()?;
    guest.destroy()?;
    trace::trace(report)?;
    report.check_eq("FLASK, at the end", &flask_mode()?.as_str(), &"Enforcing\n");
    Ok(())
}

/// The mode that xl prints; xl's exit code is the mode, too.
fn flask_mode() -> Result<String> {
    Ok(command::run("xl", &["getenforce"], SHORT)?.text)
}

/// With the vGIC that supports level-triggered interrupts.
pub(crate) fn new_vgic(report: &mut Report) -> Result<()> {
    transfer::transfer(report)?;
    life::two_vcpus(report)
}

/// With Xen's own handler lookup for every access.
pub(crate) fn no_fast_trap(report: &mut Report) -> Result<()> {
    transfer::transfer(report)?;
    conformance::ours(report)
}

/// Our tools and daemon on a hypervisor without the hooks.
pub(crate) fn stock_hypervisor(report: &mut Report) -> Result<()> {
    let refused = Config::linux("refused").pl011().xl_create(&[])?;
    report.check("pl011=1 is refused", !refused.success, refused.text.trim());
    report.check(
        "the message names pl011 and the hypervisor",
        ["pl011", "hypervisor"]
            .iter()
            .all(|word| refused.text.to_lowercase().contains(word)),
        refused.text.trim(),
    );
    report.check(
        "no domain is left",
        guest::all_gone(),
        format_args!("{:?}", guest::domids()),
    );
    private::stock(report)?;
    boot::sbsa(report)
}
