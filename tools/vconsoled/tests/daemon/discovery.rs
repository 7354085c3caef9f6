// SPDX-License-Identifier: MIT
//! A connection to xenstore that fails.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use crate::support::*;
use vconsoled::Config;
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::Client;

/// A guest that came before goes, and one that comes is served.
fn is_followed(machine: &Machine, before: DomId) {
    machine.destroy(before).unwrap();
    wait_for("the page of the one that went", || {
        (machine.mapped_pages(before) == 0).then_some(())
    });
    let (domid, mut pv, _uart) = guest(machine, "later");
    let mut viewer = Viewer::open(machine, domid, PV);
    pv.send(b"said");
    assert_eq!(viewer.read(4), b"said");
}

#[test]
fn a_connection_that_is_closed_is_replaced() {
    let machine = Machine::new();
    let (domid, ..) = guest(&machine, "before");
    let stream = machine.store().connect(DomId::DOM0).unwrap();
    let cut = stream.try_clone().unwrap();
    let mut platform = machine.platform().unwrap();
    platform.store = Client::from_stream(stream).unwrap();
    let heard = Heard::default();
    let _daemon = Daemon::start_on(platform, Config::default(), &heard);
    cut.shutdown(Shutdown::Both).unwrap();
    wait_for("another one", || heard.lines("connected again").pop());
    is_followed(&machine, domid);
}

#[test]
fn an_answer_that_is_late_costs_nothing_even_if_there_is_no_other_connection() {
    let machine = Machine::new();
    let (domid, ..) = guest(&machine, "before");
    let mut platform = machine.platform().unwrap();
    platform.reopen_store = Box::new(|| Err(ErrorKind::PermissionDenied.into()));
    let heard = Heard::default();
    let _daemon = Daemon::start_on(platform, Config::default(), &heard);
    let (second, ..) = guest(&machine, "asked");
    let stopped = machine.store().stop();
    // It gives up after ten seconds.
    wait_for("the complaint", || heard.lines("connecting again").pop());
    std::thread::sleep(Duration::from_millis(200));
    drop(stopped);
    wait_for("another try", || heard.lines("connected again").pop());
    is_followed(&machine, domid);
    is_followed(&machine, second);
}
