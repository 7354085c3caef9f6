// SPDX-License-Identifier: MIT
//! Xenstore's messages (Xen `public/io/xs_wire.h`): a header of four words in
//! the machine's byte order, then at most 4096 bytes.

use std::io;

use rustix::io::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Access, Permission, WatchEvent};
use crate::types::DomId;

/// Longest payload (Xen `XENSTORE_PAYLOAD_MAX`).
pub(crate) const PAYLOAD_MAX: usize = 4096;
/// Longest absolute path (Xen `XENSTORE_ABS_PATH_MAX`).
pub(crate) const PATH_MAX: usize = 3072;
/// Size of a header.
pub(crate) const HEADER: usize = size_of::<Header>();

/// Message types.
pub(crate) mod kind {
    pub(crate) const DIRECTORY: u32 = 1;
    pub(crate) const READ: u32 = 2;
    pub(crate) const GET_PERMS: u32 = 3;
    pub(crate) const WATCH: u32 = 4;
    pub(crate) const UNWATCH: u32 = 5;
    pub(crate) const TRANSACTION_START: u32 = 6;
    pub(crate) const TRANSACTION_END: u32 = 7;
    pub(crate) const WRITE: u32 = 11;
    pub(crate) const MKDIR: u32 = 12;
    pub(crate) const RM: u32 = 13;
    pub(crate) const SET_PERMS: u32 = 14;
    pub(crate) const WATCH_EVENT: u32 = 15;
    pub(crate) const ERROR: u32 = 16;
    pub(crate) const IS_DOMAIN_INTRODUCED: u32 = 17;
    pub(crate) const DIRECTORY_PART: u32 = 22;
}

/// `struct xsd_sockmsg`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, Immutable, IntoBytes)]
pub(crate) struct Header {
    pub(crate) kind: u32,
    pub(crate) request: u32,
    pub(crate) transaction: u32,
    pub(crate) length: u32,
}

/// A complete message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u32,
    pub(crate) request: u32,
    pub(crate) transaction: u32,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    /// Encodes the message.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        if self.payload.len() > PAYLOAD_MAX {
            return Err(Errno::TOOBIG.into());
        }
        let header = Header {
            kind: self.kind,
            request: self.request,
            transaction: self.transaction,
            length: u32::try_from(self.payload.len()).map_err(|_| Errno::TOOBIG)?,
        };
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&self.payload);
        Ok(bytes)
    }

    /// Takes the first message from received bytes, if it is complete. A length
    /// beyond the protocol's limit is an error: nothing after it can be decoded.
    pub(crate) fn decode(bytes: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let Ok((header, rest)) = Header::read_from_prefix(bytes) else {
            return Ok(None);
        };
        let length = header.length as usize;
        if length > PAYLOAD_MAX {
            return Err(invalid("a message longer than the protocol allows"));
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let message = Self {
            kind: header.kind,
            request: header.request,
            transaction: header.transaction,
            payload: payload.to_vec(),
        };
        bytes.drain(..HEADER + length);
        Ok(Some(message))
    }

    /// A watch event's path and token.
    pub(crate) fn watch_event(&self) -> io::Result<WatchEvent> {
        let mut fields = strings(&self.payload);
        match (fields.next(), fields.next()) {
            (Some(path), Some(token)) => Ok(WatchEvent {
                path: text(path)?,
                token: text(token)?,
            }),
            _ => Err(invalid("a watch event without path and token")),
        }
    }
}

/// The NUL-terminated strings of a payload; a last one without NUL counts too.
pub(crate) fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    payload
        .split_inclusive(|byte| *byte == 0)
        .map(|field| field.strip_suffix(&[0]).unwrap_or(field))
}

/// One string as text.
pub(crate) fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| invalid("a string that is not text"))
}

/// The error for a violation of the protocol.
pub(crate) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("xenstore sent {what}"))
}

/// Errors by their names on the wire.
const ERRORS: [(&str, Errno); 16] = [
    ("EINVAL", Errno::INVAL),
    ("EACCES", Errno::ACCESS),
    ("EEXIST", Errno::EXIST),
    ("EISDIR", Errno::ISDIR),
    ("ENOENT", Errno::NOENT),
    ("ENOMEM", Errno::NOMEM),
    ("ENOSPC", Errno::NOSPC),
    ("EIO", Errno::IO),
    ("ENOTEMPTY", Errno::NOTEMPTY),
    ("ENOSYS", Errno::NOSYS),
    ("EROFS", Errno::ROFS),
    ("EBUSY", Errno::BUSY),
    ("EAGAIN", Errno::AGAIN),
    ("EISCONN", Errno::ISCONN),
    ("E2BIG", Errno::TOOBIG),
    ("EPERM", Errno::PERM),
];

/// The error for a payload of type `ERROR`.
pub(crate) fn error_from_name(payload: &[u8]) -> io::Error {
    let name = strings(payload).next().unwrap_or_default();
    ERRORS
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map_or_else(|| invalid("an unknown error"), |(_, errno)| (*errno).into())
}

/// The name of an error on the wire.
pub(crate) fn error_name(errno: Errno) -> &'static str {
    ERRORS
        .iter()
        .find(|(_, known)| *known == errno)
        .map_or("EIO", |(name, _)| name)
}

/// Encodes permissions: a letter and a domain each.
pub(crate) fn encode_permissions(permissions: &[Permission]) -> Vec<u8> {
    let mut payload = Vec::new();
    for Permission { domid, access } in permissions {
        let letter = match access {
            Access::None => 'n',
            Access::Read => 'r',
            Access::Write => 'w',
            Access::Both => 'b',
        };
        payload.extend_from_slice(format!("{letter}{domid}\0").as_bytes());
    }
    payload
}

/// The reverse of [`encode_permissions`].
pub(crate) fn decode_permissions<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
) -> io::Result<Vec<Permission>> {
    fields
        .map(|field| {
            let field = text(field)?;
            let mut letters = field.chars();
            let access = match letters.next() {
                Some('n') => Access::None,
                Some('r') => Access::Read,
                Some('w') => Access::Write,
                Some('b') => Access::Both,
                _ => return Err(invalid("a permission without its letter")),
            };
            let domid = letters
                .as_str()
                .parse()
                .map_err(|_| invalid("a permission without a domain"))?;
            Ok(Permission {
                domid: DomId(domid),
                access,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u32, payload: &[u8]) -> Message {
        Message {
            kind,
            request: 7,
            transaction: 3,
            payload: payload.to_vec(),
        }
    }

    #[test]
    fn a_message_is_four_words_and_its_payload() {
        let bytes = message(2, b"/a\0").encode().unwrap();
        let mut expected = Vec::new();
        for word in [2_u32, 7, 3, 3] {
            expected.extend_from_slice(&word.to_ne_bytes());
        }
        expected.extend_from_slice(b"/a\0");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn messages_come_out_whole_however_they_came_in() {
        let sent = [
            message(15, b"/a\0t\0"),
            message(2, b""),
            message(16, b"ENOENT\0"),
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(|one| one.encode().unwrap()).collect();
        for step in 1..=bytes.len() {
            let mut inbox = Vec::new();
            let mut got = Vec::new();
            for part in bytes.chunks(step) {
                inbox.extend_from_slice(part);
                while let Some(one) = Message::decode(&mut inbox).unwrap() {
                    got.push(one);
                }
            }
            assert_eq!(got, sent);
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_at_once() {
        for length in [4097_u32, 1 << 20, u32::MAX] {
            let mut bytes = Vec::new();
            for word in [2, 0, 0, length] {
                bytes.extend_from_slice(&word.to_ne_bytes());
            }
            let error = Message::decode(&mut bytes).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        assert!(message(2, &[0; 4097]).encode().is_err());
        assert!(message(2, &[0; 4096]).encode().is_ok());
    }

    #[test]
    fn a_watch_event_needs_path_and_token() {
        let event = message(15, b"/local\0dom1\0").watch_event().unwrap();
        assert_eq!(
            (event.path.as_str(), event.token.as_str()),
            ("/local", "dom1")
        );
        assert!(message(15, b"/local\0").watch_event().is_err());
        assert!(message(15, b"").watch_event().is_err());
        assert!(message(15, b"\xff\0t\0").watch_event().is_err());
    }

    #[test]
    fn errors_keep_their_meaning() {
        assert_eq!(error_from_name(b"ENOENT\0").raw_os_error(), Some(2));
        assert_eq!(error_from_name(b"EAGAIN\0").raw_os_error(), Some(11));
        assert_eq!(error_from_name(b"E2BIG\0").raw_os_error(), Some(7));
        assert_eq!(
            error_from_name(b"nonsense").kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn permissions_round_trip_and_garbage_does_not() {
        let permissions = [
            Permission {
                domid: DomId(0),
                access: Access::None,
            },
            Permission {
                domid: DomId(12),
                access: Access::Both,
            },
        ];
        let payload = encode_permissions(&permissions);
        assert_eq!(payload, b"n0\0b12\0");
        assert_eq!(decode_permissions(strings(&payload)).unwrap(), permissions);
        for garbage in [&b"x0\0"[..], b"r\0", b"\0", b"r99999999\0", b"r-1\0"] {
            assert!(decode_permissions(strings(garbage)).is_err());
        }
    }
}
