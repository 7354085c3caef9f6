// SPDX-License-Identifier: MIT
//! A guest's access to its private ring and port.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use xen_io::{DomId, HvmParam, Privcmd, Resource, xenstore};

use crate::console::Line;
use crate::guest::{Config, Guest};
use crate::monitor::{Answer, Monitor};
use crate::report::Report;
use crate::shell::{SHORT, Shell};

/// Bytes of a Xen page.
const PAGE: u64 = 4096;
/// Offset of the ring's `out` bytes.
const OUT: u64 = 1024;

/// Loads the driver so that every hypercall reaches the hypervisor.
const UNRESTRICTED: &str = "umount /proc/xen; rmmod xenfs xen_privcmd; \
    insmod $(find /lib/modules -name xen-privcmd.ko) unrestricted=1";

/// The guest's own get and set of the three parameters.
pub(crate) fn params(report: &mut Report) -> Result<()> {
    let guest = Config::monitor("params").pl011().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    let before = private_params(&guest)?;
    // Without this check, a guest whose hypercalls all fail would pass.
    report.check_eq(
        "get 17, which a guest is allowed",
        &monitor.ask("get 11")?.word().as_str(),
        &"ok",
    );
    for command in [
        "get 27",
        "get 28",
        "get 29",
        "set 27 39003",
        "set 28 1",
        "set 29 1",
    ] {
        report.check_eq(
            in_decimal(command),
            &monitor.ask(command)?.word().as_str(),
            &"EPERM",
        );
    }
    report.check_eq("both are unchanged", &private_params(&guest)?, &before);
    Ok(())
}

/// The ring's page: not in the private guest's memory, but accessible in the stock
/// one's.
pub(crate) fn page(report: &mut Report) -> Result<()> {
    let guest = Config::monitor("page").pl011().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    let (gfn, _) = private_params(&guest)?;
    let page = gfn * PAGE;
    let mut try_access = |command: String, address: u64| -> Result<()> {
        let answer = monitor.ask(&command)?;
        report.check(&command, answer.is_data_abort(address), answer.word());
        Ok(())
    };
    try_access(format!("read {page:x}"), page)?;
    try_access(format!("read {:x}", page + OUT), page + OUT)?;
    try_access(format!("write {page:x} 5a5a5a5a"), page)?;
    report.check_eq(
        "frames that Xen takes back from there",
        &monitor.ask(&format!("release {gfn:x}"))?,
        &Answer::Value(0),
    );
    let removed = monitor.ask(&format!("remove {gfn:x}"))?;
    report.check_eq(
        "removing it from the address space, where it is not",
        &removed.word().as_str(),
        &"ENOENT",
    );
    let resource = monitor.ask("resource 7675")?;
    report.check(
        "mapping it as a resource",
        ["EPERM", "ESRCH"].contains(&&*resource.word()),
        resource.word(),
    );
    report.check(
        "the UART still works",
        monitor.ask("get 11")?.word() == "ok",
        "it answered",
    );
    drop(guest);
    stock_page(report)
}

/// A guest's access to the ring of the stock path, on our hypervisor and on a stock
/// one.
fn stock_page(report: &mut Report) -> Result<()> {
    let guest = Config::monitor("stockpage").sbsa().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    let gfn = stock_node(&guest, "ring-ref")?;
    // The guest's first output: "monitor".
    let read = monitor.ask(&format!("read {:x}", gfn * PAGE + OUT))?;
    report.check(
        "the guest can access the stock ring",
        read == Answer::Value(i64::from(u32::from_le_bytes(*b"moni"))),
        format_args!("{read:x?}"),
    );
    report.check_eq(
        "frames that Xen takes back from the stock ring",
        &monitor.ask(&format!("release {gfn:x}"))?,
        &Answer::Value(1),
    );
    Ok(())
}

/// The same attempts on a stock hypervisor: the guest has the page, but not the
/// port, and the parameters do not exist.
pub(super) fn stock(report: &mut Report) -> Result<()> {
    let guest = Config::monitor("stock").sbsa().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    for command in ["get 27", "get 28", "get 29", "set 27 39003"] {
        report.check_eq(
            in_decimal(command),
            &monitor.ask(command)?.word().as_str(),
            &"EINVAL",
        );
    }
    let port = stock_node(&guest, "port")?;
    try_port(report, &guest, &mut monitor, port)?;
    drop(guest);
    stock_page(report)
}

/// A number in the xenstore nodes of a guest's stock UART.
fn stock_node(guest: &Guest, name: &str) -> Result<u64> {
    let node = format!("/local/domain/{}/vuart/0/{name}", guest.domid);
    let value = xenstore::Client::open()?
        .read(&node)?
        .with_context(|| format!("no {node}"))?;
    Ok(std::str::from_utf8(&value)?.parse()?)
}

/// Close and send on the hypervisor's port.
pub(crate) fn port(report: &mut Report) -> Result<()> {
    let guest = Config::monitor("port").pl011().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    let (_, port) = private_params(&guest)?;
    try_port(report, &guest, &mut monitor, port)
}

/// All operations that a guest may try on its UART's port.
fn try_port(report: &mut Report, guest: &Guest, monitor: &mut Monitor, port: u64) -> Result<()> {
    let xen = Privcmd::open()?;
    let console = xen.hvm_param(DomId(guest.domid), HvmParam::CONSOLE_EVTCHN)?;
    let sent = monitor.ask(&format!("send {console:x}"))?;
    report.check_eq(
        "send on the PV console's port, which a guest is allowed",
        &sent.word().as_str(),
        &"ok",
    );
    for command in ["send", "close", "affinity", "bind"] {
        let answer = monitor.ask(&format!("{command} {port:x}"))?;
        report.check_eq(
            format_args!("{command} on the UART's port"),
            &answer.word().as_str(),
            &"EINVAL",
        );
    }
    // Xen returns success for both, and does not change its own port.
    for command in [format!("unmask {port:x}"), "reset".to_owned()] {
        report.check_eq(&command, &monitor.ask(&command)?.word().as_str(), &"ok");
        report.check(
            format_args!("the UART works after {command}"),
            monitor.ask("get 11")?.word() == "ok",
            "it answered",
        );
    }
    let sent = monitor.ask(&format!("send {console:x}"))?;
    report.check_eq(
        "send on the PV console's port, which the reset has closed",
        &sent.word().as_str(),
        &"EINVAL",
    );
    Ok(())
}

/// The same attempts by one guest on another.
pub(crate) fn neighbour(report: &mut Report) -> Result<()> {
    let victim = Config::monitor("victim").pl011().create()?;
    let mut victims = Monitor::open(&victim.name)?;
    let intruder = Config::monitor("intruder").pl011().create()?;
    let mut intruders = Monitor::open(&intruder.name)?;
    let before = private_params(&victim)?;
    let (gfn, port) = before;
    let domid = victim.domid;
    for (attempt, refusals) in [
        (format!("get 27 {domid:x}"), &["EPERM"][..]),
        (format!("get 28 {domid:x}"), &["EPERM"]),
        (format!("get 29 {domid:x}"), &["EPERM"]),
        (format!("set 27 {gfn:x} {domid:x}"), &["EPERM"]),
        (format!("set 28 {port:x} {domid:x}"), &["EPERM"]),
        (format!("set 29 1 {domid:x}"), &["EPERM"]),
        (format!("resource 7675 {domid:x}"), &["EPERM", "ESRCH"]),
        (format!("remove {gfn:x} {domid:x}"), &["EPERM", "ESRCH"]),
        (format!("bind {port:x} {domid:x}"), &["EINVAL"]),
        (format!("alloc {domid:x}"), &["EPERM"]),
        (format!("reset {domid:x}"), &["EPERM"]),
    ] {
        let word = intruders.ask(&attempt)?.word();
        report.check(attempt, refusals.contains(&word.as_str()), word);
    }
    report.check_eq(
        "frames that Xen takes from the other guest",
        &intruders.ask(&format!("release {gfn:x} {domid:x}"))?,
        &Answer::Value(0),
    );
    report.check_eq("both are unchanged", &private_params(&victim)?, &before);
    for (whose, monitor) in [("other", &mut victims), ("own", &mut intruders)] {
        report.check(
            format_args!("its {whose} UART works"),
            monitor.ask("get 11")?.word() == "ok",
            "it answered",
        );
    }
    Ok(())
}

/// The same attempts by root in a Linux guest, through its own privcmd.
pub(crate) fn linux(report: &mut Report) -> Result<()> {
    // The kernel's messages would be mixed with the probe's answers.
    let guest = Config::linux("intruder")
        .pl011()
        .bootargs("console=hvc0")
        .create()?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    let (_, port) = private_params(&guest)?;
    // By default, the kernel itself refuses the probe's hypercalls.
    shell.run(UNRESTRICTED, SHORT)?;
    let answer = shell.run(&format!("e2e probe intrude {} {port}", guest.domid), SHORT)?;
    let attempts: BTreeMap<String, String> = serde_json::from_str(answer.trim())
        .with_context(|| format!("the probe printed {answer:?}"))?;
    for (attempt, result) in &attempts {
        let wanted: &[&str] = match attempt {
            a if a.starts_with("get 17") => &["ok"],
            a if a.starts_with("map") => &["EPERM", "ESRCH"],
            a if a.ends_with("port") => &["EINVAL"],
            _ => &["EPERM"],
        };
        report.check(attempt, wanted.contains(&result.as_str()), result);
    }
    report.check_eq("attempts", &attempts.len(), &18);
    report.check_ok("the UART still works", shell.run("true", SHORT));
    let mapped = Privcmd::open()?.map_resource(DomId(guest.domid), Resource::VUART);
    report.check(
        "the ring is unchanged",
        mapped.is_ok(),
        crate::errno::word(&mapped),
    );
    Ok(())
}

/// Gfn and port, as dom0 reads them.
pub(super) fn private_params(guest: &Guest) -> Result<(u64, u64)> {
    let xen = Privcmd::open()?;
    let domid = DomId(guest.domid);
    Ok((
        xen.hvm_param(domid, HvmParam::VUART_PFN)?,
        xen.hvm_param(domid, HvmParam::VUART_EVTCHN)?,
    ))
}

/// With the parameter's decimal number, as in the documentation.
fn in_decimal(command: &str) -> String {
    [(" 27", " 39"), (" 28", " 40"), (" 29", " 41")]
        .into_iter()
        .fold(command.to_owned(), |text, (hex, decimal)| {
            text.replacen(hex, decimal, 1)
        })
}
