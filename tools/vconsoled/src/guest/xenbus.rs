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

/// The `type` of a backend of this daemon; without it QEMU serves the console.
const OURS: &str = "xenconsoled";

/// The node that tells libxl whether the daemon serves channels.
const OFFER: &str = "/tool/vconsoled/channels";

/// Longest name of a channel.
const NAME_MAX: usize = 128;

/// Tells libxl that secondary consoles need no QEMU. The node stays when the
/// daemon ends, because guests created with it have none.
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

    /// Whether the backend's directory of a console has this state.
    pub(crate) fn stands(self, store: &mut Client, domid: DomId, devid: u32) -> io::Result<bool> {
        let path = format!("{}/state", backend_path(domid, devid));
        let there = store.read(&path)?;
        Ok(there.is_some_and(|there| there == (self as u32).to_string().as_bytes()))
    }

    /// Writes the state for the frontend, unless the device is gone.
    pub(crate) fn give(self, store: &mut Client, domid: DomId, devid: u32) -> io::Result<()> {
        let path = format!("{}/state", backend_path(domid, devid));
        let text = (self as u32).to_string();
        store.transaction(|store| match store.read(&path)? {
            Some(there) if there != text.as_bytes() => store.write(&path, &text),
            _ => Ok(()),
        })
    }
}

/// The host's end of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// A pty, like an ordinary console's.
    Pty,
    /// A socket at that path.
    Socket(PathBuf),
}

/// A secondary console as described by the toolstack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) connection: Connection,
    /// The channel's name, for users and the guest.
    pub(crate) name: String,
    /// The toolstack requests service.
    pub(crate) online: bool,
}

impl Device {
    /// Reads it; `None` if there is none, or another backend serves it.
    pub(crate) fn find(store: &mut Client, domid: DomId, devid: u32) -> io::Result<Option<Self>> {
        let path = backend_path(domid, devid);
        let mut node = |name: &str| text(store, &format!("{path}/{name}"));
        if node("type")?.as_deref() != Some(OURS) {
            return Ok(None);
        }
        let connection = match node("connection")?.as_deref() {
            // Consoles that are not channels have no such node.
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

/// How to answer a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Connect to its ring; then the state is `Connected`.
    Serve,
    /// Disconnect from its ring and take that state.
    Rest(State),
}

/// The answer to a frontend's state; `None` means it is gone.
pub(crate) fn reply(frontend: Option<State>, online: bool) -> Reply {
    match frontend {
        _ if !online => Reply::Rest(State::Closed),
        // It starts, or restarts after it was closed.
        Some(State::Initialising | State::InitWait) => Reply::Rest(State::InitWait),
        Some(State::Initialised | State::Connected) => Reply::Serve,
        Some(State::Closing) => Reply::Rest(State::Closing),
        Some(State::Closed) | None => Reply::Rest(State::Closed),
    }
}

/// The frontend's state; `None` if it has none. Messages about a frontend never
/// contain text from the guest.
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

/// Writes the pty's name. The node must stay the control domain's: clients open
/// the path in it.
pub(crate) fn announce(store: &mut Client, domid: DomId, devid: u32, tty: &str) -> io::Result<()> {
    let path = format!("{}/tty", frontend_path(domid, devid));
    let seen_by_guest = Permission {
        domid,
        access: xen_io::xenstore::Access::Read,
    };
    store.write(&path, tty)?;
    store.set_permissions(&path, &[Permission::DOM0_ONLY, seen_by_guest])
}

/// Checks a socket's path: absolute, and with one meaning for every reader.
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
