// SPDX-License-Identifier: MIT
//! Several viewers of a console, by its pty and by sockets.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::peer::{Attached, Frame, connect, is_silent, read, request};
use crate::support::*;
use console_proto::Row;
use terminal::noise;
use vconsoled::Config;
use vconsoled::config::Sockets as Places;
use xen_io::fake::Machine;

/// A daemon's sockets.
struct Sockets {
    dir: tempfile::TempDir,
}

impl Sockets {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn config(&self) -> Config {
        Config {
            sockets: Places {
                control: Some(self.control()),
                consoles: Some(self.consoles()),
                ..Places::default()
            },
            ..Config::default()
        }
    }

    fn control(&self) -> PathBuf {
        self.dir.path().join("run/control.sock")
    }

    fn consoles(&self) -> PathBuf {
        self.dir.path().join("run/consoles")
    }

    fn plain(&self, name: &str) -> PathBuf {
        self.consoles().join(name)
    }

    fn pv0(&self) -> Row {
        status(&self.control())
            .consoles
            .into_iter()
            .find(|one| one.console == "pv0")
            .expect("a PV console")
    }

    fn until_viewers(&self, count: usize) {
        wait_for(&format!("{count} viewers"), || {
            (self.pv0().viewers == count).then_some(())
        });
    }
}

const PV0: &str = r#""domid":1,"console":"pv0""#;

fn with(more: &str) -> String {
    format!("{PV0},{more}")
}

#[test]
fn every_viewer_gets_every_byte() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let mut pty = Viewer::open(&machine, domid, PV);
    let mut framed: Vec<Attached> = ["rw", "ro"]
        .map(|mode| Attached::new(&sockets.control(), &with(&format!("\"mode\":\"{mode}\""))))
        .into();
    let mut plain = ["1/pv0.sock", "1/pv0.ro.sock", "by-name/guest/pv0.sock"]
        .map(|name| connect(&sockets.plain(name)));
    sockets.until_viewers(6);
    let sent = noise(300_000);
    std::thread::scope(|scope| {
        scope.spawn(|| pv.send(&sent));
        scope.spawn(|| assert!(pty.read(sent.len()) == sent, "the pty's"));
        for one in &mut framed {
            scope.spawn(|| assert!(one.read(sent.len()) == sent, "an attached viewer's"));
        }
        for one in &mut plain {
            scope.spawn(|| assert!(read(one, sent.len()) == sent, "a plain viewer's"));
        }
    });
    assert_eq!((sockets.pv0().dropped, sockets.pv0().lost), (0, 0));
}

#[test]
fn everybody_who_may_types() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let mut pty = Viewer::open(&machine, domid, PV);
    let mut attached = Attached::new(&sockets.control(), PV0);
    let mut plain = connect(&sockets.plain("1/pv0.sock"));
    pty.write(b"pty");
    assert_eq!(pv.receive(3), b"pty");
    attached.type_in(b"attached");
    assert_eq!(pv.receive(8), b"attached");
    plain.write_all(b"plain").unwrap();
    assert_eq!(pv.receive(5), b"plain");
    // Two pastes at once, both complete.
    attached.type_in(&vec![b'a'; 30_000]);
    plain.write_all(&vec![b'p'; 30_000]).unwrap();
    let mut typed = pv.receive(60_000);
    typed.sort_unstable();
    assert!(typed == [vec![b'a'; 30_000], vec![b'p'; 30_000]].concat());
}

#[test]
fn who_may_only_read_types_in_vain() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let mut attached = Attached::new(&sockets.control(), &with(r#""mode":"ro""#));
    assert_eq!(attached.answer["mode"], "ro");
    let mut plain = connect(&sockets.plain("1/pv0.ro.sock"));
    // More than all buffers on the way: it is read and discarded.
    attached.type_in(&vec![b'x'; 1_000_000]);
    plain.write_all(&vec![b'y'; 1_000_000]).unwrap();
    // It cannot get more than the allowed mode.
    attached.set_mode(1);
    assert_eq!(attached.frame(), Frame::Mode(0));
    attached.type_in(b"z");
    let mut other = connect(&sockets.plain("1/pv0.sock"));
    other.write_all(b"heard").unwrap();
    assert_eq!(pv.receive(5), b"heard");
    pv.send(b"seen");
    assert_eq!(attached.read(4), b"seen");
    assert_eq!(read(&mut plain, 4), b"seen");
    assert_eq!(sockets.pv0().to_guest, 5);
}

#[test]
fn a_viewer_gives_up_typing_and_takes_it_up_again() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let mut viewer = Attached::new(&sockets.control(), PV0);
    viewer.type_in(b"one");
    viewer.set_mode(0);
    viewer.type_in(b"two");
    viewer.set_mode(1);
    viewer.type_in(b"three");
    assert_eq!(pv.receive(8), b"onethree");
    // At least the last mode is reported.
    while viewer.frame() != Frame::Mode(1) {}
    // Repeated mode requests of a viewer that does not read take no memory.
    for _ in 0..200_000 {
        viewer.set_mode(0);
    }
    viewer.type_in(b"unheard");
    viewer.set_mode(1);
    viewer.type_in(b"heard");
    assert_eq!(pv.receive(5), b"heard");
}

#[test]
fn a_slow_viewer_loses_its_own_bytes_alone_and_is_told() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let mut slow = Attached::new(&sockets.control(), PV0);
    let mut plain = connect(&sockets.plain("1/pv0.ro.sock"));
    let mut quick = connect(&sockets.plain("1/pv0.sock"));
    sockets.until_viewers(3);
    let sent = noise(4_000_000);
    // The guest finishes although two of the three read nothing.
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(read(&mut quick, sent.len()) == sent));
        pv.send(&sent);
    });
    assert_eq!(sockets.pv0().from_guest, 4_000_000);

    let (mut at, mut lost) = (0, 0);
    while at < sent.len() {
        match slow.frame() {
            Frame::Data(bytes) => {
                assert!(bytes == sent[at..at + bytes.len()], "altered at {at}");
                at += bytes.len();
            }
            Frame::Lost(count) => {
                lost += count;
                at += usize::try_from(count).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((1_000_000..4_000_000).contains(&lost), "{lost}");

    let mut seen = Vec::new();
    while !seen.ends_with(&sent[sent.len() - 100..]) {
        let mut buffer = [0; 16384];
        let length = plain.read(&mut buffer).unwrap();
        assert!(length > 0);
        seen.extend_from_slice(&buffer[..length]);
    }
    let start = find(&seen, b"\r\n[").expect("a note");
    let end = start + find(&seen[start..], b" bytes lost]\r\n").expect("the note's end");
    let count: usize = std::str::from_utf8(&seen[start + 3..end])
        .unwrap()
        .parse()
        .unwrap();
    assert!(seen[..start] == sent[..start], "what came before is right");
    let rest = &seen[end + b" bytes lost]\r\n".len()..];
    assert!(*rest == sent[start + count..], "and what came after");
    assert_eq!(sockets.pv0().lost, lost + count as u64);
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|part| part == pattern)
}

#[test]
fn where_output_is_kept_the_guest_waits_for_the_quickest_viewer() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, _pv, mut uart) = guest(&machine, "guest");
    let mut config = sockets.config();
    config.overflow = vconsoled::config::Overflow::Keep;
    let _daemon = Daemon::start(&machine, config);
    let mut viewer = Attached::new(&sockets.control(), r#""domid":1,"console":"vuart0""#);
    let sent = noise(3_000_000);
    let to_send = sent.clone();
    let guest = std::thread::spawn(move || uart.send(&to_send));
    // More than all buffers on the way.
    assert!(viewer.read_some(1000) == sent[..1000]);
    wait_for("a full ring", || {
        let status = status(&sockets.control());
        let row = status
            .consoles
            .into_iter()
            .find(|one| one.console == "vuart0")?;
        (row.out_waiting == 2048).then_some(())
    });
    assert!(!guest.is_finished(), "the guest waits");
    let rest = viewer.read_some(sent.len() - 1000);
    assert!(rest == sent[1000..], "and nothing is lost");
    guest.join().unwrap();
}

#[test]
fn history_is_shown_as_far_as_it_is_wanted() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let mut config = sockets.config();
    config.history.0.0 = 1000;
    let _daemon = Daemon::start(&machine, config);
    let sent = noise(5000);
    pv.send(&sent);
    wait_for("all of it taken", || {
        (sockets.pv0().from_guest == 5000).then_some(())
    });
    for (members, from) in [
        (PV0.to_owned(), 4000),
        (with(r#""scrollback":10"#), 4990),
        (with(r#""scrollback":0"#), 5000),
        (with(r#""scrollback":18446744073709551615"#), 4000),
    ] {
        let mut viewer = Attached::new(&sockets.control(), &members);
        assert_eq!(viewer.position(), from as u64, "{members}");
        assert_eq!(viewer.answer["end"], 5000);
        assert!(viewer.read(5000 - from) == sent[from..]);
        assert!(is_silent(&mut viewer.stream), "{members}");
    }
    let mut plain = connect(&sockets.plain("1/pv0.sock"));
    assert!(read(&mut plain, 1000) == sent[4000..]);
}

#[test]
fn a_viewer_goes_on_where_its_last_connection_got_to() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    pv.send(b"0123456789");
    let mut first = Attached::new(&sockets.control(), PV0);
    assert_eq!(first.read(10), b"0123456789");
    let stream = first.answer["stream"].as_str().unwrap().to_owned();
    drop(first);
    let again = |from: u64| {
        let members = with(&format!("\"stream\":\"{stream}\",\"from\":{from}"));
        Attached::new(&sockets.control(), &members)
    };
    let mut second = again(4);
    assert_eq!((second.position(), second.read(6)), (4, b"456789".to_vec()));
    // Ahead by bytes that a killed daemon had not released: it waits.
    let mut ahead = again(12);
    assert_eq!(ahead.position(), 12);
    pv.send(b"abcdef");
    assert_eq!(ahead.read(4), b"cdef");
    // Too far ahead to be valid, or another stream: from the scrollback.
    assert_eq!(again(1_000_000).position(), 0);
    let other = Attached::new(&sockets.control(), &with(r#""stream":"other","from":3"#));
    assert_eq!(other.position(), 0);
    assert_eq!(other.answer["stream"], stream.as_str());
    // Bytes that are not kept any more are reported as lost.
    pv.send(&noise(2_000_000));
    wait_for("all of it taken", || {
        (sockets.pv0().from_guest == 2_000_016).then_some(())
    });
    let mut late = again(0);
    assert_eq!(late.position(), 0);
    let Frame::Lost(count) = late.frame() else {
        panic!("nothing lost?")
    };
    let rest = usize::try_from(2_000_016 - count).unwrap();
    assert!(late.read(rest) == noise(2_000_000)[2_000_000 - rest..]);
}

#[test]
fn what_cannot_be_attached_is_said() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let _guest = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    for (members, code) in [
        (r#""domid":1,"console":"pv7""#, "no-console"),
        (r#""domid":2,"console":"pv0""#, "no-domain"),
        (r#""domid":0,"console":"pv0""#, "no-domain"),
        (r#""name":"gues","console":"pv0""#, "no-domain"),
        (r#""console":"pv0""#, "bad-request"),
        (r#""domid":"1","console":"pv0""#, "bad-request"),
    ] {
        let (mut stream, answer) = request(&sockets.control(), members);
        assert_eq!(answer["code"], code, "{members}: {answer}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and that is all");
    }
    let by_name = Attached::new(&sockets.control(), r#""name":"guest","console":"vuart0""#);
    assert_eq!(by_name.answer["kind"], "vuart-private");
    assert_eq!(by_name.answer["domid"], 1);
}

#[test]
fn a_hundred_viewers_come_and_go_under_load() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log: logs_in(sockets.dir.path()),
        ..sockets.config()
    };
    let daemon = Daemon::start(&machine, config);
    let sent = noise(2_000_000);
    let to_send = sent.clone();
    let sender = std::thread::spawn(move || pv.send(&to_send));
    for count in 0..100 {
        if count % 2 == 0 {
            let mut viewer = Attached::new(&sockets.control(), PV0);
            let mut at = usize::try_from(viewer.position()).unwrap();
            if let Frame::Data(bytes) = viewer.frame() {
                assert!(bytes == sent[at..at + bytes.len()]);
                at += bytes.len();
                assert!(at <= sent.len());
            }
        } else {
            let mut plain = connect(&sockets.plain("1/pv0.sock"));
            assert!(plain.read(&mut [0; 100]).unwrap() > 0);
        }
    }
    sender.join().unwrap();
    sockets.until_viewers(0);
    daemon.stop().unwrap();
    let log = std::fs::read(sockets.dir.path().join("guest-guest.log")).unwrap();
    assert!(log == sent);
}

#[test]
fn the_number_of_viewers_is_bounded() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let mut viewers: Vec<_> = (0..32)
        .map(|_| connect(&sockets.plain("1/pv0.sock")))
        .collect();
    sockets.until_viewers(32);
    let (_, answer) = request(&sockets.control(), PV0);
    assert_eq!(answer["code"], "too-many");
    let mut plain = connect(&sockets.plain("1/pv0.ro.sock"));
    let mut told = String::new();
    plain.read_to_string(&mut told).unwrap();
    assert_eq!(told, "[too many viewers]\r\n");
    // Other consoles have their own limit.
    Attached::new(&sockets.control(), r#""domid":1,"console":"vuart0""#);
    drop(viewers.pop());
    sockets.until_viewers(31);
    let mut last = Attached::new(&sockets.control(), PV0);
    pv.send(b"hello");
    assert_eq!(last.read(5), b"hello");
}

#[test]
fn what_was_typed_arrives_although_its_viewer_has_gone() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let typed = noise(3000);
    let mut plain = connect(&sockets.plain("1/pv0.sock"));
    plain.write_all(&typed).unwrap();
    drop(plain);
    // More than the ring holds, so it has to wait for the guest.
    sockets.until_viewers(0);
    assert!(pv.receive(3000) == typed);
    // A hundred of those, whose input is not read, keep no viewer out.
    for _ in 0..100 {
        connect(&sockets.plain("1/pv0.sock"))
            .write_all(&typed)
            .unwrap();
    }
    let mut viewer = Attached::new(&sockets.control(), PV0);
    pv.send(b"still here");
    assert_eq!(viewer.read(10), b"still here");
}

#[test]
fn who_types_no_more_goes_on_seeing() {
    for name in ["1/pv0.sock", "1/pv0.ro.sock"] {
        let sockets = Sockets::new();
        let machine = Machine::new();
        let (_, mut pv, _) = guest(&machine, "guest");
        let _daemon = Daemon::start(&machine, sockets.config());
        let mut plain = connect(&sockets.plain(name));
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        sockets.until_viewers(1);
        pv.send(b"seen");
        assert_eq!(read(&mut plain, 4), b"seen");
        drop(plain);
        sockets.until_viewers(0);
    }
}

#[test]
fn viewers_are_told_why_it_is_over() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (first, mut pv, _) = guest(&machine, "first");
    let _second = guest(&machine, "second");
    let daemon = Daemon::start(&machine, sockets.config());
    let mut viewer = Attached::new(&sockets.control(), PV0);
    let mut plain = connect(&sockets.plain("1/pv0.sock"));
    let mut other = Attached::new(&sockets.control(), r#""domid":2,"console":"vuart0""#);
    sockets.until_viewers(2);
    pv.send(b"last words");
    machine.destroy(first).unwrap();
    assert_eq!(viewer.read(10), b"last words");
    let Frame::Ended(why) = viewer.frame() else {
        panic!("not ended?")
    };
    assert!(["domain", "console"].contains(&why.as_str()), "{why}");
    let mut rest = Vec::new();
    plain.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"last words");
    wait_for("no sockets of the domain", || {
        (!sockets.plain("1").exists()).then_some(())
    });
    assert!(!sockets.plain("by-name/first").is_symlink());
    assert!(sockets.plain("by-name/second").is_symlink());
    daemon.stop().unwrap();
    assert_eq!(other.frame(), Frame::Ended("daemon".into()));
    assert!(!sockets.consoles().exists());
}

#[test]
fn hostile_viewers_do_no_harm() {
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, sockets.config());
    let control = sockets.control();
    let mut good = Attached::new(&control, PV0);
    // Clients with empty, partial, oversized and invalid requests.
    let mut held: Vec<UnixStream> = Vec::new();
    for bytes in [
        &b""[..],
        b"{\"version\":1,",
        &[b'{'; 5000],
        b"{\n",
        b"\0\xff\n",
    ] {
        let mut stream = connect(&control);
        let _cut_off = stream.write_all(bytes);
        held.push(stream);
    }
    // Clients that send invalid frames: unknown types, partial headers, endless
    // lengths, an invalid mode.
    for bytes in [
        &b"\xff\xff\xff\xff\xff garbage"[..],
        b"\x01\x00",
        b"\x01\xff\xff\xff\xff",
        b"\x04\x01\0\0\0\x07",
        b"\x04\xff\xff\xff\x7f",
        b"\x02\x08\0\0\0\0\0\0\0\0\0\0\0",
    ] {
        let mut viewer = Attached::new(&control, PV0);
        viewer.stream.write_all(bytes).unwrap();
        held.push(viewer.stream);
    }
    // A client that never reads.
    held.push(Attached::new(&control, PV0).stream);
    let sent = noise(1_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(good.read(sent.len()) == sent));
        pv.send(&sent);
    });
    good.type_in(b"typed");
    assert_eq!(pv.receive(5), b"typed");
    drop(held);
    sockets.until_viewers(1);
}

#[test]
fn sockets_are_for_root_and_nothing_else_is_touched() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let (_, _, _) = guest(&machine, "../../escape");
    // What a killed daemon left, a file in the way, and a link.
    let precious = sockets.dir.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    private_dir(&sockets.plain("1"));
    private_dir(&sockets.plain("77"));
    drop(std::os::unix::net::UnixListener::bind(sockets.plain("1/pv0.sock")).unwrap());
    drop(std::os::unix::net::UnixListener::bind(sockets.plain("77/pv0.sock")).unwrap());
    symlink(&precious, sockets.plain("1/vuart0.sock")).unwrap();
    std::fs::write(sockets.plain("1/pv0.ro.sock"), "mine").unwrap();
    symlink(sockets.dir.path(), sockets.plain("2")).unwrap();
    let daemon = Daemon::start(&machine, sockets.config());

    let mut plain = connect(&sockets.plain("1/pv0.sock"));
    pv.send(b"works");
    assert_eq!(read(&mut plain, 5), b"works");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sockets.plain("1/pv0.sock")), 0o600);
    assert_eq!(mode(&sockets.plain("1")) & 0o022, 0);
    assert!(!sockets.plain("77").exists(), "swept");
    assert_eq!(
        std::fs::read(sockets.plain("1/pv0.ro.sock")).unwrap(),
        b"mine"
    );
    assert_eq!(
        std::fs::read_link(sockets.plain("1/vuart0.sock")).unwrap(),
        precious
    );
    assert!(
        !sockets.dir.path().join("pv0.sock").exists(),
        "through a link"
    );
    let names = std::fs::read_dir(sockets.plain("by-name")).unwrap();
    assert_eq!(names.count(), 1, "only a plain name is one");
    // A replaced socket is not removed.
    std::fs::remove_file(sockets.plain("1/pv0.sock")).unwrap();
    std::fs::write(sockets.plain("1/pv0.sock"), "another").unwrap();
    daemon.stop().unwrap();
    assert_eq!(
        std::fs::read(sockets.plain("1/pv0.sock")).unwrap(),
        b"another"
    );
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");

    // A directory that others can write to is refused.
    let shared = sockets.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    let link = sockets.dir.path().join("link");
    symlink(sockets.dir.path(), &link).unwrap();
    for path in [shared, link] {
        let mut config = sockets.config();
        config.sockets.consoles = Some(path);
        assert!(vconsoled::Server::new(machine.platform().unwrap(), config).is_err());
    }
}

#[test]
fn sockets_have_the_permissions_and_the_group_that_are_configured() {
    use nix::unistd::{Gid, Group, geteuid};
    use std::os::unix::fs::MetadataExt;
    use vconsoled::config::SocketMode;
    // Root can set any group, others their own.
    let group = if geteuid().is_root() {
        Group::from_name("nogroup")
    } else {
        Group::from_gid(Gid::effective())
    };
    let group = group.unwrap().expect("a group");
    let sockets = Sockets::new();
    let machine = Machine::new();
    let _guest = guest(&machine, "guest");
    let mut config = sockets.config();
    config.sockets.control_mode = SocketMode(0o640);
    config.sockets.consoles_mode = SocketMode(0o660);
    config.sockets.group = Some(group.name);
    let _daemon = Daemon::start(&machine, config);
    for (path, mode) in [
        (sockets.control(), 0o640),
        (sockets.plain("1/pv0.sock"), 0o660),
        (sockets.plain("1/pv0.ro.sock"), 0o660),
        (sockets.plain("1/vuart0.sock"), 0o660),
    ] {
        // The socket cannot be connected to before its permissions are right.
        wait_for("the socket", || UnixStream::connect(&path).ok());
        let metadata = std::fs::metadata(&path).unwrap();
        let seen = (metadata.mode() & 0o7777, metadata.gid());
        assert_eq!(seen, (mode, group.gid.as_raw()), "{}", path.display());
    }
}

fn private_dir(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .unwrap();
}
