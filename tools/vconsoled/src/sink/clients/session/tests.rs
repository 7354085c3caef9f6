// SPDX-License-Identifier: MIT
use std::io::{Read as _, Write as _};

use console_proto::frame::HEADER;

use super::*;
use crate::access::{Caller, Way};

#[test]
fn modes_that_a_viewer_sets_and_does_not_read_do_not_pile_up() {
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let near = UnixStream::from_std(near);
    let caller = Caller::unknown(Way::Control);
    let visitor = Visitor::new(caller, None, "3/pv0".to_owned());
    let (encoding, mode) = (Encoding::Framed, Mode::ReadWrite);
    let mut session = Session::new(near, visitor, encoding, mode, 0, Vec::new());
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
