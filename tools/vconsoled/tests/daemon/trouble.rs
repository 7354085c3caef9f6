// SPDX-License-Identifier: MIT
//! Faults of guests, toolstacks and other daemons.

use std::time::Duration;

use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use vpl011::ring::memory::RingMemory;
use xen_io::fake::Machine;

const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const IN_CONS: usize = 3072;

#[test]
fn a_ring_with_invalid_indices_is_corrected_and_affects_no_other_guest() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "wild");
    let (other, mut calm, _) = guest(&machine, "calm");
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let resyncs = |socket| {
        let status = status(socket);
        status
            .consoles
            .iter()
            .find(|one| one.domid == domid.0 && one.console == "pv0")
            .unwrap()
            .resyncs
    };
    for (at, jump) in [(1, 2049), (2, 0x8000_0000), (3, u32::MAX - 5000)] {
        let prod = pv.index(OUT_CONS).wrapping_add(jump);
        pv.0.page.store_u32(OUT_PROD, prod);
        pv.0.line.notify();
        wait_for("a resynchronisation", || {
            (resyncs(&socket) == at).then_some(())
        });
        assert_eq!(pv.index(OUT_CONS), prod);
    }
    pv.0.page.store_u32(IN_CONS, 0x7777_0000);
    let mut viewer = Viewer::open(&machine, domid, PV);
    viewer.write(b"x");
    wait_for("a resynchronisation", || {
        (resyncs(&socket) == 4).then_some(())
    });

    pv.send(b"sane again");
    assert_eq!(viewer.read(10), b"sane again");
    calm.send(b"calm");
    assert_eq!(Viewer::open(&machine, other, PV).read(4), b"calm");
}

#[test]
fn events_without_bytes_do_not_keep_the_daemon_busy() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let stop = std::time::Instant::now() + Duration::from_millis(500);
    while std::time::Instant::now() < stop {
        pv.0.line.notify();
    }
    let taken = status(&socket)
        .consoles
        .iter()
        .map(|one| one.doorbells_in)
        .max()
        .unwrap();
    assert!(
        taken < 200,
        "{taken} notifications were looked at in half a second"
    );
    pv.send(b"still here");
    assert_eq!(Viewer::open(&machine, domid, PV).read(10), b"still here");
}

#[test]
fn garbage_in_xenstore_is_nothing_to_serve_until_it_is_right() {
    let machine = Machine::new();
    let (calm, mut calm_pv, _) = guest(&machine, "calm");
    let domid = machine.create_domain("guest").unwrap();
    let mut pv = PvDriver(machine.add_pv_console(domid).unwrap());
    let mut store = machine.toolstack().unwrap();
    let path = |node: &str| format!("/local/domain/{domid}/console/{node}");
    let right = |node: &str| {
        String::from_utf8(
            machine
                .toolstack()
                .unwrap()
                .read(&path(node))
                .unwrap()
                .unwrap(),
        )
        .unwrap()
    };
    let (port, gfn) = (right("port"), right("ring-ref"));
    store.write(&path("port"), "garbage").unwrap();
    machine.introduce(domid);
    let daemon = Daemon::start(&machine, Config::default());

    let long = "9".repeat(4000);
    for garbage in [
        "",
        "-1",
        "99999999999999999999",
        "12 34",
        "0x10",
        "4294967295",
        "0",
        "\u{fffd}",
        &long,
    ] {
        store.write(&path("port"), garbage).unwrap();
        until_looked_at(&machine);
        assert_eq!(tty(&machine, domid, PV), None, "port {garbage:?}");
    }
    store.write(&path("port"), [0xff, 0xfe]).unwrap();
    store.write(&path("ring-ref"), "one").unwrap();
    // A reader that reads one node before both writes and the other after them
    // gets two valid values.
    until_looked_at(&machine);
    store.write(&path("port"), &port).unwrap();
    until_looked_at(&machine);
    assert_eq!(tty(&machine, domid, PV), None);

    store.write(&path("ring-ref"), &gfn).unwrap();
    pv.send(b"at last");
    assert_eq!(Viewer::open(&machine, domid, PV).read(7), b"at last");
    calm_pv.send(b"calm");
    assert_eq!(Viewer::open(&machine, calm, PV).read(4), b"calm");
    daemon.stop().unwrap();
}

#[test]
fn consoles_of_other_backends_are_left_alone() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let pv = machine.add_pv_console(domid).unwrap();
    let vuart = machine.add_stock_vuart(domid).unwrap();
    let mut store = machine.toolstack().unwrap();
    store
        .write(&format!("/local/domain/{domid}/console/type"), "ioemu")
        .unwrap();
    store
        .write(&format!("/local/domain/{domid}/vuart/0/type"), "something")
        .unwrap();
    machine.introduce(domid);
    let _daemon = Daemon::start(&machine, Config::default());
    assert!(!pv.line.is_connected() && !vuart.line.is_connected());
    assert_eq!(
        (tty(&machine, domid, PV), tty(&machine, domid, VUART)),
        (None, None)
    );
}

#[test]
fn a_port_in_use_is_bound_when_it_is_free() {
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let mut other = machine.platform().unwrap();
    other
        .events
        .bind_interdomain(domid, pv.0.line.port())
        .unwrap();
    let _daemon = Daemon::start(&machine, Config::default());
    assert_eq!(tty(&machine, domid, PV), None);
    drop(other);
    pv.send(b"free");
    assert_eq!(Viewer::open(&machine, domid, PV).read(4), b"free");
}

#[test]
fn a_ring_that_moves_is_followed_by_the_same_pty() {
    let machine = Machine::new();
    let (domid, _old, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, Config::default());
    let before = wait_for("a tty", || tty(&machine, domid, PV));
    let mut viewer = Viewer::open(&machine, domid, PV);
    let mut new = PvDriver(machine.add_pv_console(domid).unwrap());
    wait_for("the new port", || new.0.line.is_connected().then_some(()));
    new.send(b"moved");
    assert_eq!(viewer.read(5), b"moved");
    // The toolstack wrote an empty name; viewers keep the old pty open.
    assert!(std::fs::metadata(before).is_ok());
}

#[test]
fn a_domain_leaves_nothing_behind_however_it_goes() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine, Config::default());
    for (at, destroy) in [true, false, true, false].into_iter().enumerate() {
        let (domid, mut pv, mut uart) = guest(&machine, "guest");
        if at >= 2 {
            // It must be served first; otherwise it goes while it comes.
            wait_for("a tty", || tty(&machine, domid, VUART));
            pv.send(b"x");
            uart.send(b"y");
        }
        if destroy {
            machine.destroy(domid).unwrap();
        } else {
            machine.kill(domid);
        }
        wait_for("unmapped pages", || {
            (machine.mapped_pages(domid) == 0).then_some(())
        });
        until_looked_at(&machine);
        assert_eq!(machine.mapped_pages(domid), 0);
        assert!(!machine.is_zombie(domid));
        let mut store = machine.toolstack().unwrap();
        if destroy {
            assert_eq!(
                store.read(&format!("/local/domain/{domid}")).unwrap(),
                None,
                "no orphan"
            );
        } else {
            assert_eq!(tty(&machine, domid, VUART), None);
        }
    }
    daemon.stop().unwrap();
}

#[test]
fn many_domains_come_and_go_under_load() {
    let machine = Machine::new();
    let (steady, mut pv, _) = guest(&machine, "steady");
    let daemon = Daemon::start(&machine, Config::default());
    let mut viewer = Viewer::open(&machine, steady, PV);
    let sent = noise(200_000);
    let to_send = sent.clone();
    let sender = std::thread::spawn(move || to_send.chunks(1000).for_each(|chunk| pv.send(chunk)));
    for round in 0..30 {
        let (domid, mut pv, _uart) = guest(&machine, "brief");
        pv.send(b"short");
        if round % 2 == 0 {
            machine.kill(domid);
        } else {
            machine.destroy(domid).unwrap();
        }
    }
    assert!(viewer.read(200_000) == sent);
    sender.join().unwrap();
    daemon.stop().unwrap();
}
