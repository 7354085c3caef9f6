// SPDX-License-Identifier: MIT
//! The frames of an attached connection (docs/reference/protocol.md): a type, a
//! length as a little-endian u32, and that many bytes.

use crate::attach::Mode;

/// Bytes of output, or of input.
pub const DATA: u8 = 1;
/// Number of bytes lost because the viewer was too slow, as a u64.
pub const LOST: u8 = 2;
/// The console is not served any more; the payload is the reason.
pub const ENDED: u8 = 3;
/// 0 for read-only, 1 for read-write.
pub const MODE: u8 = 4;

/// A text for the user that does not come from the guest.
pub const NOTICE: u8 = 5;

/// Bytes before the payload.
pub const HEADER: usize = 5;
/// Longest payload other than data.
pub const PAYLOAD_MAX: usize = 256;

/// A frame from the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Output; a frame of data may come in several parts.
    Data(Vec<u8>),
    /// This many bytes are missing here.
    Lost(u64),
    /// The console is not served any more.
    Ended(String),
    /// The viewer's mode now.
    Mode(Mode),
    /// A text for the user.
    Notice(String),
}

/// Decodes frames as they arrive.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Bytes that a frame of data still lacks.
    data: usize,
}

impl Decoder {
    /// The frames that these bytes complete. An error means that the daemon
    /// violates the protocol.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, String> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            if self.data > 0 {
                let (now, rest) = bytes.split_at(self.data.min(bytes.len()));
                frames.push(Frame::Data(now.to_vec()));
                self.data -= now.len();
                bytes = rest;
                continue;
            }
            // A header and its short payload.
            let wanted = self.wanted()?;
            let (now, rest) = bytes.split_at((wanted - self.bytes.len()).min(bytes.len()));
            self.bytes.extend_from_slice(now);
            bytes = rest;
            if self.bytes.len() == self.wanted()? {
                frames.extend(self.complete()?);
            }
        }
        Ok(frames)
    }

    /// Size of the current frame, or of its header until that is complete.
    fn wanted(&self) -> Result<usize, String> {
        let Some((kind, length)) = self.header() else {
            return Ok(HEADER);
        };
        match kind {
            DATA => Ok(HEADER),
            _ if length <= PAYLOAD_MAX => Ok(HEADER + length),
            _ => Err(format!("a frame of type {kind} and {length} bytes")),
        }
    }

    fn header(&self) -> Option<(u8, usize)> {
        let (header, _) = self.bytes.split_first_chunk::<HEADER>()?;
        let [kind, a, b, c, d] = *header;
        let length = u32::from_le_bytes([a, b, c, d]);
        Some((kind, usize::try_from(length).unwrap_or(usize::MAX)))
    }

    fn complete(&mut self) -> Result<Option<Frame>, String> {
        let Some((kind, length)) = self.header() else {
            return Ok(None);
        };
        let bytes = std::mem::take(&mut self.bytes);
        let payload = &bytes[HEADER..];
        match kind {
            DATA => {
                self.data = length;
                Ok(None)
            }
            LOST => match payload.try_into() {
                Ok(count) => Ok(Some(Frame::Lost(u64::from_le_bytes(count)))),
                Err(_) => Err(format!("a count of {length} bytes")),
            },
            ENDED => Ok(Some(Frame::Ended(
                String::from_utf8_lossy(payload).into_owned(),
            ))),
            MODE => Ok(Some(Frame::Mode(match payload {
                [1] => Mode::ReadWrite,
                _ => Mode::ReadOnly,
            }))),
            NOTICE => Ok(Some(Frame::Notice(
                String::from_utf8_lossy(payload).into_owned(),
            ))),
            // Frames of a newer daemon are ignored.
            _ => Ok(None),
        }
    }
}

/// A frame of output, or of input.
#[must_use]
pub fn data(bytes: &[u8]) -> Vec<u8> {
    encode(DATA, bytes)
}

/// A frame that reports missing bytes.
#[must_use]
pub fn lost(count: u64) -> Vec<u8> {
    encode(LOST, &count.to_le_bytes())
}

/// A frame that reports why the console is not served any more.
#[must_use]
pub fn ended(why: &str) -> Vec<u8> {
    encode(ENDED, why.as_bytes())
}

/// A frame with a text for the user, cut to the longest payload.
#[must_use]
pub fn notice(text: &str) -> Vec<u8> {
    let mut ends = (0..=text.len().min(PAYLOAD_MAX)).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    encode(NOTICE, &text.as_bytes()[..end.unwrap_or(0)])
}

/// A frame that requests a mode, or reports the granted one.
#[must_use]
pub fn mode(mode: Mode) -> Vec<u8> {
    encode(MODE, &[u8::from(mode == Mode::ReadWrite)])
}

fn encode(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&[kind][..], &length.to_le_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes as documented in docs/reference/protocol.md.
    const WIRE: &[u8] = b"\x01\x03\0\0\0abc\x02\x08\0\0\0\x02\x01\0\0\0\0\0\0\
        \x04\x01\0\0\0\x01\x05\x02\0\0\0hi\x09\x02\0\0\0??\x01\0\0\0\0\x03\x06\0\0\0domain";

    fn joined(frames: Vec<Frame>) -> Vec<Frame> {
        let mut joined: Vec<Frame> = Vec::new();
        for frame in frames {
            match (joined.last_mut(), frame) {
                (Some(Frame::Data(all)), Frame::Data(more)) => all.extend(more),
                (_, frame) => joined.push(frame),
            }
        }
        joined
    }

    #[test]
    fn frames_come_out_however_they_are_cut() {
        let expected = [
            Frame::Data(b"abc".to_vec()),
            Frame::Lost(258),
            Frame::Mode(Mode::ReadWrite),
            Frame::Notice("hi".into()),
            Frame::Ended("domain".into()),
        ];
        for cut in 1..=WIRE.len() {
            let mut decoder = Decoder::default();
            let frames = WIRE
                .chunks(cut)
                .flat_map(|part| decoder.push(part).unwrap())
                .collect();
            assert_eq!(joined(frames), expected, "cut every {cut}");
        }
    }

    #[test]
    fn invalid_frames_are_refused_and_take_no_memory() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(b"\x03\xff\xff\xff\xff").is_err());
        let mut decoder = Decoder::default();
        assert!(decoder.push(b"\x02\x01\0\0\0x").is_err());
        // Data of any length is passed on as it arrives.
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(b"\x01\xff\xff\xff\xff"), Ok(vec![]));
        assert_eq!(decoder.push(b"a"), Ok(vec![Frame::Data(b"a".to_vec())]));
    }

    #[test]
    fn what_is_sent_is_as_documented() {
        assert_eq!(data(b"ab"), b"\x01\x02\0\0\0ab");
        assert_eq!(lost(258), b"\x02\x08\0\0\0\x02\x01\0\0\0\0\0\0");
        assert_eq!(ended("domain"), b"\x03\x06\0\0\0domain");
        assert_eq!(notice("hi"), b"\x05\x02\0\0\0hi");
        let long = notice(&"\u{e9}".repeat(200));
        assert_eq!(
            (long.len(), long[1..3].to_vec()),
            (HEADER + 256, vec![0, 1])
        );
        let long = notice(&format!("x{}", "\u{e9}".repeat(200)));
        assert_eq!(long.len(), HEADER + 255, "no letter is cut");
        assert_eq!(mode(Mode::ReadOnly), b"\x04\x01\0\0\0\0");
        assert_eq!(mode(Mode::ReadWrite), b"\x04\x01\0\0\0\x01");
    }
}
