// SPDX-License-Identifier: MIT
//! The nodes of a secondary console, and how its two ends connect: each has a
//! state, which the other watches.
//!
//! The toolstack writes the backend's directory. The frontend's belongs to the
//! guest, so only its state, its grant and its port are read from there.

use std::io;
use std::path::{Path, PathBuf};

use xen_io::xenstore::{Client, Permission};
use xen_io::{DomId, GrantRef, Port};

use super::nodes::{backend_path, frontend_path, text};
use super::source::{Ring, Source};

/// The `type` of a backend that is ours; without it QEMU serves the console.
const OURS: &str = "xenconsoled";

/// Where libxl looks whether the daemon serves channels.
const OFFER: &str = "/tool/vconsoled/channels";

/// Longest name of a channel.
const NAME_MAX: usize = 128;

/// Tells libxl that secondary consoles need no QEMU. The node stays when the
/// daemon ends: the guests that were made by it have none.
pub(crate) fn offer(store: &mut Client) -> io::Result<()> {
    store.write(OFFER, "1")
}

/// The state of an end (Xen `public/io/xenbus.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Initialising = 1,
    InitWait = 2,
    Initialised = 3,
    Connected = 4,
    Closing = 5,
    Closed = 6,
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "1" => Self::Initialising,
            "2" => Self::InitWait,
            "3" => Self::Initialised,
            "4" => Self::Connected,
            "5" => Self::Closing,
            "6" => Self::Closed,
            _ => return None,
        })
    }

    /// Whether it is what the backend's directory of a console says.
    pub(crate) fn stands(self, store: &mut Client, domid: DomId, devid: u32) -> io::Result<bool> {
        let path = format!("{}/state", backend_path(domid, devid));
        let there = store.read(&path)?;
        Ok(there.is_some_and(|there| there == (self as u32).to_string().as_bytes()))
    }

    /// Tells the frontend of it. A device that has gone stays so.
    pub(crate) fn give(self, store: &mut Client, domid: DomId, devid: u32) -> io::Result<()> {
        let path = format!("{}/state", backend_path(domid, devid));
        let text = (self as u32).to_string();
        store.transaction(|store| match store.read(&path)? {
            Some(there) if there != text.as_bytes() => store.write(&path, &text),
            _ => Ok(()),
        })
    }
}

/// What the host's end of a channel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// A pty, as an ordinary console has.
    Pty,
    /// A socket at that path.
    Socket(PathBuf),
}

/// A secondary console as the toolstack described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) connection: Connection,
    /// The channel's name, which is for people and for the guest.
    pub(crate) name: String,
    /// The toolstack wants it served.
    pub(crate) online: bool,
}

impl Device {
    /// Looks it up; `None` when there is none, or one that somebody else
    /// serves.
    pub(crate) fn find(store: &mut Client, domid: DomId, devid: u32) -> io::Result<Option<Self>> {
        let path = backend_path(domid, devid);
        let mut node = |name: &str| text(store, &format!("{path}/{name}"));
        if node("type")?.as_deref() != Some(OURS) {
            return Ok(None);
        }
        let connection = match node("connection")?.as_deref() {
            // Consoles that are no channels have none.
            None | Some("pty") => Connection::Pty,
            Some("socket") => {
                let path = node("path")?.unwrap_or_default();
                Connection::Socket(checked_path(&path)?)
            }
            Some(other) => {
                return Err(wrong(format!("{path}/connection is {other:?}")));
            }
        };
        let name = node("name")?.unwrap_or_default();
        if name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(wrong(format!("{path}/name is {name:?}")));
        }
        Ok(Some(Self {
            connection,
            name,
            online: node("online")?.as_deref() == Some("1"),
        }))
    }
}

/// What to do about a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Connect to its ring; then we are connected.
    Serve,
    /// Let go of its ring and be in that state.
    Rest(State),
}

/// The answer to a frontend's state; `None` is one that has gone.
pub(crate) fn reply(frontend: Option<State>, online: bool) -> Reply {
    match frontend {
        _ if !online => Reply::Rest(State::Closed),
        // It starts, or starts again after it was closed.
        Some(State::Initialising | State::InitWait) => Reply::Rest(State::InitWait),
        Some(State::Initialised | State::Connected) => Reply::Serve,
        Some(State::Closing) => Reply::Rest(State::Closing),
        Some(State::Closed) | None => Reply::Rest(State::Closed),
    }
}

/// The frontend's state; `None` when it has none. Messages about a frontend
/// never hold what the guest wrote.
pub(crate) fn frontend_state(
    store: &mut Client,
    domid: DomId,
    devid: u32,
) -> io::Result<Option<State>> {
    let path = format!("{}/state", frontend_path(domid, devid));
    match store.read(&path)? {
        None => Ok(None),
        Some(bytes) => std::str::from_utf8(&bytes)
            .ok()
            .and_then(State::parse)
            .map(Some)
            .ok_or_else(|| wrong("the guest's state of it is invalid".to_owned())),
    }
}

/// The ring that the frontend offers.
pub(crate) fn source(store: &mut Client, domid: DomId, devid: u32) -> io::Result<Source> {
    let path = frontend_path(domid, devid);
    let mut number = |node: &str| -> io::Result<u32> {
        let bytes = store.read(&format!("{path}/{node}"))?.unwrap_or_default();
        std::str::from_utf8(&bytes)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| wrong(format!("the guest's {node} of it is not a number")))
    };
    let grant = GrantRef(number("ring-ref")?);
    let port = Port(number("port")?);
    Ok(Source {
        ring: Ring::Granted { grant, port },
        limit: None,
    })
}

/// Tells of the pty. The node belongs to the control domain and must stay so:
/// a client opens what it names.
pub(crate) fn announce(store: &mut Client, domid: DomId, devid: u32, tty: &str) -> io::Result<()> {
    let path = format!("{}/tty", frontend_path(domid, devid));
    let seen_by_guest = Permission {
        domid,
        access: xen_io::xenstore::Access::Read,
    };
    store.write(&path, tty)?;
    store.set_permissions(&path, &[Permission::DOM0_ONLY, seen_by_guest])
}

/// A path for a socket: absolute, and the same whoever reads it.
fn checked_path(path: &str) -> io::Result<PathBuf> {
    let plain = path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !rest.chars().any(char::is_control)
    });
    if plain {
        Ok(Path::new(path).to_owned())
    } else {
        Err(wrong(format!(
            "{path:?} is no path for a socket: it must be absolute and plain"
        )))
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_a_frontend_has_its_answer() {
        for (state, wanted) in [
            ("1", Reply::Rest(State::InitWait)),
            ("2", Reply::Rest(State::InitWait)),
            ("3", Reply::Serve),
            ("4", Reply::Serve),
            ("5", Reply::Rest(State::Closing)),
            ("6", Reply::Rest(State::Closed)),
        ] {
            let frontend = State::parse(state);
            assert_eq!(frontend.map(|state| state as u32), state.parse().ok());
            assert_eq!(reply(frontend, true), wanted, "frontend {state}");
            assert_eq!(reply(frontend, false), Reply::Rest(State::Closed));
        }
        assert_eq!(reply(None, true), Reply::Rest(State::Closed));
        for garbage in ["", "0", "7", "8", "04", "4 ", "-1", "4294967295", "four"] {
            assert_eq!(State::parse(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn paths_of_sockets_are_absolute_and_plain() {
        for good in ["/run/a", "/run/xen/agent 1.sock", "/x"] {
            assert_eq!(checked_path(good).unwrap(), Path::new(good));
        }
        for bad in [
            "",
            "/",
            "a",
            "run/a",
            "/run/../a",
            "/run/./a",
            "/run//a",
            "/run/a/",
            "/a\nb",
            "/a\0b",
        ] {
            assert!(checked_path(bad).is_err(), "{bad:?}");
        }
    }
}
