// SPDX-License-Identifier: MIT
//! Messages of a suite on bare metal to the program at the far end of the serial
//! line, and the answers.
//!
//! Both directions are messages over a stream of bytes: a kind, a length of two bytes
//! and so many bytes, numbers little endian. The suite sends one request at a time; the
//! peer answers every request but a [`Request::Verdict`] with one message of kind
//! [`ANSWER`].

use heapless::Vec;

/// Longest body of a message.
pub const BODY_MAX: usize = 2048;

/// Kind of the peer's messages.
pub const ANSWER: u8 = b'=';

/// The body of a message.
pub type Body = Vec<u8, BODY_MAX>;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub kind: u8,
    /// Its contents.
    pub body: Body,
}

impl Message {
    /// A message of the concatenated `parts`; anything past [`BODY_MAX`] is cut off.
    #[must_use]
    pub fn new(kind: u8, parts: &[&[u8]]) -> Self {
        let mut body = Body::new();
        for part in parts {
            let room = BODY_MAX - body.len();
            let _ = body.extend_from_slice(&part[..part.len().min(room)]);
        }
        Self { kind, body }
    }

    /// Passes its encoded bytes to `put`.
    pub fn send(&self, mut put: impl FnMut(&[u8])) {
        let [low, high, ..] = self.body.len().to_le_bytes();
        put(&[self.kind, low, high]);
        put(&self.body);
    }
}

/// Assembles messages from the bytes that arrive.
#[derive(Debug, Default)]
pub struct Reader {
    head: Vec<u8, 3>,
    body: Body,
}

impl Reader {
    /// Takes the next byte; returns the message that it completes. A message longer
    /// than [`BODY_MAX`] keeps what fits.
    pub fn push(&mut self, byte: u8) -> Option<Message> {
        if self.head.push(byte).is_err() {
            let _ = self.body.push(byte);
        }
        let &[kind, low, high] = self.head.as_slice() else {
            return None;
        };
        let length = usize::from(u16::from_le_bytes([low, high])).min(BODY_MAX);
        if self.body.len() < length {
            return None;
        }
        self.head.clear();
        Some(Message {
            kind,
            body: core::mem::take(&mut self.body),
        })
    }
}

/// The suite's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// [`Target::exchange`](crate::Target::exchange); answered by the output.
    Exchange {
        /// Bytes to take while held.
        take: u16,
        /// Bytes to send.
        input: &'a [u8],
    },
    /// [`Target::hold`](crate::Target::hold); answered by 1, or 0 if not possible.
    Hold(bool),
    /// [`Target::send_break`](crate::Target::send_break); answered by 1, or 0 if not
    /// possible.
    Break,
    /// [`Target::reset_peer`](crate::Target::reset_peer); answered by an empty body.
    Reset,
    /// The result of a case; not answered.
    Verdict {
        /// Its place in [`all`](crate::all).
        case: u16,
        /// How it ended.
        ending: Ending,
        /// The reason as text; empty if it passed.
        why: &'a [u8],
    },
    /// Every case has run; not answered.
    Done,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The requirement is met.
    Passed,
    /// It is not.
    Failed,
    /// It could not be run.
    NotPossible,
}

impl Request<'_> {
    /// As a message.
    #[must_use]
    pub fn to_message(&self) -> Message {
        match *self {
            Self::Exchange { take, input } => Message::new(b'x', &[&take.to_le_bytes(), input]),
            Self::Hold(hold) => Message::new(b'h', &[&[hold.into()]]),
            Self::Break => Message::new(b'b', &[]),
            Self::Reset => Message::new(b'r', &[]),
            Self::Verdict { case, ending, why } => {
                let ending = match ending {
                    Ending::Passed => b'p',
                    Ending::Failed => b'f',
                    Ending::NotPossible => b'n',
                };
                Message::new(b'v', &[&case.to_le_bytes(), &[ending], why])
            }
            Self::Done => Message::new(b'd', &[]),
        }
    }
}

impl Message {
    /// The request in the message; `None` if it is another message.
    #[must_use]
    pub fn request(&self) -> Option<Request<'_>> {
        Some(match (self.kind, self.body.as_slice()) {
            (b'x', &[low, high, ref input @ ..]) => Request::Exchange {
                take: u16::from_le_bytes([low, high]),
                input,
            },
            (b'h', &[hold]) => Request::Hold(hold != 0),
            (b'b', []) => Request::Break,
            (b'r', []) => Request::Reset,
            (b'v', &[low, high, ending, ref why @ ..]) => Request::Verdict {
                case: u16::from_le_bytes([low, high]),
                ending: match ending {
                    b'p' => Ending::Passed,
                    b'f' => Ending::Failed,
                    b'n' => Ending::NotPossible,
                    _ => return None,
                },
                why,
            },
            (b'd', []) => Request::Done,
            _ => return None,
        })
    }
}

/// The peer, as requests reach it.
pub trait Peer {
    /// [`Target::exchange`](crate::Target::exchange). Output that does not fit into a
    /// message is left for the next one.
    fn exchange(&mut self, take: u16, input: &[u8]) -> Body;
    /// [`Target::hold`](crate::Target::hold); whether possible.
    fn hold(&mut self, hold: bool) -> bool;
    /// [`Target::send_break`](crate::Target::send_break); whether possible.
    fn send_break(&mut self) -> bool;
    /// [`Target::reset_peer`](crate::Target::reset_peer).
    fn reset(&mut self);
}

/// Performs a request on the peer and returns the answer to it.
pub fn answer(peer: &mut impl Peer, request: &Request<'_>) -> Option<Message> {
    let done = |done: bool| Message::new(ANSWER, &[&[done.into()]]);
    Some(match *request {
        Request::Exchange { take, input } => Message {
            kind: ANSWER,
            body: peer.exchange(take, input),
        },
        Request::Hold(hold) => done(peer.hold(hold)),
        Request::Break => done(peer.send_break()),
        Request::Reset => {
            peer.reset();
            Message::new(ANSWER, &[])
        }
        Request::Verdict { .. } | Request::Done => return None,
    })
}

/// The suite's end of the stream of messages.
pub trait Channel {
    /// Sends bytes, however long that takes.
    fn put(&mut self, bytes: &[u8]);
    /// Waits for the next byte.
    fn get(&mut self) -> u8;
}

/// The peer, from the suite's end of a channel.
#[derive(Debug)]
pub struct Remote<C> {
    channel: C,
}

impl<C: Channel> Remote<C> {
    /// The peer at the far end of `channel`.
    pub fn new(channel: C) -> Self {
        Self { channel }
    }

    /// Sends a request that has no answer.
    pub fn tell(&mut self, request: &Request<'_>) {
        request.to_message().send(|bytes| self.channel.put(bytes));
    }

    /// Sends a request and waits for the answer.
    pub fn ask(&mut self, request: &Request<'_>) -> Body {
        self.tell(request);
        let mut reader = Reader::default();
        loop {
            if let Some(message) = reader.push(self.channel.get()) {
                return message.body;
            }
        }
    }

    /// Requests something that may not be possible; returns whether it was.
    pub fn try_to(&mut self, request: &Request<'_>) -> bool {
        self.ask(request).first() == Some(&1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn travelled(request: &Request<'_>) -> Message {
        let mut reader = Reader::default();
        let mut arrived = None;
        request.to_message().send(|bytes| {
            for &byte in bytes {
                assert_eq!(arrived, None, "it arrives with its last byte");
                arrived = reader.push(byte);
            }
        });
        arrived.expect("a whole message")
    }

    #[test]
    fn requests_arrive_as_they_were_sent() {
        for request in [
            Request::Exchange {
                take: 0x1234,
                input: b"bytes",
            },
            Request::Exchange {
                take: 0,
                input: b"",
            },
            Request::Hold(true),
            Request::Hold(false),
            Request::Break,
            Request::Reset,
            Request::Verdict {
                case: 300,
                ending: Ending::Failed,
                why: b"because",
            },
            Request::Done,
        ] {
            assert_eq!(travelled(&request).request(), Some(request));
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        for message in [
            Message::new(b'?', &[]),
            Message::new(b'x', &[&[1]]),
            Message::new(b'h', &[]),
            Message::new(b'v', &[&[0, 0, b'?']]),
        ] {
            assert_eq!(message.request(), None);
        }
    }

    #[test]
    fn a_message_is_never_longer_than_its_place() {
        let message = Message::new(b'x', &[&[0; 2000], &[1; 2000]]);
        assert_eq!(message.body.len(), BODY_MAX);
    }
}
