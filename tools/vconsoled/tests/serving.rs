// SPDX-License-Identifier: MIT
//! The daemon on the fake host: bytes, names, logs, and what goes wrong.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use support::*;
use vconsoled::Config;
use vconsoled::console::Overflow;
use vconsoled::log::Style;
use vpl011::ring::memory::RingMemory;
use xen_io::DomId;
use xen_io::fake::Machine;

const PV: &str = "console";
const VUART: &str = "vuart/0";
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const IN_CONS: usize = 3072;

/// A domain with a PV console and a private vuart, made known.
fn guest(machine: &Machine, name: &str) -> (DomId, PvDriver, UartDriver) {
    let domid = machine.create_domain(name).unwrap();
    let pv = PvDriver(machine.add_pv_console(domid).unwrap());
    let uart = UartDriver::new(machine.add_private_vuart(domid).unwrap());
    machine.introduce(domid);
    (domid, pv, uart)
}

fn with_control(dir: &tempfile::TempDir) -> (Config, PathBuf) {
    let socket = dir.path().join("run/control.sock");
    (
        Config {
            control: Some(socket.clone()),
            ..Config::default()
        },
        socket,
    )
}

/// 64 KiB each way at once, compared byte by byte.
fn both_ways(
    machine: &Machine,
    domid: DomId,
    console: &str,
    mut serial: impl Serial + Send + 'static,
) {
    let mut viewer = Viewer::open(machine, domid, console);
    let sent = noise(65536);
    let typed: Vec<u8> = sent.iter().map(|byte| !byte).collect();
    let expected = typed.clone();
    let to_send = sent.clone();
    let guest = std::thread::spawn(move || {
        serial.send(&to_send);
        assert!(
            serial.receive(65536) == expected,
            "what was typed came altered"
        );
    });
    assert!(viewer.read(65536) == sent, "what was sent came altered");
    viewer.write(&typed);
    guest.join().unwrap();
}

#[test]
fn a_pv_console_carries_64_kib_each_way() {
    let machine = Machine::new();
    let (domid, pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, Config::default());
    both_ways(&machine, domid, PV, pv);
}

#[test]
fn a_private_vuart_carries_64_kib_each_way() {
    let machine = Machine::new();
    let (domid, _, uart) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, Config::default());
    both_ways(&machine, domid, VUART, uart);
}

#[test]
fn a_stock_vuart_carries_64_kib_each_way() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let vuart = PvDriver(machine.add_stock_vuart(domid).unwrap());
    machine.introduce(domid);
    let _daemon = Daemon::start(&machine, Config::default());
    both_ways(&machine, domid, VUART, vuart);
}

#[test]
fn a_private_ring_needs_few_doorbells() {
    let machine = Machine::new();
    let (domid, _, mut uart) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, Config::default());
    let mut viewer = Viewer::open(&machine, domid, VUART);
    let before = uart.line().sent();
    uart.send(&noise(65536));
    viewer.read(65536);
    let rung = uart.line().sent() - before;
    assert!(rung <= 6554, "{rung} doorbells for 65536 bytes");
}

#[test]
fn domains_are_served_whenever_they_come() {
    let machine = Machine::new();
    let (first, mut pv, _) = guest(&machine, "first");
    let _daemon = Daemon::start(&machine, Config::default());
    let (second, _, mut uart) = guest(&machine, "second");
    pv.send(b"one");
    uart.send(b"two");
    assert_eq!(Viewer::open(&machine, first, PV).read(3), b"one");
    assert_eq!(Viewer::open(&machine, second, VUART).read(3), b"two");
}

#[test]
fn a_console_that_is_described_late_is_served() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    machine.introduce(domid);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut uart = UartDriver::new(machine.add_private_vuart(domid).unwrap());
    uart.send(b"late");
    assert_eq!(Viewer::open(&machine, domid, VUART).read(4), b"late");
}

#[test]
fn the_tty_is_told_last_and_taken_back_at_the_end() {
    let machine = Machine::new();
    let (domid, pv, uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, Config::default());
    for console in [PV, VUART] {
        let name = tty(&machine, domid, console).expect("told when the daemon is ready");
        assert!(name.starts_with("/dev/pts/"));
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&name).unwrap().permissions(),
        );
        assert_eq!(mode & 0o077, 0, "{name} is for root alone");
    }
    assert!(pv.0.line.is_connected() && uart.line().is_connected());
    assert_eq!(machine.mapped_pages(domid), 2);

    daemon.stop().unwrap();
    for console in [PV, VUART] {
        assert_eq!(tty(&machine, domid, console), None);
    }
    assert!(!pv.0.line.is_connected() && !uart.line().is_connected());
    assert_eq!(machine.mapped_pages(domid), 0);
}

#[test]
fn a_tty_that_somebody_else_told_stays() {
    let machine = Machine::new();
    let (domid, _, _) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, Config::default());
    machine
        .toolstack()
        .unwrap()
        .write(&tty_path(domid, PV), "/dev/pts/other")
        .unwrap();
    daemon.stop().unwrap();
    assert_eq!(tty(&machine, domid, PV).as_deref(), Some("/dev/pts/other"));
}

#[test]
fn a_new_daemon_goes_on_where_the_old_one_stopped() {
    let machine = Machine::new();
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        log_dir: Some(dir.path().to_owned()),
        ..Config::default()
    };
    let (domid, mut pv, mut uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, config.clone());
    uart.send(b"one ");
    pv.send(b"eins ");
    daemon.stop().unwrap();

    // Nobody is there: the ring keeps it.
    uart.send(b"two ");
    pv.send(b"zwei ");

    let _daemon = Daemon::start(&machine, config);
    uart.send(b"three");
    pv.send(b"drei");
    let mut viewer = Viewer::open(&machine, domid, VUART);
    assert_eq!(viewer.read(9), b"two three");
    let mut other = Viewer::open(&machine, domid, PV);
    assert_eq!(other.read(9), b"zwei drei");
    viewer.write(b"typed");
    assert_eq!(uart.receive(5), b"typed");
    let log = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(log("guest-guest-vuart0.log"), "one two three");
    assert_eq!(log("guest-guest.log"), "eins zwei drei");
}

#[test]
fn input_waits_for_the_guest_and_none_is_lost() {
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, Config::default());
    let mut viewer = Viewer::open(&machine, domid, PV);
    // More than the ring holds, while the guest does not read.
    let typed = noise(3000);
    viewer.write(&typed);
    wait_for("a full ring", || {
        (pv.index(3076).wrapping_sub(pv.index(IN_CONS)) == 1024).then_some(())
    });
    assert_eq!(pv.receive(3000), typed);
}

#[test]
fn output_that_nobody_sees_is_kept_up_to_64_kib_and_the_newest_at_that() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let sent = noise(100_000);
    pv.send(&sent);
    let console = wait_for("all of it taken", || {
        let status = status(&socket);
        status
            .consoles
            .into_iter()
            .find(|one| one.console == "pv0" && one.from_guest == 100_000)
    });
    assert_eq!(console.dropped, 100_000 - 65536);
    assert_eq!(console.viewers, 0);
    let mut viewer = Viewer::open(&machine, domid, PV);
    let note = "\r\n[vconsoled: 34464 bytes dropped]\r\n".as_bytes();
    assert_eq!(
        viewer.read(note.len() + 65536),
        [note, &sent[34464..]].concat()
    );
}

#[test]
fn a_slow_viewer_does_not_hold_up_the_guest() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let mut viewer = Viewer::open(&machine, domid, PV);
    let sent = noise(500_000);
    // Within the toolstack's limit of 1 MiB nothing is dropped.
    pv.send(&sent);
    wait_for("all of it taken", || {
        status(&socket)
            .consoles
            .iter()
            .any(|one| one.from_guest == 500_000)
            .then_some(())
    });
    assert!(viewer.read(500_000) == sent);
}

#[test]
fn output_can_be_kept_instead() {
    let machine = Machine::new();
    let (domid, pv, mut uart) = guest(&machine, "guest");
    let config = Config {
        overflow: Overflow::Keep,
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    let sent = noise(100_000);
    let to_send = sent.clone();
    let guest = std::thread::spawn(move || uart.send(&to_send));
    std::thread::sleep(Duration::from_millis(200));
    assert!(!guest.is_finished(), "the guest waits");
    let mut viewer = Viewer::open(&machine, domid, VUART);
    assert!(viewer.read(100_000) == sent);
    guest.join().unwrap();
    drop(pv);
}

#[test]
fn a_ring_with_wild_indices_is_set_right_and_harms_nobody() {
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
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(tty(&machine, domid, PV), None, "port {garbage:?}");
    }
    store.write(&path("port"), [0xff, 0xfe]).unwrap();
    store.write(&path("ring-ref"), "one").unwrap();
    store.write(&path("port"), &port).unwrap();
    std::thread::sleep(Duration::from_millis(5));
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
fn a_port_that_is_taken_is_had_when_it_is_free() {
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
    // The toolstack wrote an empty name; viewers hold on to the old one.
    assert!(std::fs::metadata(before).is_ok());
}

#[test]
fn a_domain_leaves_nothing_behind_however_it_goes() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine, Config::default());
    for (at, destroy) in [true, false, true, false].into_iter().enumerate() {
        let (domid, mut pv, mut uart) = guest(&machine, "guest");
        if at >= 2 {
            // Let it be served first; otherwise it goes while it comes.
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
        std::thread::sleep(Duration::from_millis(50));
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

#[test]
fn logs_are_named_as_people_expect() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let machine = Machine::new();
    let (_, mut pv, mut uart) = guest(&machine, "web");
    let (evil, mut evil_pv, _) = guest(&machine, "../outside");
    let config = Config {
        log_dir: Some(logs.clone()),
        log_style: Style {
            timestamps: false,
            replace_escape: true,
        },
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    pv.send(b"pv \x1b[0m\n");
    uart.send(b"uart\n");
    evil_pv.send(b"evil\n");
    daemon.stop().unwrap();
    let read = |name: &str| std::fs::read_to_string(logs.join(name)).unwrap();
    assert_eq!(read("guest-web.log"), "pv .[0m\n");
    assert_eq!(read("guest-web-vuart0.log"), "uart\n");
    assert_eq!(read(&format!("guest-dom{evil}.log")), "evil\n");
    assert!(!outside.exists());
}

#[test]
fn logs_start_anew_when_they_were_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log_dir: Some(dir.path().to_owned()),
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    let path = dir.path().join("guest-guest.log");
    pv.send(b"before");
    wait_for("the log", || {
        (std::fs::read(&path).unwrap() == b"before").then_some(())
    });
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    daemon.handle.reopen_logs();
    wait_for("a new log", || path.exists().then_some(()));
    pv.send(b"after");
    wait_for("the log", || {
        (std::fs::read(&path).unwrap() == b"after").then_some(())
    });
}

#[test]
fn a_log_that_cannot_be_opened_costs_only_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    std::os::unix::fs::symlink(&target, dir.path().join("guest-guest.log")).unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log_dir: Some(dir.path().to_owned()),
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    pv.send(b"served");
    assert_eq!(Viewer::open(&machine, domid, PV).read(6), b"served");
    assert!(!target.exists(), "the link was not followed");
}

#[test]
fn the_status_tells_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let broken = machine.create_domain("broken").unwrap();
    let _pv = machine.add_pv_console(broken).unwrap();
    let path = format!("/local/domain/{broken}/console/port");
    machine.toolstack().unwrap().write(&path, "99999").unwrap();
    machine.introduce(broken);
    let (config, socket) = with_control(&dir);
    let daemon = Daemon::start(&machine, config);
    let mut viewer = Viewer::open(&machine, domid, PV);
    pv.send(b"four");
    viewer.read(4);
    viewer.write(b"to");
    pv.receive(2);
    let status = status(&socket);
    assert_eq!((status.version, status.pid), (1, std::process::id()));
    let names: Vec<_> = status
        .consoles
        .iter()
        .map(|one| (one.domid, one.console.as_str(), one.kind.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            (1, "pv0", "pv"),
            (1, "vuart0", "vuart-private"),
            (2, "pv0", "")
        ]
    );
    let one = &status.consoles[0];
    assert_eq!(
        (one.name.as_str(), one.state.as_str()),
        ("guest", "connected")
    );
    assert_eq!((one.from_guest, one.to_guest, one.viewers), (4, 2, 1));
    assert!(one.doorbells_in > 0 && one.doorbells_out > 0);
    assert_eq!(Some(&one.tty), tty(&machine, domid, PV).as_ref());
    assert!(
        status.consoles[2].state.contains("port 99999"),
        "{}",
        status.consoles[2].state
    );
    drop(viewer);
    wait_for("the viewer's end", || {
        (support::status(&socket).consoles[0].viewers == 0).then_some(())
    });
    daemon.stop().unwrap();
    assert!(!socket.exists());
}

#[test]
fn the_control_socket_withstands_its_clients() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config.clone());
    let idle: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let mut endless = UnixStream::connect(&socket).unwrap();
    let _cut_off = endless.write_all(&vec![b'x'; 100_000]);
    let mut wrong = UnixStream::connect(&socket).unwrap();
    wrong.write_all(b"what\n").unwrap();
    let mut answer = String::new();
    wrong.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "{\"error\":\"unknown request\"}\n");
    assert_eq!(status(&socket).consoles.len(), 0);
    drop(idle);

    let second = vconsoled::Server::new(machine.platform().unwrap(), config);
    assert_eq!(second.err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_socket_left_by_a_dead_daemon_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (config, socket) = with_control(&dir);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let _daemon = Daemon::start(&machine, config.clone());
    assert_eq!(status(&socket).version, 1);
    let in_the_way = dir.path().join("file");
    std::fs::write(&in_the_way, "precious").unwrap();
    let config = Config {
        control: Some(in_the_way.clone()),
        ..config
    };
    assert!(vconsoled::Server::new(machine.platform().unwrap(), config).is_err());
    assert_eq!(std::fs::read(in_the_way).unwrap(), b"precious");
}
