// SPDX-License-Identifier: MIT
//! Attachments in the audit's file and in the journal: every start and end of a
//! session, and a chain of lines that shows changes.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use console_proto::audit::Check;
use serde_json::Value;
use vconsoled::Config;
use vconsoled::config::Audit;
use xen_io::DomId;
use xen_io::fake::Machine;

use crate::peer::{Attached, Frame, connect, read, request};
use crate::support::*;

const PV0: &str = r#""domid":1,"console":"pv0""#;

/// A host on which daemons are started.
struct Host {
    dir: tempfile::TempDir,
    machine: Machine,
    config: Config,
    control: PathBuf,
    _pv: PvDriver,
    _uart: UartDriver,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let (_, pv, uart) = guest(&machine, "web");
        let (mut config, control) = with_control(&dir);
        config.sockets.consoles = Some(dir.path().join("consoles"));
        config.audit.file = Some(dir.path().join("audit.log"));
        Self {
            dir,
            machine,
            config,
            control,
            _pv: pv,
            _uart: uart,
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("audit.log")
    }

    fn attach(&self, more: &str) -> Attached {
        Attached::new(&self.control, &format!("{PV0}{more}"))
    }

    fn plain(&self, name: &str) -> UnixStream {
        connect(&self.dir.path().join("consoles/1").join(name))
    }

    /// The lines so far.
    fn lines(&self) -> Vec<Value> {
        lines(&self.file())
    }

    /// Waits for an event with these values, and returns it.
    fn until(&self, event: &str, values: &[(&str, Value)]) -> Value {
        wait_for(&format!("{event} {values:?}"), || {
            let lines = self.lines().into_iter();
            let mut fitting = lines.filter(|line| {
                line["event"] == event && values.iter().all(|(key, value)| line[key] == *value)
            });
            fitting.next()
        })
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|one| one.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check(path: &Path) -> Check {
    let mut check = Check::default();
    let file = std::fs::read(path).unwrap();
    assert_eq!(check.file(&file[..], None).unwrap(), Ok(()));
    check
}

/// Each kind of session with each of its possible ends. Refusals are tested with
/// several users (`process/access`).
#[test]
fn every_way_to_begin_and_to_end_is_in_it() {
    type End = fn(&Host, &Daemon);
    let ends: [(&str, End); 4] = [
        ("idle", |host, daemon| {
            let mut config = host.config.clone();
            config.sessions.idle_timeout = 1;
            daemon.handle.reload(Ok(config));
        }),
        ("domain", |host, _| {
            host.machine.destroy(DomId(1)).unwrap();
        }),
        ("daemon", |_, daemon| daemon.handle.stop()),
        ("left", |_, _| ()),
    ];
    let uid = rustix::process::geteuid().as_raw();
    for (why, end) in ends {
        let host = Host::new();
        let daemon = Daemon::start(&host.machine, host.config.clone());
        let framed = host.attach(r#","origin":"192.0.2.1 5\n""#);
        let watching = host.attach(r#","mode":"ro""#);
        let plain = host.plain("pv0.sock");
        let read_only = host.plain("pv0.ro.sock");
        let pty = Viewer::open(&host.machine, DomId(1), PV);
        let origin = Value::from("192.0.2.1 5\n");
        let ways = [
            ("control", true, origin, 1),
            ("control", false, Value::Null, 1),
            ("socket", true, Value::Null, 1),
            ("socket", false, Value::Null, 1),
            ("pty", true, Value::Null, 0),
        ];
        for (way, types, origin, known) in &ways {
            let line = host.until(
                "attached",
                &[
                    ("way", (*way).into()),
                    ("types", (*types).into()),
                    ("origin", origin.clone()),
                ],
            );
            assert_eq!(
                (&line["console"], &line["domain"]),
                (&"1/pv0".into(), &"web".into())
            );
            let who = (*known == 1).then_some((uid, std::process::id()));
            let (uid, pid) = who.unzip();
            assert_eq!(line["uid"], Value::from(uid), "{line}");
            assert_eq!(line["pid"], Value::from(pid), "{line}");
        }
        end(&host, &daemon);
        if why == "left" {
            drop((framed, watching, plain, read_only, pty));
        }
        // The idle limit applies to sessions on sockets that may type.
        let expected = if why == "idle" { 2 } else { 5 };
        let ended = wait_for(why, || {
            let lines = host.lines().into_iter();
            let ended: Vec<_> = lines.filter(|line| line["event"] == "detached").collect();
            (ended.len() >= expected).then_some(ended)
        });
        assert_eq!(ended.len(), expected, "{why}");
        for line in ended {
            // The console may be reported gone before its domain.
            let told = line["why"].as_str().unwrap();
            assert!(
                told == why || why == "domain" && told == "console",
                "{why}: {line}"
            );
        }
        drop(daemon);
        let all = host.lines();
        let (first, last) = (&all[0]["event"], &all[all.len() - 1]["event"]);
        assert_eq!((first, last), (&"started".into(), &"stopped".into()));
        let count = |event: &str| all.iter().filter(|line| line["event"] == event).count();
        assert_eq!(count("attached"), count("detached"), "{why}");
        assert_eq!(check(&host.file()).lines, all.len() as u64);
    }
}

#[test]
fn modes_refusals_breaks_and_messages_are_in_it() {
    let host = Host::new();
    let _daemon = Daemon::start(&host.machine, host.config.clone());
    let mut first = host.attach("");
    let mode = |types: bool, why: &str| {
        host.until("mode", &[("types", types.into()), ("why", why.into())]);
    };
    first.set_mode(0);
    mode(false, "asked");
    first.set_mode(1);
    mode(true, "asked");
    let alone = host.attach(r#","exclusive":"if-free""#);
    host.until("exclusive", &[("console", "1/pv0".into())]);
    mode(false, "exclusive");
    let busy = request(&host.control, &format!(r#"{PV0},"exclusive":"if-free""#)).1;
    let refused = |request: &str, part: &str| {
        let line = wait_for(part, || {
            let lines = host.lines().into_iter();
            let mut fitting = lines.filter(|line| {
                line["event"] == "refused"
                    && line["request"] == request
                    && line["why"].as_str().unwrap().contains(part)
            });
            fitting.next()
        });
        assert_eq!(line["pid"], std::process::id());
    };
    refused("attach", busy["error"].as_str().unwrap());
    drop(alone);
    mode(true, "released");
    ask(&host.control, "break 1/pv0");
    refused("break", "no break");
    ask(&host.control, "break 1/vuart0");
    host.until("break", &[("console", "1/vuart0".into())]);
    ask(&host.control, "message 1/pv0 the host ends");
    let values = [("text", "the host ends".into()), ("to", "1/pv0".into())];
    assert_eq!(host.until("message", &values)["viewers"], 1);
    ask(&host.control, "message 9 x");
    refused("message", "no such console");
    let crowd: Vec<_> = (0..31).map(|_| host.plain("pv0.sock")).collect();
    let mut late = host.plain("pv0.sock");
    let said = b"[too many viewers]\r\n";
    assert_eq!(read(&mut late, said.len()), said);
    host.until(
        "refused",
        &[("way", "socket".into()), ("why", "too many viewers".into())],
    );
    drop(crowd);
    first.type_in(b"a password");
    let mut later = host.attach("");
    ask(&host.control, "message 1/pv0 typed by then");
    while later.frame() != Frame::Notice("message from root: typed by then".into()) {}
    let text = std::fs::read_to_string(host.file()).unwrap();
    assert!(!text.contains("password"), "what was typed is not in it");
}

/// One user attaches and leaves repeatedly: lines are left out, each is counted
/// in a line of the chain, and other users' lines are complete.
#[test]
fn a_user_who_makes_lines_without_end_has_them_left_out_and_counted() {
    const ROUNDS: u64 = 200;
    let mut host = Host::new();
    (host.config.audit.rate, host.config.audit.burst) = (10, 20);
    let metrics = host.dir.path().join("run/metrics.sock");
    host.config.sockets.metrics = Some(metrics.clone());
    let daemon = Daemon::start(&host.machine, host.config.clone());
    let uid = rustix::process::geteuid().as_raw();
    for _ in 0..ROUNDS {
        drop(host.attach(""));
    }
    let told = || -> (u64, u64) {
        let lines = host.lines();
        let of = |event: &str| lines.iter().filter(|line| line["event"] == event).count() as u64;
        let limited = lines.iter().filter(|line| line["event"] == "limited");
        let counts = limited.map(|line| {
            assert_eq!(line["uid"], uid);
            line["count"].as_u64().unwrap()
        });
        (of("attached") + of("detached"), counts.sum())
    };
    let (made, counted) = wait_for("each line, or its count", || {
        let (made, counted) = told();
        (made + counted == 2 * ROUNDS).then_some((made, counted))
    });
    assert!(made >= 20 && counted > 0, "{made} made, {counted} counted");
    let text = ask(&metrics, "");
    assert!(
        text.contains(&format!("\nvconsoled_audit_limited_total {counted}\n")),
        "{text}"
    );
    assert!(text.contains("vconsoled_audit_lost_total{from=\"file\"} 0\n"));
    // A pty's user is unknown.
    let pty = Viewer::open(&host.machine, DomId(1), PV);
    host.until("attached", &[("way", "pty".into())]);
    drop(pty);
    // Left-out lines are reported before the last line of the daemon.
    let many: Vec<_> = (0..30).map(|_| host.attach("")).collect();
    daemon.stop().unwrap();
    drop(many);
    let lines = host.lines();
    assert_eq!(lines.last().unwrap()["event"], "stopped");
    let text = check(&host.file());
    assert_eq!((text.torn, text.unfinished), (0, false));
}

/// The file is moved at any time; a daemon is restarted; both files are one
/// chain.
#[test]
fn the_chain_continues_over_restarts_and_rotation() {
    let host = Host::new();
    let old = host.dir.path().join("audit.log.1");
    let rotate = || std::fs::rename(host.file(), &old).unwrap();
    for rotated_while in ["it runs", "none runs"] {
        let daemon = Daemon::start(&host.machine, host.config.clone());
        drop(host.attach(""));
        host.until("detached", &[]);
        if rotated_while == "it runs" {
            rotate();
            drop(host.attach(""));
            host.until("detached", &[]);
        }
        daemon.stop().unwrap();
        if rotated_while == "none runs" {
            rotate();
            let daemon = Daemon::start(&host.machine, host.config.clone());
            daemon.stop().unwrap();
        }
        let mut check = Check::default();
        for file in [&old, &host.file()] {
            let file = std::fs::read(file).unwrap();
            assert_eq!(
                check.file(&file[..], None).unwrap(),
                Ok(()),
                "{rotated_while}"
            );
        }
        let both = lines(&old).len() + host.lines().len();
        assert_eq!((check.lines, check.torn), (both as u64, 0));
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(host.file()).unwrap());
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn entries_in_the_journal_have_fields_and_what_is_lost_is_counted() {
    let mut host = Host::new();
    let path = host.dir.path().join("journal");
    host.config.log.journal_socket = path.clone();
    host.config.sockets.metrics = Some(host.dir.path().join("run/metrics.sock"));
    host.config.audit = Audit {
        journal: true,
        ..Audit::default()
    };
    let metrics = || ask(host.config.sockets.metrics.as_deref().unwrap(), "");
    let lost = |count: u64| format!("vconsoled_audit_lost_total{{from=\"journal\"}} {count}\n");
    // There is no journal yet.
    let daemon = Daemon::start(&host.machine, host.config.clone());
    wait_for("its start to be lost", || {
        metrics().contains(&lost(1)).then_some(())
    });
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut entry = [0; 4096];
        let length = journald.recv(&mut entry).unwrap();
        fields(&entry[..length])
    };
    drop(host.attach(r#","origin":"192.0.2.1 5\n""#));
    let uid = rustix::process::geteuid().as_raw().to_string();
    let expected = [
        ("SYSLOG_IDENTIFIER", "vconsoled-audit"),
        ("VCONSOLED_EVENT", "attached"),
        ("CONSOLE", "1/pv0"),
        ("DOMAIN", "web"),
        ("VCONSOLED_UID", &uid),
        ("VCONSOLED_WAY", "control"),
        ("VCONSOLED_ORIGIN", "192.0.2.1 5\n"),
        ("VCONSOLED_TYPES", "true"),
    ];
    let entry = hear();
    for (name, value) in expected {
        let field = entry.iter().find(|(field, _)| field == name);
        assert_eq!(field.unwrap().1, value, "{entry:?}");
    }
    let why = ("VCONSOLED_WHY".to_owned(), "left".to_owned());
    assert!(hear().contains(&why));
    assert!(metrics().contains(&lost(1)));
    // It is switched off; the file that a reload configures needs a restart.
    let mut config = host.config.clone();
    config.audit.journal = false;
    daemon.handle.reload(Ok(config));
    until_looked_at(&host.machine);
    drop(host.attach(""));
    daemon.stop().unwrap();
    journald.set_nonblocking(true).unwrap();
    assert!(journald.recv(&mut [0; 4096]).is_err(), "nothing more");
    assert!(!host.file().exists());
}

/// The fields of an entry in journald's form.
fn fields(mut entry: &[u8]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    while !entry.is_empty() {
        let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
        let length = entry[end + 1..].first_chunk().unwrap();
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        let value = &entry[end + 9..][..length];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields.push((text(&entry[..end]), text(value)));
        entry = &entry[end + 10 + length..];
    }
    fields
}
