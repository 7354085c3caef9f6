// SPDX-License-Identifier: MIT
//! Xenstore's wire protocol, from both sides: a server that sends anything to our
//! client, and a client that sends anything to the fake server, which must still serve
//! other clients.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use arbitrary::Arbitrary;
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::Client;

use crate::all;

const WATCH_EVENT: u32 = 15;
const ERROR: u32 = 16;

/// What fits in a socket before it is read.
const MOST: usize = 48 << 10;

/// What the other side sends.
#[derive(Arbitrary, Debug)]
enum Piece {
    /// A message that answers the request, or one near it.
    Answer(Kind, u8, Vec<u8>),
    /// An answer that contains an error.
    Error(u8),
    Event(Vec<u8>),
    /// A header with this length, and fewer or more bytes.
    Length(u32, Vec<u8>),
    Noise(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Asked,
    Other(u32),
}

fn message(kind: u32, request: u32, length: u32, payload: &[u8]) -> Vec<u8> {
    let header = [kind, request, 0, length].map(u32::to_ne_bytes);
    [header.as_flattened(), payload].concat()
}

fn whole(kind: u32, request: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    message(kind, request, length, payload)
}

impl Piece {
    /// As an answer to the request with this number and kind.
    fn bytes(&self, asked: u32, request: u32) -> Vec<u8> {
        match self {
            Self::Answer(Kind::Asked, near, payload) => {
                whole(asked, request.wrapping_add(u32::from(near / 64)), payload)
            }
            Self::Answer(Kind::Other(kind), _, payload) => whole(*kind, request, payload),
            Self::Error(which) => {
                let name: &[u8] = match which % 5 {
                    0 => b"ENOENT\0",
                    1 => b"E2BIG\0",
                    2 => b"EAGAIN\0",
                    3 => b"no error\0",
                    _ => b"",
                };
                whole(ERROR, request, name)
            }
            Self::Event(payload) => whole(WATCH_EVENT, 0, payload),
            Self::Length(length, payload) => message(asked, request, *length, payload),
            Self::Noise(bytes) => bytes.clone(),
        }
    }
}

/// All pieces that fit, concatenated; `request` returns the number and kind of the
/// request that a piece answers.
fn pieces(data: &[u8], request: impl Fn(usize) -> (u32, usize)) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, piece) in all::<Piece>(data).enumerate() {
        let (asked, number) = request(at);
        bytes.extend(piece.bytes(asked, u32::try_from(number).expect("few pieces")));
        if bytes.len() > MOST {
            break;
        }
    }
    bytes
}

/// The kinds of the requests that [`client`] makes, in order.
const ASKED: [u32; 8] = [2, 1, 22, 3, 4, 17, 6, 7];

/// A client against a server that answers anything.
fn client(data: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    // One request may get several pieces, and some get none.
    let bytes = pieces(data, |at| {
        let which = at * 2 / 3;
        (ASKED[which % ASKED.len()], which + 1)
    });
    // In one write: a socket has room for fewer bytes in many writes.
    theirs.write_all(&bytes).expect("room in the socket");
    theirs.shutdown(Shutdown::Write).expect("a connection");
    let mut client = Client::from_stream(ours).expect("a socket");
    for _ in 0..16 {
        if let Ok(Some(names)) = client.directory("/") {
            assert!(names.iter().all(|name| !name.contains('\0')));
        }
        let _ = client.read("/a");
        let _ = client.permissions("/a");
        let _ = client.watch("/a", "t");
        let _ = client.is_introduced(DomId(7));
        let _ = client.transaction(|client| client.write("/a", "b"));
        while let Ok(Some(event)) = client.next_event() {
            assert!(!event.path.contains('\0'));
        }
    }
}

/// The fake server against a client that asks anything.
fn server(data: &[u8]) {
    let machine = Machine::new();
    let domid = machine.create_domain("hostile").expect("a domain");
    let mut stream = machine.store().connect(domid).expect("a connection");
    let patience = Some(Duration::from_secs(10));
    stream.set_write_timeout(patience).expect("a socket");
    stream.set_read_timeout(patience).expect("a socket");
    let bytes = pieces(data, |at| (ASKED[(at + 1) % ASKED.len()], at + 1));
    // A server that rejects the input closes the connection.
    let _closed = stream.write_all(&bytes);
    let _closed = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    let end = stream.read_to_end(&mut answers);
    // A connection that is closed with unread input is reset.
    let ended = end.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |_| true);
    assert!(ended, "a server that does not answer");
    assert!(answers.len() <= 64 * MOST, "answers without end");
    let mut bystander = machine.toolstack().expect("a connection");
    bystander.write("/tool", "x").expect("others are served");
    assert_eq!(
        bystander.read("/tool").expect("an answer"),
        Some(b"x".to_vec())
    );
}

/// Client or server, by the first byte.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((which, data)) if which & 1 == 0 => client(data),
        Some((_, data)) => server(data),
        None => {}
    }
}
