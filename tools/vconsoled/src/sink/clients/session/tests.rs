// SPDX-License-Identifier: MIT
use std::io::{Read as _, Write as _};

use console_proto::frame::HEADER;

use super::*;
use crate::access::{Caller, Way};

fn session() -> (Session, std::os::unix::net::UnixStream) {
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let near = UnixStream::from_std(near);
    let caller = Caller::unknown(Way::Control);
    let console = ("3/pv0".to_owned(), "guest".to_owned());
    let visitor = Visitor::new(caller, None, console, &std::sync::Arc::default());
    let (encoding, mode) = (Encoding::Framed, Mode::ReadWrite);
    let session = Session::new(near, visitor, encoding, mode, 0, Vec::new());
    (session, far)
}

/// How much of the far end's input is for the guest.
fn typed(session: &mut Session) -> usize {
    session.input = Readiness::Ready;
    let read = || session.read(&mut [0; 16], None);
    std::iter::from_fn(read).sum()
}

#[test]
fn only_input_that_reaches_the_guest_ends_idleness() {
    let (mut session, mut far) = session();
    let mut before = session.active;
    for (silenced, bytes, counts) in [
        (false, frame::data(b"typed"), true),
        (false, frame::mode(Mode::ReadWrite), false),
        (true, frame::data(b"in vain"), false),
    ] {
        session.silence(silenced);
        if silenced {
            before = session.active;
        }
        far.write_all(&bytes).unwrap();
        assert_eq!(typed(&mut session) > 0, counts, "{bytes:?}");
        assert_eq!(session.active > before, counts, "{bytes:?}");
        before = session.active;
    }
}

#[test]
fn modes_that_a_viewer_sets_and_does_not_read_do_not_pile_up() {
    let (mut session, mut far) = session();
    let output = OutputBuffer::in_memory(0).unwrap();
    for _ in 0..10_000 {
        far.write_all(&frame::mode(Mode::ReadOnly)).unwrap();
        session.input = Readiness::Ready;
        while session.read(&mut [0; 16], None).is_some() {}
    }
    assert!(
        session.sending.len() < 64,
        "{} bytes",
        session.sending.len()
    );
    session.feed(&output, 64).unwrap();
    let mut told = [0; HEADER + 1];
    far.read_exact(&mut told).unwrap();
    assert_eq!(told.as_slice(), frame::mode(Mode::ReadOnly));
}
