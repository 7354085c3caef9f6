// SPDX-License-Identifier: MIT
//! A host of two guests to try: each has both consoles and a shell on each. The
//! tenant has all rights.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use vconsoled::Config;
use xen_io::fake::Machine;

use crate::Daemon;
use crate::driver::{Pl011Driver, PvDriver};
use crate::guest::System;

const GUESTS: [&str; 2] = ["first", "second"];

/// Serves `control.sock` in the folder until standard input ends.
pub(crate) fn run(folder: &Path, tenant: &str) -> Result<()> {
    let machine = Machine::new();
    let system = System {
        interrupts: <_>::default(),
        off: <_>::default(),
    };
    let mut shells = Vec::new();
    for name in GUESTS {
        shells.extend(guest(&machine, name, &system)?);
    }
    let mut rule = String::new();
    let us = rustix::process::geteuid().as_raw();
    write!(
        rule,
        "[[access]]\ntenants = ['{tenant}']\nby = ['{us}']\ndomains = ['*']\n\
         rights = ['log', 'type', 'break']\n"
    )?;
    let config = Config {
        access: Config::parse(&rule)?.access,
        ..Config::default()
    };
    let daemon = Daemon::with(&machine, &folder.join("control.sock"), config)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    system.off.store(true, Ordering::Relaxed);
    for shell in shells {
        shell.join().map_err(|_| anyhow!("a guest fell over"))?;
    }
    daemon.stop()
}

/// Starts a guest; returns the threads of its shells.
fn guest(machine: &Machine, name: &str, system: &System) -> Result<[JoinHandle<()>; 2]> {
    let domid = machine.create_domain(name)?;
    let hvc = PvDriver::new(machine.add_pv_console(domid)?);
    let vuart = Pl011Driver::probe(
        machine.add_private_vuart(domid)?,
        Arc::clone(&system.interrupts),
    )?;
    machine.introduce(domid);
    let (on_vuart, on_hvc) = (system.clone(), system.clone());
    let greeting = vuart.report.clone();
    Ok([
        thread::spawn(move || on_vuart.shell(vuart, &greeting)),
        thread::spawn(move || on_hvc.shell(hvc, "hvc0: the PV console")),
    ])
}
