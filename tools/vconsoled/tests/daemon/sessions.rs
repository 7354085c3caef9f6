// SPDX-License-Identifier: MIT
//! Sessions of viewers: how they begin, are resumed, are bounded and end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::peer::{Attached, Frame, connect, request};
use crate::sockets::{PV0, Sockets, with};
use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use xen_io::fake::Machine;

#[test]
fn a_viewer_continues_where_its_last_connection_ended() {
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
fn a_refused_attach_has_a_reason() {
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
fn input_arrives_although_its_viewer_has_left() {
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
fn viewers_get_the_reason_of_the_end() {
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
