// SPDX-License-Identifier: MIT
//! Viewers on sockets: attached ones, which use frames, and plain ones.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::PATIENCE;

const DATA: u8 = 1;
const LOST: u8 = 2;
const ENDED: u8 = 3;
const MODE: u8 = 4;
const NOTICE: u8 = 5;

/// A decoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Data(Vec<u8>),
    Lost(u64),
    Ended(String),
    Mode(u8),
    Notice(String),
}

/// An attached viewer.
pub(crate) struct Attached {
    pub(crate) stream: UnixStream,
    pub(crate) answer: Value,
    /// Bytes received beyond those requested.
    ahead: Vec<u8>,
}

/// Connects, with timeouts long enough for a busy machine.
pub(crate) fn connect(socket: &Path) -> UnixStream {
    let stream =
        UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads exactly one line.
pub(crate) fn line(stream: &mut UnixStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while byte != *b"\n" {
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Sends an attach request with these members, and returns the answer.
pub(crate) fn request(socket: &Path, members: &str) -> (UnixStream, Value) {
    let mut stream = connect(socket);
    let request = format!("{{\"version\":1,\"attach\":{{{members}}}}}\n");
    stream.write_all(request.as_bytes()).unwrap();
    let answer = serde_json::from_str(&line(&mut stream)).unwrap();
    (stream, answer)
}

impl Attached {
    /// Attaches, and panics on an error.
    pub(crate) fn new(socket: &Path, members: &str) -> Self {
        let (stream, answer) = request(socket, members);
        assert!(answer["error"].is_null(), "{answer}");
        Self::of(stream, answer)
    }

    /// A viewer with the answer already received.
    pub(crate) fn of(stream: UnixStream, answer: Value) -> Self {
        Self {
            stream,
            answer,
            ahead: Vec::new(),
        }
    }

    pub(crate) fn position(&self) -> u64 {
        self.answer["position"].as_u64().unwrap()
    }

    pub(crate) fn frame(&mut self) -> Frame {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).unwrap();
        let [kind, length @ ..] = header;
        let mut payload = vec![0; u32::from_le_bytes(length) as usize];
        self.stream.read_exact(&mut payload).unwrap();
        match kind {
            DATA => Frame::Data(payload),
            LOST => Frame::Lost(u64::from_le_bytes(payload.try_into().unwrap())),
            ENDED => Frame::Ended(String::from_utf8(payload).unwrap()),
            MODE => Frame::Mode(payload[0]),
            NOTICE => Frame::Notice(String::from_utf8(payload).unwrap()),
            _ => panic!("a frame of type {kind}"),
        }
    }

    /// Exactly this many bytes of output, with none lost.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            match self.frame() {
                Frame::Data(more) => bytes.extend(more),
                other => panic!("{other:?} after {} of {length} bytes", bytes.len()),
            }
        }
        assert_eq!(bytes.len(), length, "more than was requested");
        bytes
    }

    /// This many bytes of output, with none lost; the rest is kept for the next
    /// call.
    pub(crate) fn read_some(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.ahead);
        while bytes.len() < length {
            match self.frame() {
                Frame::Data(more) => bytes.extend(more),
                other => panic!("{other:?} after {} of {length} bytes", bytes.len()),
            }
        }
        self.ahead = bytes.split_off(length);
        bytes
    }

    pub(crate) fn send(&mut self, kind: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let frame = [&[kind][..], &length, payload].concat();
        self.stream.write_all(&frame).unwrap();
    }

    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        self.send(DATA, bytes);
    }

    pub(crate) fn set_mode(&mut self, mode: u8) {
        self.send(MODE, &[mode]);
    }
}

/// Exactly this many bytes.
pub(crate) fn read(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether nothing comes for a while. Bytes that come later on a busy machine
/// remain for the next read.
pub(crate) fn is_silent(stream: &mut UnixStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let silent = stream.read(&mut [0]).is_err();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    silent
}
