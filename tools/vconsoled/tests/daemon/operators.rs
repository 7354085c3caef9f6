// SPDX-License-Identifier: MIT
//! Requests of operators: list of viewers, messages, exclusive input, idle
//! terminals, the banner.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use console_proto::Who;
use serde_json::Value;
use vconsoled::Config;
use xen_io::fake::Machine;

use crate::peer::{Attached, Frame, connect, read, request};
use crate::support::*;

/// A daemon with a guest, its sockets, and the folder of the consoles' own sockets.
struct Host {
    _dir: tempfile::TempDir,
    machine: Machine,
    pv: PvDriver,
    _uart: UartDriver,
    daemon: Daemon,
    control: PathBuf,
    sockets: PathBuf,
    config: Config,
}

const PV0: &str = r#""domid":1,"console":"pv0""#;

impl Host {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let (_, pv, uart) = guest(&machine, "web");
        let (mut config, control) = with_control(&dir);
        let sockets = dir.path().join("consoles");
        config.sockets.consoles = Some(sockets.clone());
        let said = Config::parse(text).unwrap();
        (config.sessions, config.rules) = (said.sessions, said.rules);
        Self {
            daemon: Daemon::start(&machine, config.clone()),
            _dir: dir,
            machine,
            pv,
            _uart: uart,
            control,
            sockets,
            config,
        }
    }

    fn attach(&self, more: &str) -> Attached {
        Attached::new(&self.control, &format!("{PV0}{more}"))
    }

    fn refused(&self, more: &str) -> Value {
        request(&self.control, &format!("{PV0}{more}")).1
    }

    fn plain(&self) -> UnixStream {
        connect(&self.sockets.join("1/pv0.sock"))
    }

    fn until_viewers(&self, count: usize) {
        wait_for("viewers", || {
            (status(&self.control).consoles[0].viewers == count).then_some(())
        });
    }

    fn who(&self) -> Who {
        serde_json::from_str(&ask(&self.control, "who")).unwrap()
    }

    fn ask(&self, line: &str) -> Value {
        serde_json::from_str(&ask(&self.control, line)).unwrap()
    }
}

#[test]
fn who_lists_every_kind_of_connection() {
    let host = Host::new("");
    assert_eq!(host.who().viewers, []);
    let _watches = host.attach(r#","mode":"ro","origin":"192.0.2.1 5""#);
    let _types = host.attach("");
    let _plain = host.plain();
    let _pty = Viewer::open(&host.machine, xen_io::DomId(1), PV);
    host.until_viewers(4);
    let who = host.who();
    assert_eq!(who.version, 1);
    let mut seen: Vec<_> = who
        .viewers
        .iter()
        .map(|one| (one.way.as_str(), one.types, one.origin.as_deref()))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("control", false, Some("192.0.2.1 5")),
            ("control", true, None),
            ("pty", true, None),
            ("socket", true, None),
        ]
    );
    let uid = rustix::process::geteuid().as_raw();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for one in &who.viewers {
        assert_eq!((one.domid, one.name.as_str()), (1, "web"));
        assert_eq!(one.console, "pv0");
        if one.way == "pty" {
            assert_eq!((one.uid, one.pid, one.since), (None, None, None));
        } else {
            assert_eq!((one.uid, one.pid), (Some(uid), Some(std::process::id())));
            assert!((now - 600..=now + 1).contains(&one.since.unwrap()));
        }
    }
}

#[test]
fn a_message_is_shown_to_viewers_and_never_to_the_guest() {
    let mut host = Host::new("");
    let mut framed = host.attach("");
    let mut watches = host.attach(r#","mode":"ro""#);
    let mut plain = host.plain();
    let mut other = Attached::new(&host.control, r#""domid":1,"console":"vuart0""#);
    host.until_viewers(3);
    for (to, viewers) in [("1", 4), ("1/pv0", 3), ("all", 4)] {
        let answer = host.ask(&format!("message {to} the host\u{1b} ends"));
        assert_eq!(
            (&answer["done"], &answer["viewers"]),
            (&"message".into(), &viewers.into())
        );
        let text = "message from root: the host ends";
        for viewer in [&mut framed, &mut watches] {
            assert_eq!(viewer.frame(), Frame::Notice(text.into()), "{to}");
        }
        let expected = format!("\r\n[{text}]\r\n");
        assert_eq!(read(&mut plain, expected.len()), expected.as_bytes());
        if viewers == 4 {
            assert_eq!(other.frame(), Frame::Notice(text.into()), "{to}");
        }
    }
    // The next bytes for the viewers and the guest are what was typed.
    framed.type_in(b"typed");
    assert_eq!(host.pv.receive(5), b"typed");
    host.pv.send(b"said");
    assert_eq!(framed.read(4), b"said");
    assert_eq!(read(&mut plain, 4), b"said");
    for (line, code) in [
        ("message 9 x".to_owned(), "no-console"),
        ("message 1/pv7 x".to_owned(), "no-console"),
        ("message web x".to_owned(), "bad-request"),
        ("message 1 \u{7}".to_owned(), "bad-request"),
        (format!("message 1 {}", "x".repeat(201)), "bad-request"),
    ] {
        assert_eq!(host.ask(&line)["code"], code, "{line}");
    }
}

#[test]
fn unread_messages_are_bounded_and_counted() {
    let host = Host::new("");
    let mut viewer = host.attach("");
    host.until_viewers(1);
    // It reads nothing, and its socket is full: the queue is bounded.
    let text = "x".repeat(200);
    let refused = (0..100_000).find(|_| host.ask(&format!("message 1 {text}"))["viewers"] == 0);
    let sent = refused.expect("the answer reports that it was not shown");
    for _ in 0..sent {
        assert!(matches!(viewer.frame(), Frame::Notice(_)));
    }
    host.ask("message 1 last");
    assert_eq!(
        viewer.frame(),
        Frame::Notice("message from root: last".into())
    );
}

#[test]
fn exclusive_input_lasts_until_its_viewer_leaves_or_another_takes_it() {
    let mut host = Host::new("");
    let mut first = host.attach("");
    let mut plain = host.plain();
    host.until_viewers(2);
    let mut alone = host.attach(r#","exclusive":"if-free""#);
    let told = "root types alone now";
    assert_eq!(alone.answer["mode"], "rw");
    assert_eq!(first.frame(), Frame::Mode(0));
    assert_eq!(first.frame(), Frame::Notice(told.into()));
    let note = format!("\r\n[{told}]\r\n");
    assert_eq!(read(&mut plain, note.len()), note.as_bytes());
    // Input of others is ignored, and new viewers are read-only.
    let mut late = host.attach("");
    assert_eq!(late.answer["mode"], "ro");
    assert_eq!(late.frame(), Frame::Mode(0));
    first.set_mode(1);
    assert_eq!(first.frame(), Frame::Mode(0));
    for viewer in [&mut first, &mut late] {
        viewer.type_in(b"in vain");
    }
    std::io::Write::write_all(&mut plain, b"in vain").unwrap();
    // Sessions are read in turn, so this comes last.
    alone.type_in(b"heard");
    assert_eq!(host.pv.receive(5), b"heard");
    let answer = host.refused(r#","exclusive":"if-free""#);
    assert_eq!(
        (&answer["code"], &answer["error"]),
        (&"busy".into(), &"root types there alone".into())
    );
    let answer = host.refused(r#","mode":"ro","exclusive":"force""#);
    assert_eq!(answer["code"], "bad-request");
    let exclusive = |host: &Host| {
        let who = host.who().viewers.into_iter();
        who.filter(|one| one.exclusive).count()
    };
    assert_eq!(exclusive(&host), 1);

    let mut forced = host.attach(r#","exclusive":"force""#);
    assert_eq!(alone.frame(), Frame::Mode(0));
    assert_eq!(alone.frame(), Frame::Notice(told.into()));
    alone.type_in(b"in vain");
    forced.type_in(b"taken");
    assert_eq!(host.pv.receive(5), b"taken");
    assert_eq!(exclusive(&host), 1);
    drop(forced);
    // All previous typers may type again.
    for viewer in [&mut first, &mut alone, &mut late] {
        assert_eq!(viewer.frame(), Frame::Mode(1));
    }
    for viewer in [&mut first, &mut alone, &mut late] {
        viewer.type_in(b"again");
        assert_eq!(host.pv.receive(5), b"again");
    }
    std::io::Write::write_all(&mut plain, b"again").unwrap();
    assert_eq!(host.pv.receive(5), b"again");
}

#[test]
fn an_idle_viewer_with_the_right_to_type_is_closed_with_a_reason() {
    let mut host = Host::new("[[console]]\nconsole = 'pv0'\nidle-timeout = 1\n");
    let mut watches = host.attach(r#","mode":"ro""#);
    let mut other = Attached::new(&host.control, r#""domid":1,"console":"vuart0""#);
    let mut plain = host.plain();
    let mut idle = host.attach("");
    assert_eq!(idle.frame(), Frame::Ended("idle".into()));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut plain, &mut said).unwrap();
    assert_eq!(said, "\r\n[nothing was typed for too long]\r\n");
    // Viewers without a limit are still attached.
    host.pv.send(b"still");
    assert_eq!(watches.read(5), b"still");
    host.ask("message 1/vuart0 x");
    assert_eq!(other.frame(), Frame::Notice("message from root: x".into()));
    // A limit from a reload applies to attached viewers.
    let mut config = host.config.clone();
    config.sessions.idle_timeout = 1;
    host.daemon.handle.reload(Ok(config));
    assert_eq!(other.frame(), Frame::Ended("idle".into()));
}

#[test]
fn a_banner_is_part_of_the_answer() {
    let text = "[sessions]\nbanner = '''\nfirst\nsecond\n'''\n\
                [[console]]\nconsole = 'vuart0'\nbanner = ''\n";
    let host = Host::new(text);
    assert_eq!(host.attach("").answer["banner"], "first\nsecond");
    let vuart = Attached::new(&host.control, r#""domid":1,"console":"vuart0""#);
    assert!(vuart.answer["banner"].is_null());
}
