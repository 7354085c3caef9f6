// SPDX-License-Identifier: MIT
//! Where a console's nodes are in xenstore, and what they hold.

use std::fmt;
use std::io;
use std::str::FromStr;

use xen_io::DomId;
use xen_io::xenstore::{Client, domain_path};

/// Longest value of a node that means anything here.
const VALUE_MAX: usize = 64;

/// A console of a domain.
pub(crate) type Key = (DomId, Slot);

/// The console that `3/vuart0` names.
pub(crate) fn parse_key(name: &str) -> Option<Key> {
    let (domid, slot) = name.split_once('/')?;
    let key: Key = (DomId(domid.parse().ok()?), slot.parse().ok()?);
    (name_of(key) == name).then_some(key)
}

/// How a console is named so.
pub(crate) fn name_of((domid, slot): Key) -> String {
    format!("{domid}/{slot}")
}

/// Where a domain's name is, which changes when it is renamed.
pub(crate) fn name_path(domid: DomId) -> String {
    format!("{}/name", domain_path(domid))
}

/// The token of the watch on a domain's name, and the domain that it is of.
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
    /// The places that every domain has.
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

    /// Whose changes tell that it must be looked at again. A secondary
    /// console's directory is the guest's, of which only the state matters.
    pub(crate) fn watched(self, domid: DomId) -> String {
        match self {
            Self::Pv | Self::Vuart => self.path(domid),
            Self::Secondary(_) => format!("{}/state", self.path(domid)),
        }
    }

    /// What its log's name ends in, before the dot.
    #[must_use]
    pub fn log_suffix(self) -> String {
        match self {
            Self::Pv => String::new(),
            Self::Vuart | Self::Secondary(_) => format!("-{self}"),
        }
    }
}

/// What people call it.
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
        // One name for each: numbers can be written in many ways.
        if slot.to_string() == name {
            Ok(slot)
        } else {
            Err(())
        }
    }
}

/// Where each domain's secondary consoles have the backend's directory.
pub(crate) fn backends() -> String {
    format!("{}/backend/console", domain_path(DomId::DOM0))
}

/// The backend's directory of one console.
pub(crate) fn backend_path(domid: DomId, devid: u32) -> String {
    format!("{}/{domid}/{devid}", backends())
}

/// Where the frontend's directory is.
pub(crate) fn frontend_path(domid: DomId, devid: u32) -> String {
    format!("{}/device/console/{devid}", domain_path(domid))
}

/// A node that holds a short text.
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

/// A node that holds a number; an empty one counts as missing.
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
