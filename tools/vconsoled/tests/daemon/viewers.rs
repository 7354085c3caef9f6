// SPDX-License-Identifier: MIT
//! Several viewers of a console, by its pty and by sockets.

use std::io::{Read, Write};

use crate::peer::{Attached, Frame, connect, is_silent, read};
use crate::sockets::{PV0, Sockets, with};
use crate::support::*;
use terminal::noise;
use xen_io::fake::Machine;

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
fn every_viewer_with_the_right_types() {
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
fn input_of_a_read_only_viewer_is_discarded() {
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
fn a_viewer_stops_typing_and_starts_again() {
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
fn a_slow_viewer_loses_only_its_own_bytes_and_gets_their_number() {
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
fn history_is_shown_as_far_as_requested() {
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
fn a_viewer_that_stops_typing_still_gets_output() {
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
