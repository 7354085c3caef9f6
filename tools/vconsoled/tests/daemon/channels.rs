// SPDX-License-Identifier: MIT
//! Secondary consoles and channels: a socket or a pty for each, served without a
//! device model, for any behaviour of the guest's driver.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use xen_io::DomId;
use xen_io::fake::{Frontend, Machine};
use xen_io::xenstore::{Access, Permission};

const OUT_PROD: usize = 3084;
const OUT_CONS: usize = 3080;

/// States of an end (Xen public/io/xenbus.h).
const INITIALISING: &str = "1";
const INIT_WAIT: &str = "2";
const CONNECTED: &str = "4";
const CLOSING: &str = "5";
const CLOSED: &str = "6";

const SECOND: &str = "device/console/1";

/// A guest with a channel on a socket; the guest's driver has not started.
struct Channelled {
    domid: DomId,
    frontend: Frontend,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Channelled {
    fn new(machine: &Machine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("agent.sock");
        let domid = machine.create_domain("guest").unwrap();
        let frontend = add(machine, domid, 1, &path);
        machine.introduce(domid);
        Self {
            domid,
            frontend,
            path,
            _dir: dir,
        }
    }

    /// Starts the guest's driver.
    fn start(&mut self) -> PvDriver {
        let driver = PvDriver(self.frontend.connect().unwrap());
        self.awaits(CONNECTED);
        self.frontend.write("state", CONNECTED).unwrap();
        driver
    }

    fn awaits(&mut self, state: &str) {
        awaits(&mut self.frontend, state);
    }

    fn client(&self) -> UnixStream {
        client(&self.path)
    }
}

fn add(machine: &Machine, domid: DomId, devid: u32, path: &Path) -> Frontend {
    let path = path.to_str().unwrap();
    let backend = [
        ("name", "org.example.agent.0"),
        ("connection", "socket"),
        ("path", path),
    ];
    machine.add_frontend(domid, devid, &backend).unwrap()
}

fn awaits(frontend: &mut Frontend, state: &str) {
    wait_for(&format!("backend state {state}"), || {
        (frontend.backend_state().unwrap().as_deref() == Some(state.as_bytes())).then_some(())
    });
}

fn client(path: &Path) -> UnixStream {
    let stream = wait_for("the socket", || UnixStream::connect(path).ok());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether the far end closes the stream without sending anything.
fn is_refused(mut stream: UnixStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_channel_carries_every_byte_both_ways() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut client = guest.client();
    let mut driver = guest.start();
    let (from_guest, to_guest) = (noise(200_000), noise(150_000));

    let mut writer = client.try_clone().unwrap();
    let to_write = to_guest.clone();
    let writing = std::thread::spawn(move || writer.write_all(&to_write).unwrap());
    let reading = std::thread::spawn(move || (read(&mut client, 200_000), client));
    for (out, into) in from_guest.chunks(4000).zip(to_guest.chunks(3000)) {
        driver.send(out);
        assert!(driver.receive(into.len()) == into);
    }
    writing.join().unwrap();
    assert!(reading.join().unwrap().0 == from_guest);
}

#[test]
fn the_socket_is_there_before_the_guest_is_and_for_its_owner_alone() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let daemon = Daemon::start(&machine, Config::default());
    let metadata = std::fs::symlink_metadata(&guest.path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    guest.awaits(INIT_WAIT);

    let mut client = guest.client();
    client.write_all(b"early").unwrap();
    let mut driver = guest.start();
    assert_eq!(driver.receive(5), b"early");
    daemon.stop().unwrap();
    assert!(!guest.path.exists());
}

#[test]
fn one_client_at_a_time() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut driver = guest.start();
    let mut first = guest.client();
    driver.send(b"one");
    assert_eq!(read(&mut first, 3), b"one");
    for _ in 0..3 {
        assert!(is_refused(guest.client()));
    }
    // A client that shuts down only its sending side still receives.
    first.shutdown(std::net::Shutdown::Write).unwrap();
    driver.send(b"two");
    assert_eq!(read(&mut first, 3), b"two");
    assert!(is_refused(guest.client()));

    drop(first);
    let mut second = guest.client();
    driver.send(b"three");
    assert_eq!(read(&mut second, 5), b"three");
}

#[test]
fn output_waits_for_a_client_and_none_is_dropped() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut driver = guest.start();
    let sent = noise(1 << 20);
    driver.send(&sent[..2048]);
    // Without a client the ring keeps it.
    driver.0.line.notify();
    until_looked_at(&machine);
    assert_eq!(
        driver.index(OUT_PROD).wrapping_sub(driver.index(OUT_CONS)),
        2048
    );

    let mut client = guest.client();
    let rest = sent[2048..].to_vec();
    let sending = std::thread::spawn(move || {
        driver.send(&rest);
        driver
    });
    // A slow client, or one that reconnects, loses nothing either.
    let mut got = Vec::new();
    while got.len() < 300_000 {
        got.extend(read(&mut client, 10_000));
        std::thread::sleep(Duration::from_millis(1));
    }
    got.extend(read(&mut client, sent.len() - got.len()));
    assert!(got == sent);
    drop(sending.join().unwrap());
}

#[test]
fn input_is_taken_while_output_waits() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut driver = guest.start();
    let mut client = guest.client();
    // The client reads nothing: its stream fills, then the ring.
    let mut rounds = 0;
    while driver.index(OUT_PROD).wrapping_sub(driver.index(OUT_CONS)) < 2048 {
        rounds += 1;
        assert!(rounds < 10_000, "the stream takes everything");
        let room = 2048 - driver.index(OUT_PROD).wrapping_sub(driver.index(OUT_CONS));
        driver.send(&vec![b'x'; room as usize]);
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = noise(20_000);
    let to_write = sent.clone();
    let writing = std::thread::spawn(move || client.write_all(&to_write).map(|()| client));
    assert!(driver.receive(sent.len()) == sent);
    writing.join().unwrap().unwrap();
}

#[test]
fn a_driver_may_go_and_come_back_to_the_same_client() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut client = guest.client();
    for round in 0..3_u8 {
        let mut driver = guest.start();
        driver.send(&[b'a' + round; 10]);
        assert_eq!(read(&mut client, 10), [b'a' + round; 10]);
        client.write_all(&[round; 5]).unwrap();
        assert_eq!(driver.receive(5), [round; 5]);
        // Like a kernel that is about to start another.
        for (state, answer) in [
            (CLOSING, CLOSING),
            (CLOSED, CLOSED),
            (INITIALISING, INIT_WAIT),
        ] {
            guest.frontend.write("state", state).unwrap();
            guest.awaits(answer);
            assert_eq!(machine.mapped_pages(guest.domid), 0);
            assert!(!driver.0.line.is_connected());
        }
    }
}

#[test]
fn a_driver_that_resumes_is_followed_even_under_the_same_numbers() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let mut client = guest.client();
    let mut old = guest.start();
    old.send(b"before");
    assert_eq!(read(&mut client, 6), b"before");
    let mut new = PvDriver(guest.frontend.resume(&old.0).unwrap());
    new.send(b"after");
    assert_eq!(read(&mut client, 5), b"after");
    guest.frontend.write("state", CONNECTED).unwrap();
    client.write_all(b"and in").unwrap();
    assert_eq!(new.receive(6), b"and in");
    // A change of the numbers is followed too.
    let mut third = guest.start();
    third.send(b"third");
    assert_eq!(read(&mut client, 5), b"third");
}

#[test]
fn another_daemon_continues_where_the_last_one_stopped() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let daemon = Daemon::start(&machine, Config::default());
    let mut driver = guest.start();
    let mut client = guest.client();
    driver.send(b"first");
    assert_eq!(read(&mut client, 5), b"first");
    daemon.stop().unwrap();
    // The guest was not asked to stop.
    guest.awaits(CONNECTED);
    driver.send(b"meanwhile");

    let _daemon = Daemon::start(&machine, Config::default());
    let mut client = guest.client();
    assert_eq!(read(&mut client, 9), b"meanwhile");
    client.write_all(b"answer").unwrap();
    assert_eq!(driver.receive(6), b"answer");
}

#[test]
fn a_channel_ends_with_its_guest() {
    let machine = Machine::new();
    let daemon = Daemon::start(&machine, Config::default());
    for destroy in [true, false] {
        let mut guest = Channelled::new(&machine);
        let _driver = guest.start();
        let client = guest.client();
        if destroy {
            machine.destroy(guest.domid).unwrap();
        } else {
            machine.kill(guest.domid);
        }
        assert!(is_refused(client));
        wait_for("the socket to go", || (!guest.path.exists()).then_some(()));
        wait_for("unmapped pages", || {
            (machine.mapped_pages(guest.domid) == 0).then_some(())
        });
        assert_eq!(guest.frontend.backend_state().unwrap().is_none(), destroy);
    }
    daemon.stop().unwrap();
}

#[test]
fn a_second_console_has_a_pty_and_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let mut frontend = machine
        .add_frontend(domid, 1, &[("name", "second"), ("connection", "pty")])
        .unwrap();
    machine.introduce(domid);
    let config = Config {
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    let mut driver = PvDriver(frontend.connect().unwrap());
    awaits(&mut frontend, CONNECTED);
    let mut viewer = Viewer::open(&machine, domid, SECOND);
    driver.send(b"shown");
    assert_eq!(viewer.read(5), b"shown");
    viewer.write(b"typed");
    assert_eq!(driver.receive(5), b"typed");
    daemon.stop().unwrap();
    let log = std::fs::read(dir.path().join("guest-guest-pv1.log")).unwrap();
    assert_eq!(log, b"shown");
}

/// A client opens the path in `tty`, so the guest must not be able to write the
/// node: it is emptied rather than removed.
#[test]
fn a_guest_cannot_choose_which_terminal_a_client_opens() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let mut frontend = machine.add_frontend(domid, 1, &[]).unwrap();
    machine.introduce(domid);
    let daemon = Daemon::start(&machine, Config::default());
    let dom0s = [
        Permission::DOM0_ONLY,
        Permission {
            domid,
            access: Access::Read,
        },
    ];
    let path = tty_path(domid, SECOND);
    let mut store = machine.toolstack().unwrap();
    for _ in 0..2 {
        let _driver = frontend.connect().unwrap();
        wait_for("a tty", || tty(&machine, domid, SECOND));
        // Otherwise it may still have the state of the last driver.
        awaits(&mut frontend, CONNECTED);
        assert_eq!(store.permissions(&path).unwrap(), dom0s);
        assert!(frontend.write("tty", "/dev/sda").is_err());
        frontend.write("state", CLOSED).unwrap();
        awaits(&mut frontend, CLOSED);
        assert_eq!(store.read(&path).unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(store.permissions(&path).unwrap(), dom0s);
        assert!(frontend.write("tty", "/dev/sda").is_err());
    }
    daemon.stop().unwrap();
}

#[test]
fn consoles_that_a_device_model_serves_are_left_to_it() {
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let mut frontend = machine.add_frontend(domid, 1, &[]).unwrap();
    let mut store = machine.toolstack().unwrap();
    let kind = format!("{}/type", frontend.backend_path());
    store.remove(&kind).unwrap();
    machine.introduce(domid);
    let driver = frontend.connect().unwrap();
    let _daemon = Daemon::start(&machine, Config::default());
    for other in ["ioemu", "", "xenconsoled2"] {
        store.write(&kind, other).unwrap();
        until_looked_at(&machine);
        assert!(!driver.line.is_connected());
        assert_eq!(frontend.backend_state().unwrap().unwrap(), b"1");
    }
    store.write(&kind, "xenconsoled").unwrap();
    awaits(&mut frontend, CONNECTED);
}

#[test]
fn a_console_that_the_toolstack_takes_offline_is_closed() {
    let machine = Machine::new();
    let mut guest = Channelled::new(&machine);
    let _daemon = Daemon::start(&machine, Config::default());
    let driver = guest.start();
    let mut store = machine.toolstack().unwrap();
    let backend = guest.frontend.backend_path();
    store.write(&format!("{backend}/online"), "0").unwrap();
    store.write(&format!("{backend}/state"), CLOSING).unwrap();
    guest.awaits(CLOSED);
    assert!(!driver.0.line.is_connected());
    assert_eq!(machine.mapped_pages(guest.domid), 0);
    // A toolstack that writes node by node may be slower than the daemon.
    store.write(&format!("{backend}/state"), CLOSING).unwrap();
    guest.awaits(CLOSED);
    store.remove(&backend).unwrap();
    wait_for("the socket to go", || (!guest.path.exists()).then_some(()));
}

#[test]
fn many_channels_of_many_guests() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let machine = Machine::new();
    let daemon = Daemon::start(&machine, Config::default());
    let mut ends = Vec::new();
    for guest in 0..5 {
        let domid = machine.create_domain(&format!("guest{guest}")).unwrap();
        for devid in 1..=3 {
            let path = root.join(format!("{guest}-{devid}"));
            ends.push((add(&machine, domid, devid, &path), path));
        }
        machine.introduce(domid);
    }
    let mut open: Vec<_> = ends
        .iter_mut()
        .map(|(frontend, path)| (PvDriver(frontend.connect().unwrap()), client(path)))
        .collect();
    for (at, (driver, _)) in open.iter_mut().enumerate() {
        driver.send(format!("this is {at:>3}").as_bytes());
    }
    for (at, (_, client)) in open.iter_mut().enumerate() {
        assert_eq!(read(client, 11), format!("this is {at:>3}").as_bytes());
    }
    daemon.stop().unwrap();
}

/// With this node libxl starts no QEMU for a channel; guests that were created so
/// outlive the daemon, and so does the node.
#[test]
fn a_node_shows_the_toolstack_that_no_device_model_is_needed() {
    let machine = Machine::new();
    let mut store = machine.toolstack().unwrap();
    let mut told = || store.read("/tool/vconsoled/channels").unwrap();
    assert_eq!(told(), None);
    let daemon = Daemon::start(&machine, Config::default());
    assert_eq!(told().as_deref(), Some(&b"1"[..]));
    daemon.stop().unwrap();
    assert_eq!(told().as_deref(), Some(&b"1"[..]));
}
