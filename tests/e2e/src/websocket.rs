// SPDX-License-Identifier: MIT
//! The client's side of a `WebSocket` (RFC 6455), as far as a terminal needs it.
//! Every dom0 contains this, so no crate is used.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// A client's key, and the server's answer to it: the RFC's example. It proves that
/// the server implements the protocol, and need not be secret.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The mask of a client's payload. A guessed mask harms only proxies.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// Opcodes.
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Values of the length field: the length follows in two bytes, or in eight.
const IN_TWO_BYTES: u8 = 0x7e;
const IN_EIGHT_BYTES: u8 = 0x7f;
/// Longest answer to the handshake, and longest frame.
const HEAD_MAX: usize = 16 << 10;
const FRAME_MAX: u64 = 1 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

#[derive(Debug)]
pub(crate) struct WebSocket {
    stream: TcpStream,
    /// Received bytes that are not parsed yet.
    unread: Vec<u8>,
}

impl WebSocket {
    /// Opens a `WebSocket`, with a path and additional headers. `limit` is the time
    /// for the server's answer.
    pub(crate) fn open(
        stream: TcpStream,
        path: &str,
        headers: &str,
        limit: Duration,
    ) -> Result<Self> {
        let unread = Vec::new();
        let mut socket = Self { stream, unread };
        let request = format!(
            "GET {path} HTTP/1.1\r\n{headers}upgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
        );
        socket.stream.write_all(request.as_bytes())?;
        socket.wait_at_most(limit)?;
        let end = loop {
            let mut places = socket.unread.windows(4);
            if let Some(end) = places.position(|place| place == b"\r\n\r\n") {
                break end + 4;
            }
            let is_short = socket.unread.len() < HEAD_MAX;
            ensure!(is_short && socket.fill()?, "no whole answer");
        };
        let answer: Vec<u8> = socket.unread.drain(..end).collect();
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.lines().next().unwrap_or_default();
        ensure!(status.starts_with("HTTP/1.1 101 "), "{status}");
        ensure!(answer.contains(ACCEPT), "no WebSocket: {answer}");
        Ok(socket)
    }

    /// Sets how long [`Self::read`] waits for more bytes.
    pub(crate) fn wait_at_most(&self, limit: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(limit))?)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(BINARY, bytes)
    }

    /// The next message; none if it did not arrive in time.
    pub(crate) fn read(&mut self) -> Result<Option<Message>> {
        loop {
            let Some((opcode, payload)) = frame(&self.unread)? else {
                if self.fill()? {
                    continue;
                }
                return Ok(None);
            };
            let end = payload.end;
            let payload = self.unread[payload].to_vec();
            self.unread.drain(..end);
            match opcode {
                TEXT => return Ok(Some(Message::Text(payload))),
                BINARY => return Ok(Some(Message::Binary(payload))),
                PING => self.write(PONG, &payload)?,
                PONG => {}
                CLOSE => {
                    self.write(CLOSE, &payload)?;
                    bail!("closed by the server");
                }
                _ => bail!("a frame of opcode {opcode}"),
            }
        }
    }

    fn write(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(&masked(opcode, payload)?)?)
    }

    /// Reads once; returns whether something arrived in time. The end is an error.
    fn fill(&mut self) -> Result<bool> {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(0) => bail!("the server has left"),
            Ok(length) => self.unread.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}

/// A client's frame.
fn masked(opcode: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | u8::try_from(length)?),
        length => {
            frame.push(0x80 | IN_TWO_BYTES);
            frame.extend_from_slice(&u16::try_from(length)?.to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    let mask = MASK.iter().cycle();
    frame.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    Ok(frame)
}

/// The server's frame at the beginning of some bytes, if it is complete: its
/// opcode, and its payload's range.
fn frame(bytes: &[u8]) -> Result<Option<(u8, Range<usize>)>> {
    let [head, length, rest @ ..] = bytes else {
        return Ok(None);
    };
    let length = match *length {
        short @ ..IN_TWO_BYTES => Some((2, u64::from(short))),
        IN_TWO_BYTES => {
            let bytes = rest.first_chunk();
            bytes.map(|bytes| (4, u64::from(u16::from_be_bytes(*bytes))))
        }
        IN_EIGHT_BYTES => {
            let bytes = rest.first_chunk();
            bytes.map(|bytes| (10, u64::from_be_bytes(*bytes)))
        }
        0x80.. => bail!("a server's frame that is masked"),
    };
    let Some((start, length)) = length else {
        return Ok(None);
    };
    ensure!(head & 0xf0 == 0x80, "a part of a message");
    ensure!(length <= FRAME_MAX, "a frame of {length} bytes");
    let payload = start..start + usize::try_from(length)?;
    Ok((bytes.len() >= payload.end).then_some((head & 0x0f, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_rfcs() {
        let hello = b"\x81\x05Hello";
        assert_eq!(frame(hello).unwrap(), Some((TEXT, 2..7)));
        let masked_hello = [
            0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(masked(BINARY, b"Hello").unwrap(), masked_hello);
        assert!(frame(&masked_hello).is_err(), "a server does not mask");
        assert!(frame(b"\x01\x03Hel").is_err(), "in parts");
    }

    #[test]
    fn lengths_have_three_forms() {
        for (head, length) in [
            (&b"\x82\x7d"[..], 125),
            (b"\x82\x7e\x01\x00", 256),
            (b"\x82\x7f\0\0\0\0\0\x01\0\0", 65536),
        ] {
            let whole = [head, &vec![7; length]].concat();
            let payload = head.len()..whole.len();
            assert_eq!(frame(&whole).unwrap(), Some((BINARY, payload)));
            for short in [0, 1, head.len() - 1, head.len(), whole.len() - 1] {
                assert_eq!(frame(&whole[..short]).unwrap(), None, "{short} bytes");
            }
        }
        assert!(frame(b"\x82\x7f\x7f\0\0\0\0\0\0\0").is_err(), "too long");
        let sent = masked(BINARY, &[0; 256]).unwrap();
        assert_eq!(sent[..4], [0x82, 0xfe, 1, 0]);
        assert_eq!(sent.len(), 8 + 256);
    }
}
