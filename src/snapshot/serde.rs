// SPDX-License-Identifier: MIT
//! A snapshot in serde's formats: its bytes. That they are one is checked when it
//! is restored.

use core::fmt;

use ::serde::de::{Error, SeqAccess, Visitor};
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::layout::SIZE;
use super::persistent::Snapshot;

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Snapshot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SIZE} bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Snapshot, E> {
        let bytes = bytes.try_into();
        bytes
            .map(Snapshot)
            .map_err(|_| E::invalid_length(SIZE, &self))
    }

    /// Formats without bytes have a sequence of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Snapshot, A::Error> {
        let mut snapshot = Snapshot([0; SIZE]);
        for (at, byte) in snapshot.0.iter_mut().enumerate() {
            let number = numbers.next_element()?;
            *byte = number.ok_or_else(|| A::Error::invalid_length(at, &self))?;
        }
        match numbers.next_element::<u8>()? {
            None => Ok(snapshot),
            Some(_) => Err(A::Error::invalid_length(SIZE + 1, &self)),
        }
    }
}
