// SPDX-License-Identifier: MIT
//! Names of consoles: domains that are renamed, that reboot, that share a name,
//! and requests with invalid names.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::peer::request;
use crate::support::*;
use vconsoled::Config;
use vconsoled::config::Sockets;
use xen_io::DomId;
use xen_io::fake::{Frontend, Machine};
use xen_io::xenstore::domain_path;

const CONNECTED: &str = "4";
const CLOSED: &str = "6";

/// Number of random runs, and steps of each.
const RUNS: u64 = 8;
const STEPS: usize = 30;

/// Two valid file names, one that looks like a number, one that is not a valid
/// file name, and an empty one.
const NAMES: [&str; 5] = ["a", "b", "1", "a/b", ""];

fn config(dir: &Path) -> Config {
    Config {
        sockets: Sockets {
            control: Some(dir.join("control.sock")),
            consoles: Some(dir.join("consoles")),
            ..Sockets::default()
        },
        ..Config::default()
    }
}

fn rename(machine: &Machine, domid: DomId, name: &str) {
    let path = format!("{}/name", domain_path(domid));
    machine.toolstack().unwrap().write(&path, name).unwrap();
}

/// Starts a driver of a secondary console, and waits for the answer.
fn start(frontend: &mut Frontend) -> PvDriver {
    let driver = PvDriver(frontend.connect().unwrap());
    wait_for("the backend", || {
        (frontend.backend_state().unwrap()? == CONNECTED.as_bytes()).then_some(())
    });
    frontend.write("state", CONNECTED).unwrap();
    driver
}

/// What names mean to a client: the target of each link in the folder of sockets,
/// the domain of an attached viewer with the other domains in its answer, and the
/// names of all consoles.
#[derive(Debug, Default, PartialEq)]
struct View {
    links: BTreeMap<String, String>,
    attached: BTreeMap<String, (u16, Vec<u16>)>,
    rows: BTreeMap<(u16, String), String>,
}

/// A domain of the model, and its running parts.
struct Guest {
    name: String,
    consoles: BTreeSet<&'static str>,
    frontend: Frontend,
    _ends: (PvDriver, UartDriver),
    second: Option<PvDriver>,
}

struct World {
    dir: tempfile::TempDir,
    machine: Machine,
    daemon: Option<Daemon>,
    guests: BTreeMap<u16, Guest>,
    state: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let machine = Machine::new();
        let dir = tempfile::tempdir().unwrap();
        let daemon = Some(Daemon::start(&machine, config(dir.path())));
        Self {
            dir,
            machine,
            daemon,
            guests: BTreeMap::new(),
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn number(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap() % below
    }

    fn create(&mut self, name: &str) {
        let domid = self.machine.create_domain(name).unwrap();
        let pv = PvDriver(self.machine.add_pv_console(domid).unwrap());
        let uart = UartDriver::new(self.machine.add_private_vuart(domid).unwrap());
        let frontend = self.machine.add_frontend(domid, 1, &[("name", "second")]);
        self.machine.introduce(domid);
        let guest = Guest {
            name: name.to_owned(),
            consoles: ["pv0", "vuart0"].into(),
            frontend: frontend.unwrap(),
            _ends: (pv, uart),
            second: None,
        };
        self.guests.insert(domid.0, guest);
    }

    fn destroy(&mut self, domid: u16) {
        self.machine.destroy(DomId(domid)).unwrap();
        self.guests.remove(&domid);
    }

    /// A random step of a toolstack, a guest or the service manager.
    fn step(&mut self) -> String {
        let name = NAMES[self.number(NAMES.len())];
        let known: Vec<u16> = self.guests.keys().copied().collect();
        if known.is_empty() {
            self.create(name);
            return format!("create {name:?}");
        }
        let domid = known[self.number(known.len())];
        match self.number(9) {
            0 | 1 if known.len() < 5 => {
                self.create(name);
                format!("create {name:?}")
            }
            2 | 3 => {
                rename(&self.machine, DomId(domid), name);
                name.clone_into(&mut self.guests.get_mut(&domid).unwrap().name);
                format!("rename {domid} {name:?}")
            }
            4 => {
                self.destroy(domid);
                format!("destroy {domid}")
            }
            // The new domain may come before the old one has gone.
            5 => {
                let name = self.guests[&domid].name.clone();
                let first = self.number(2) == 0;
                if first {
                    self.create(&name);
                }
                self.destroy(domid);
                if !first {
                    self.create(&name);
                }
                format!("reboot {domid}, {first}")
            }
            6 => {
                let console = ["pv0", "vuart0"][self.number(2)];
                let node = if console == "pv0" { "console" } else { "vuart" };
                let path = format!("{}/{node}", domain_path(DomId(domid)));
                self.machine.toolstack().unwrap().remove(&path).unwrap();
                let guest = self.guests.get_mut(&domid).unwrap();
                guest.consoles.remove(console);
                format!("remove {domid}/{console}")
            }
            7 => {
                self.daemon.take().unwrap().stop().unwrap();
                self.daemon = Some(Daemon::start(&self.machine, config(self.dir.path())));
                "restart".to_owned()
            }
            // Steps of the guest itself.
            _ => {
                let guest = self.guests.get_mut(&domid).unwrap();
                if guest.second.take().is_some() {
                    guest.frontend.write("state", CLOSED).unwrap();
                    guest.consoles.remove("pv1");
                    format!("close {domid}/pv1")
                } else {
                    guest.second = Some(start(&mut guest.frontend));
                    guest.consoles.insert("pv1");
                    format!("open {domid}/pv1")
                }
            }
        }
    }

    fn expected(&self) -> View {
        let mut view = View::default();
        for name in NAMES {
            let named = self.guests.iter();
            let named = named.filter(|(_, guest)| guest.name == name && !name.is_empty());
            let named = named.filter(|(_, guest)| !guest.consoles.is_empty());
            let mut all: Vec<u16> = named.map(|(domid, _)| *domid).collect();
            let Some(newest) = all.pop() else { continue };
            if !name.contains('/') {
                view.links.insert(name.to_owned(), format!("../{newest}"));
            }
            view.attached.insert(name.to_owned(), (newest, all));
        }
        for (domid, guest) in &self.guests {
            for console in &guest.consoles {
                let key = (*domid, (*console).to_owned());
                view.rows.insert(key, guest.name.clone());
            }
        }
        view
    }

    fn seen(&self) -> View {
        let control = self.dir.path().join("control.sock");
        let mut view = View::default();
        let links = self.dir.path().join("consoles/by-name");
        for entry in std::fs::read_dir(links).into_iter().flatten().flatten() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            let name = entry.file_name().into_string().unwrap();
            view.links.insert(name, target.display().to_string());
        }
        for row in status(&control).consoles {
            if row.state == "connected" {
                view.rows.insert((row.domid, row.console), row.name);
            }
        }
        for name in NAMES {
            for console in ["pv0", "vuart0", "pv1"] {
                let members = format!(r#""name":"{name}","console":"{console}""#);
                let (_stream, answer) = request(&control, &members);
                if let Some(domid) = answer["domid"].as_u64() {
                    assert_eq!(answer["name"], name);
                    let others = answer["others"].as_array().cloned().unwrap_or_default();
                    let others = others.iter().map(|other| narrow(other.as_u64()));
                    let found = (narrow(Some(domid)), others.collect());
                    view.attached.insert(name.to_owned(), found);
                }
            }
        }
        view
    }
}

fn narrow(number: Option<u64>) -> u16 {
    u16::try_from(number.unwrap()).unwrap()
}

#[test]
fn a_name_means_the_newest_domain_of_that_name_in_every_interface() {
    for seed in 1..=RUNS {
        let mut world = World::new(seed);
        let mut steps = Vec::new();
        for _ in 0..STEPS {
            steps.push(world.step());
            let expected = world.expected();
            let deadline = std::time::Instant::now() + PATIENCE;
            loop {
                let seen = world.seen();
                if seen == expected {
                    break;
                }
                assert!(
                    std::time::Instant::now() < deadline,
                    "run {seed}: {steps:?}\nseen {seen:#?}\nexpected {expected:#?}"
                );
            }
        }
    }
}

#[test]
fn a_guest_cannot_take_its_name_from_the_folder_of_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let domid = machine.create_domain("guest").unwrap();
    let _pv = PvDriver(machine.add_pv_console(domid).unwrap());
    let mut frontend = machine.add_frontend(domid, 1, &[("name", "x")]).unwrap();
    machine.introduce(domid);
    let _daemon = Daemon::start(&machine, config(dir.path()));
    let socket = dir.path().join("consoles/by-name/guest/pv0.sock");
    let over = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (socket, over) = (socket.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut looks = 0;
            while !over.load(Ordering::Acquire) {
                assert!(socket.exists(), "gone after {looks} looks");
                looks += 1;
            }
        })
    };
    for _ in 0..10 {
        let second = socket.with_file_name("pv1.sock");
        let driver = start(&mut frontend);
        wait_for("its socket", || second.exists().then_some(()));
        frontend.write("state", CLOSED).unwrap();
        drop(driver);
        wait_for("its end", || (!second.exists()).then_some(()));
    }
    over.store(true, Ordering::Release);
    watcher.join().unwrap();
}

#[test]
fn a_renamed_domain_has_its_new_name_in_the_journal_and_its_log_with_the_next_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let journald = UnixDatagram::bind(dir.path().join("journal")).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 4096];
        let length = journald.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut config = config(dir.path());
    config.state_dir = Some(dir.path().join("state"));
    config.log = vconsoled::config::Logs {
        journal: true,
        journal_socket: dir.path().join("journal"),
        ..logs_in(dir.path())
    };
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web--incoming");
    let daemon = Daemon::start(&machine, config.clone());
    pv.send(b"one\n");
    let entry = hear();
    assert!(
        entry.contains("one\n") && entry.contains("web--incoming\n"),
        "{entry:?}"
    );
    rename(&machine, domid, "web");
    let control = dir.path().join("control.sock");
    let row = || status(&control).consoles.remove(0);
    wait_for("the name", || (row().name == "web").then_some(()));
    pv.send(b"two\n");
    let entry = hear();
    assert!(
        entry.contains("two\n") && !entry.contains("incoming"),
        "{entry:?}"
    );
    assert_eq!(
        row().log,
        log(&dir, "guest-web--incoming.log"),
        "until a restart"
    );
    daemon.stop().unwrap();
    let daemon = Daemon::start(&machine, config);
    assert_eq!(row().log, log(&dir, "guest-web.log"));
    pv.send(b"three\n");
    assert!(hear().contains("three\n"));
    daemon.stop().unwrap();
    for (name, text) in [
        ("guest-web--incoming.log", "one\ntwo\n"),
        ("guest-web.log", "three\n"),
    ] {
        assert_eq!(
            std::fs::read_to_string(log(&dir, name)).unwrap(),
            text,
            "{name}"
        );
    }
}

fn log(dir: &tempfile::TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

/// Every kind of console, and every kind of request that names one.
#[test]
fn a_request_is_carried_out_or_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (first, _pv, _uart) = guest(&machine, "first");
    let mut second = machine.add_frontend(first, 1, &[("name", "x")]).unwrap();
    let path: PathBuf = dir.path().canonicalize().unwrap().join("agent");
    let backend = [("connection", "socket"), ("path", path.to_str().unwrap())];
    let _channel = machine.add_frontend(first, 2, &backend).unwrap();
    let stock = machine.create_domain("stock").unwrap();
    let _vuart = machine.add_stock_vuart(stock).unwrap();
    machine.introduce(stock);
    let broken = machine.create_domain("broken").unwrap();
    let _console = machine.add_pv_console(broken).unwrap();
    let port = format!("{}/console/port", domain_path(broken));
    machine.toolstack().unwrap().write(&port, "99999").unwrap();
    machine.introduce(broken);
    let _daemon = Daemon::start(&machine, config(dir.path()));
    let _driver = start(&mut second);
    wait_for("the channel", || path.exists().then_some(()));
    let control = dir.path().join("control.sock");
    let breaks = || [first, stock, broken].map(|domid| machine.take_breaks(domid));
    let no_break = "is a PV console, which has no break";
    let channel = "1/pv2 is a channel, at /";
    // The console, the result of a break, and the result of attaching.
    for (console, broke, attached) in [
        ("1/vuart0", Ok([1, 0, 0]), ""),
        ("2/vuart0", Ok([0, 1, 0]), ""),
        ("1/pv0", Err(no_break), ""),
        ("1/pv1", Err(no_break), ""),
        ("1/pv2", Err(channel), channel),
        ("3/pv0", Err("port 99999"), "port 99999"),
        ("1/pv3", Err("no console 1/pv3"), "no console 1/pv3"),
        ("2/pv0", Err("no console 2/pv0"), "no console 2/pv0"),
        ("9/vuart0", Err("no such domain"), "no such domain"),
        ("1/vuart1", Err("is no console"), "is no console"),
        ("1/vuart00", Err("is no console"), "is no console"),
        ("1/pv+1", Err("is no console"), "is no console"),
        ("1/pv00", Err("is no console"), "is no console"),
        ("1/", Err("is no console"), "is no console"),
    ] {
        let answer = ask(&control, &format!("break {console}"));
        match broke {
            Ok(_) => assert_eq!(answer, "{\"done\":\"break\"}\n", "{console}"),
            Err(words) => assert!(answer.contains(words), "{console}: {answer}"),
        }
        assert_eq!(breaks(), broke.unwrap_or_default(), "{console}");
        let (domid, slot) = console.split_once('/').unwrap();
        let members = format!(r#""domid":{domid},"console":"{slot}""#);
        let (_stream, answer) = request(&control, &members);
        let why = answer["error"].as_str().unwrap_or_default();
        assert!(
            why.contains(attached) && why.is_empty() == attached.is_empty(),
            "{answer}"
        );
    }
    for name in ["+1/vuart0", "01/vuart0", "1//vuart0", "70000/vuart0"] {
        let answer = ask(&control, &format!("break {name}"));
        assert!(answer.contains("is no console"), "{name}: {answer}");
    }
    assert_eq!(breaks(), [0, 0, 0]);
}
