// SPDX-License-Identifier: MIT
//! Bytes, names and restarts: the daemon on the fake host without faults.

use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use vconsoled::config::Overflow;
use xen_io::DomId;
use xen_io::fake::Machine;

const IN_CONS: usize = 3072;

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
fn the_tty_node_is_written_last_and_removed_at_the_end() {
    let machine = Machine::new();
    let (domid, pv, uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, Config::default());
    for console in [PV, VUART] {
        let name = tty(&machine, domid, console).expect("written when the daemon is ready");
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
fn a_tty_node_that_another_process_wrote_stays() {
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
fn a_new_daemon_continues_where_the_old_one_stopped() {
    let machine = Machine::new();
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let (domid, mut pv, mut uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, config.clone());
    uart.send(b"one ");
    pv.send(b"eins ");
    daemon.stop().unwrap();

    // Without a daemon the ring keeps it.
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
    // The log is written some milliseconds after the output.
    for (name, text) in [
        ("guest-guest-vuart0.log", "one two three"),
        ("guest-guest.log", "eins zwei drei"),
    ] {
        wait_for(text, || {
            let log = std::fs::read_to_string(dir.path().join(name)).ok()?;
            (log == text).then_some(())
        });
    }
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
fn unread_output_is_kept_the_newest_64_kib() {
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
    let note = "\r\n[34464 bytes lost]\r\n".as_bytes();
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
    let dir = tempfile::tempdir().unwrap();
    let (config, socket) = with_control(&dir);
    let config = Config {
        overflow: Overflow::Keep,
        ..config
    };
    let _daemon = Daemon::start(&machine, config);
    let sent = noise(100_000);
    let to_send = sent.clone();
    let guest = std::thread::spawn(move || uart.send(&to_send));
    wait_for("a full buffer", || {
        let mut consoles = status(&socket).consoles.into_iter();
        consoles.find(|one| one.console == "vuart0" && one.from_guest >= 65536)
    });
    assert!(!guest.is_finished(), "the guest waits");
    let mut viewer = Viewer::open(&machine, domid, VUART);
    assert!(viewer.read(100_000) == sent);
    guest.join().unwrap();
    drop(pv);
}
