// SPDX-License-Identifier: MIT
//! Paths of consoles' nodes in xenstore, and their values.

use std::fmt;
use std::io;
use std::str::FromStr;

use xen_io::DomId;
use xen_io::xenstore::{Client, domain_path};

/// Longest valid value of a node.
const VALUE_MAX: usize = 64;

/// A console of a domain.
pub(crate) type Key = (DomId, Slot);

/// Parses a console's name, such as `3/vuart0`.
pub(crate) fn parse_key(name: &str) -> Option<Key> {
    let (domid, slot) = name.split_once('/')?;
    let key: Key = (DomId(domid.parse().ok()?), slot.parse().ok()?);
    (name_of(key) == name).then_some(key)
}

/// The name of a console.
pub(crate) fn name_of((domid, slot): Key) -> String {
    format!("{domid}/{slot}")
}

/// Path of a domain's name, which changes when it is renamed.
pub(crate) fn name_path(domid: DomId) -> String {
    format!("{}/name", domain_path(domid))
}

/// The token of the watch on a domain's name, and the domain of such a token.
pub(crate) fn name_token(domid: DomId) -> String {
    format!("{domid}/name")
}

pub(crate) fn parse_name_token(token: &str) -> Option<DomId> {
    Some(DomId(token.strip_suffix("/name")?.parse().ok()?))
}

/// A place in a domain where a console can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The PV console.
    Pv,
    /// The emulated UART.
    Vuart,
    /// A secondary PV console or channel, by its number, which is not 0.
    Secondary(u32),
}

impl Slot {
    /// The slots that every domain has.
    pub const FIXED: [Self; 2] = [Self::Pv, Self::Vuart];

    /// Its directory in xenstore.
    #[must_use]
    pub fn path(self, domid: DomId) -> String {
        let domain = domain_path(domid);
        match self {
            Self::Pv => format!("{domain}/console"),
            Self::Vuart => format!("{domain}/vuart/0"),
            Self::Secondary(devid) => frontend_path(domid, devid),
        }
    }

    /// The watched path. A secondary console's directory is the guest's, of which
    /// only the state matters.
    pub(crate) fn watched(self, domid: DomId) -> String {
        match self {
            Self::Pv | Self::Vuart => self.path(domid),
            Self::Secondary(_) => format!("{}/state", self.path(domid)),
        }
    }

    /// The end of its log's name, before the dot.
    #[must_use]
    pub fn log_suffix(self) -> String {
        match self {
            Self::Pv => String::new(),
            Self::Vuart | Self::Secondary(_) => format!("-{self}"),
        }
    }
}

/// The form for users.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pv => f.write_str("pv0"),
            Self::Vuart => f.write_str("vuart0"),
            Self::Secondary(devid) => write!(f, "pv{devid}"),
        }
    }
}

impl FromStr for Slot {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        if let Some(fixed) = Self::FIXED.into_iter().find(|one| one.to_string() == name) {
            return Ok(fixed);
        }
        let devid = name.strip_prefix("pv").and_then(|rest| rest.parse().ok());
        let slot = devid.map(Self::Secondary).ok_or(())?;
        // One name per console: numbers can be written in several ways.
        if slot.to_string() == name {
            Ok(slot)
        } else {
            Err(())
        }
    }
}

/// The directory of the backends of all secondary consoles.
pub(crate) fn backends() -> String {
    format!("{}/backend/console", domain_path(DomId::DOM0))
}

/// The backend's directory of one console.
pub(crate) fn backend_path(domid: DomId, devid: u32) -> String {
    format!("{}/{domid}/{devid}", backends())
}

/// The frontend's directory of one console.
pub(crate) fn frontend_path(domid: DomId, devid: u32) -> String {
    format!("{}/device/console/{devid}", domain_path(domid))
}

/// Reads a node that contains a short text.
pub(crate) fn text(store: &mut Client, path: &str) -> io::Result<Option<String>> {
    let Some(bytes) = store.read(path)? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) if text.len() <= VALUE_MAX * 4 => Ok(Some(text)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{path} does not hold a short text"),
        )),
    }
}

/// Reads a node that contains a number; an empty one counts as missing.
pub(super) fn number<T: FromStr>(store: &mut Client, path: &str) -> io::Result<Option<T>> {
    let Some(bytes) = store.read(path)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(bytes.get(..VALUE_MAX).unwrap_or(&bytes));
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{path} is {text:?} and not a number"),
        )),
    }
}
