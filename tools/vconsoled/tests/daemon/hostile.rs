// SPDX-License-Identifier: MIT
//! Hostile guests, and paths with links: each fault is reported once, and other
//! guests are not affected.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::support::*;
use console_proto::Row;
use terminal::noise;
use vconsoled::Config;
use vpl011::ring::memory::RingMemory;
use xen_io::DomId;
use xen_io::fake::{Frontend, Machine};

const IN_CONS: usize = 3072;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;

/// Invalid values of a node.
fn garbage() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "",
        "-1",
        "+3",
        " 3",
        "3 ",
        "03x",
        "0x3",
        "4294967295",
        "4294967296",
        "99999999999999999999999",
        "three",
        "/",
        "../../0/console",
        "%s%n",
        "\x1b[2J",
        "3\n4",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    values.extend([
        b"\0".to_vec(),
        b"3\0".to_vec(),
        vec![0xff, 0xfe],
        vec![b'9'; 4000],
    ]);
    values
}

/// How long to wait for what may come only after a retry.
const AWHILE: Duration = Duration::from_millis(100);

/// A guest that must not be affected.
struct Bystander {
    pv: PvDriver,
    viewer: Viewer,
}

impl Bystander {
    fn new(machine: &Machine) -> Self {
        let (domid, pv, _) = guest(machine, "calm");
        let viewer = Viewer::open(machine, domid, PV);
        Self { pv, viewer }
    }

    /// Time of a byte from the guest to the viewer.
    fn ping(&mut self) -> Duration {
        let start = Instant::now();
        self.pv.send(b"!");
        assert_eq!(self.viewer.read(1), b"!");
        start.elapsed()
    }
}

/// A secondary console with those backend nodes, in a guest of its own.
fn rogue(machine: &Machine, backend: &[(&str, &str)]) -> (DomId, Frontend) {
    let domid = machine.create_domain("rogue").unwrap();
    let frontend = machine.add_frontend(domid, 1, backend).unwrap();
    machine.introduce(domid);
    (domid, frontend)
}

fn is_connected(frontend: &mut Frontend) -> bool {
    frontend.backend_state().unwrap().as_deref() == Some(b"4")
}

#[test]
fn whatever_a_guest_writes_is_refused_in_one_line() {
    let machine = Machine::new();
    let heard = Heard::default();
    let _daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut bystander = Bystander::new(&machine);
    for node in ["ring-ref", "port", "state"] {
        let (domid, mut frontend) = rogue(&machine, &[]);
        let kept = frontend.connect().unwrap();
        wait_for("its console", || is_connected(&mut frontend).then_some(()));
        frontend.write("state", "6").unwrap();
        wait_for("its end", || (!kept.line.is_connected()).then_some(()));
        // The daemon reads at intervals the value at that time. One of these
        // values is a number: the first fault would then be a missing grant or
        // port, which the next test covers.
        let values = garbage().into_iter();
        for value in values.filter(|value| value != b"4294967295") {
            frontend.write(node, &value).unwrap();
            if node != "state" {
                frontend.write("state", "3").unwrap();
            }
            bystander.ping();
            assert!(!kept.line.is_connected(), "{node}: {value:?}");
        }
        wait_for("a line about it", || {
            (!heard.lines(&format!("domain {domid} pv1")).is_empty()).then_some(())
        });
        // Otherwise the daemon may connect halfway through, and again at the end.
        frontend.write("state", "6").unwrap();
        until_looked_at(&machine);
        let mut driver = PvDriver(frontend.connect().unwrap());
        let mut viewer = Viewer::open(&machine, domid, "device/console/1");
        driver.send(b"sane");
        assert_eq!(viewer.read(4), b"sane");
        let lines = heard.lines(&format!("domain {domid} pv1"));
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].contains(&format!("the guest's {node} of it")),
            "{lines:#?}"
        );
        assert!(lines[0].len() < 200, "{lines:#?}");
    }
}

#[test]
fn grants_and_ports_that_do_not_exist_are_refused_in_one_line() {
    let machine = Machine::new();
    let heard = Heard::default();
    let _daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut bystander = Bystander::new(&machine);
    let (domid, mut frontend) = rogue(&machine, &[]);
    let driver = frontend.connect().unwrap();
    wait_for("its console", || is_connected(&mut frontend).then_some(()));
    let others = bystander.pv.0.line.port();
    for (node, value) in [
        ("ring-ref", 0),
        ("ring-ref", 7),
        ("ring-ref", u32::MAX),
        ("port", 0),
        ("port", others.0),
        ("port", u32::MAX),
    ] {
        frontend.write(node, value.to_string()).unwrap();
        frontend.write("state", "3").unwrap();
        wait_for("the console to be let go", || {
            (!driver.line.is_connected()).then_some(())
        });
        bystander.ping();
    }
    wait_for("unmapped pages", || {
        (machine.mapped_pages(domid) == 0).then_some(())
    });
    let lines = heard.lines("pv1");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let _driver = frontend.connect().unwrap();
    wait_for("its console", || is_connected(&mut frontend).then_some(()));
}

/// The guest changes its state as fast as it can: reads of it are limited.
#[test]
fn a_guest_that_flips_its_state_delays_no_other_guest() {
    let machine = Machine::new();
    let heard = Heard::default();
    let _daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut bystander = Bystander::new(&machine);
    let (_, mut frontend) = rogue(&machine, &[]);
    let _driver = frontend.connect().unwrap();
    wait_for("its console", || is_connected(&mut frontend).then_some(()));
    let usual = |mut delays: Vec<Duration>| {
        delays.sort();
        delays[delays.len() / 2]
    };
    let calm = usual((0..100).map(|_| bystander.ping()).collect());
    let until = Instant::now() + Duration::from_secs(1);
    let flips = std::thread::spawn(move || {
        let mut count = 0;
        for state in ["3", "nonsense", "5", "4", "6", "1"].iter().cycle() {
            frontend.write("state", state).unwrap();
            count += 1;
            if Instant::now() > until {
                return (count, frontend);
            }
        }
        unreachable!("the cycle has no end")
    });
    let mut delays: Vec<Duration> = Vec::new();
    while !flips.is_finished() {
        delays.push(bystander.ping());
    }
    let (count, mut frontend) = flips.join().unwrap();
    let usual = usual(delays);
    // The load of a busy machine affects both measurements.
    assert!(
        usual < Duration::from_millis(50) + 4 * calm,
        "{usual:?} after {count} flips, {calm:?} before"
    );
    // Whether it was read while it was invalid is chance, except here.
    frontend.write("state", "nonsense").unwrap();
    wait_for("a complaint", || heard.lines("pv1").pop());
    let lines = heard.lines("pv1");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let _driver = frontend.connect().unwrap();
    wait_for("its console", || is_connected(&mut frontend).then_some(()));
}

#[test]
fn guests_that_vanish_at_each_step_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let machine = Machine::new();
    let daemon = Daemon::start(&machine, Config::default());
    let mut bystander = Bystander::new(&machine);
    for step in 0..7 {
        for killed in [false, true] {
            let path = root.join(format!("{step}-{killed}"));
            let backend = [("connection", "socket"), ("path", path.to_str().unwrap())];
            let (domid, mut frontend) = rogue(&machine, &backend);
            let served = || wait_for("the socket", || path.exists().then_some(()));
            let mut kept = None;
            match step {
                0 => {}
                1 => served(),
                2 => drop(frontend.connect().unwrap()),
                3 => {
                    kept = Some(PvDriver(frontend.connect().unwrap()));
                    wait_for("its console", || is_connected(&mut frontend).then_some(()));
                }
                4 => {
                    let client = wait_for("the socket", || UnixStream::connect(&path).ok());
                    let mut driver = PvDriver(frontend.connect().unwrap());
                    driver.send(&noise(10_000));
                    drop(client);
                    driver.0.line.notify();
                }
                5 => {
                    kept = Some(PvDriver(frontend.connect().unwrap()));
                    frontend.remove("").unwrap();
                }
                _ => {
                    served();
                    let mut store = machine.toolstack().unwrap();
                    store.remove(&frontend.backend_path()).unwrap();
                }
            }
            if killed {
                machine.kill(domid);
            } else {
                machine.destroy(domid).unwrap();
            }
            wait_for("unmapped pages", || {
                (machine.mapped_pages(domid) == 0).then_some(())
            });
            bystander.ping();
            wait_for("no socket", || (!path.exists()).then_some(()));
            assert_eq!(
                machine.mapped_pages(domid),
                0,
                "step {step}, killed: {killed}"
            );
            drop(kept);
        }
    }
    daemon.stop().unwrap();
}

#[test]
fn a_link_in_place_of_a_socket_is_refused_in_one_line_until_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (path, target) = (root.join("agent.sock"), root.join("target"));
    symlink(&target, &path).unwrap();
    let machine = Machine::new();
    let heard = Heard::default();
    let _daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut bystander = Bystander::new(&machine);
    let backend = [("connection", "socket"), ("path", path.to_str().unwrap())];
    let (_, mut frontend) = rogue(&machine, &backend);
    let mut driver = PvDriver(frontend.connect().unwrap());
    // Long enough for a retry; on a busy machine there may be none, and then less
    // is asserted.
    std::thread::sleep(Duration::from_millis(400));
    bystander.ping();
    assert!(!target.exists() && !driver.0.line.is_connected());
    let lines = heard.lines("pv1");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("symbolic link"), "{lines:#?}");

    std::fs::remove_file(&path).unwrap();
    driver.send(b"at last");
    let mut client = wait_for("the socket", || UnixStream::connect(&path).ok());
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 7];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"at last");
}

#[test]
fn two_channels_do_not_share_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("agent.sock");
    let machine = Machine::new();
    let heard = Heard::default();
    let _daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let backend = [("connection", "socket"), ("path", path.to_str().unwrap())];
    let (first, mut one) = rogue(&machine, &backend);
    let _one = one.connect().unwrap();
    wait_for("its console", || is_connected(&mut one).then_some(()));
    let (_, mut two) = rogue(&machine, &backend);
    let mut driver = PvDriver(two.connect().unwrap());
    wait_for("a line", || {
        (!heard.lines("another channel has it").is_empty()).then_some(())
    });
    machine.destroy(first).unwrap();
    driver.send(b"mine");
    wait_for("its console", || is_connected(&mut two).then_some(()));
    let mut client = UnixStream::connect(&path).unwrap();
    let mut bytes = [0; 4];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"mine");
}

/// Every node of the toolstack, each with every invalid value: nothing ends, and
/// after a correction the console is served again.
#[test]
fn garbage_in_any_node_of_the_toolstack_affects_no_other_guest() {
    let machine = Machine::new();
    let heard = Heard::default();
    let daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut bystander = Bystander::new(&machine);
    let (domid, mut pv, _) = guest(&machine, "victim");
    let vuart = PvDriver(machine.add_stock_vuart(domid).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("agent.sock");
    let backend = [
        ("name", "agent"),
        ("connection", "socket"),
        ("path", path.to_str().unwrap()),
    ];
    let mut frontend = machine.add_frontend(domid, 1, &backend).unwrap();
    let mut second = PvDriver(frontend.connect().unwrap());
    wait_for("its console", || is_connected(&mut frontend).then_some(()));

    let mut store = machine.toolstack().unwrap();
    let domain = format!("/local/domain/{domid}");
    let back = frontend.backend_path();
    let nodes = [
        format!("{domain}/name"),
        format!("{domain}/console/type"),
        format!("{domain}/console/ring-ref"),
        format!("{domain}/console/port"),
        format!("{domain}/console/limit"),
        format!("{domain}/vuart/0/type"),
        format!("{domain}/vuart/0/ring-ref"),
        format!("{domain}/vuart/0/port"),
        format!("{domain}/vuart/0/limit"),
        format!("{back}/type"),
        format!("{back}/connection"),
        format!("{back}/path"),
        format!("{back}/name"),
        format!("{back}/online"),
        format!("{back}/state"),
    ];
    for node in &nodes {
        let right = store.read(node).unwrap().unwrap();
        for value in garbage() {
            store.write(node, &value).unwrap();
            bystander.ping();
        }
        store.remove(node).unwrap();
        bystander.ping();
        store.write(node, right).unwrap();
    }
    pv.send(b"pv again");
    assert_eq!(Viewer::open(&machine, domid, PV).read(8), b"pv again");
    wait_for("its vuart", || vuart.0.line.is_connected().then_some(()));
    // The last read of the node may still be pending, and the one before may have
    // found no channel: what is sent until then goes to a pty, and the socket
    // closes.
    let mut said = [0];
    wait_for("the channel", || {
        let mut client = UnixStream::connect(&path).ok()?;
        client.set_read_timeout(Some(AWHILE)).unwrap();
        second.send(b"!");
        client.read_exact(&mut said).ok()
    });
    assert_eq!(&said, b"!");
    let most = nodes.len() * garbage().len();
    let lines = heard.lines(&format!("domain {domid}")).len();
    assert!(lines <= most, "{lines} lines about {most} values");
    daemon.stop().unwrap();
}

/// With and without a client on the socket.
#[test]
fn a_channel_with_invalid_indices_is_corrected_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let path = root.join("agent.sock");
    let machine = Machine::new();
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let mut bystander = Bystander::new(&machine);
    let backend = [("connection", "socket"), ("path", path.to_str().unwrap())];
    let (domid, mut frontend) = rogue(&machine, &backend);
    let mut driver = PvDriver(frontend.connect().unwrap());
    wait_for("its console", || is_connected(&mut frontend).then_some(()));
    let resyncs = || {
        let served = status(&socket).consoles;
        let of = |one: &&Row| one.domid == domid.0 && one.console == "pv1";
        served.iter().find(of).unwrap().resyncs
    };
    let mut client = None;
    let mut wanted = 0;
    for jump in [2049, 0x8000_0000, u32::MAX - 5000] {
        let prod = driver.index(OUT_CONS).wrapping_add(jump);
        driver.0.page.store_u32(OUT_PROD, prod);
        driver.0.line.notify();
        wanted += 1;
        wait_for("a resynchronisation", || {
            (resyncs() == wanted).then_some(())
        });
        bystander.ping();
        client = client.or_else(|| Some(UnixStream::connect(&path).unwrap()));
    }
    let mut client = client.unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    driver.0.page.store_u32(IN_CONS, 0x7777_0000);
    client.write_all(b"x").unwrap();
    wait_for("a resynchronisation", || {
        (resyncs() == wanted + 1).then_some(())
    });
    driver.send(b"sane again");
    let mut bytes = [0; 10];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"sane again");
    bystander.ping();
}
