// SPDX-License-Identifier: MIT
//! Descriptors that the service manager stores for the next daemon, by name:
//! systemd's file descriptor store. Without a service manager nothing is stored.
//!
//! The next daemon gets all names in one environment variable, and the kernel
//! does not start a program with a variable that is too long. So names are short,
//! and their number is bounded.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};

use console_proto::Mode;
use xen_io::DomId;

use crate::guest::nodes::Slot;
use crate::service::notify::Manager;

/// Most stored descriptors: `FileDescriptorStoreMax=` of the unit.
pub(crate) const FDS_MAX: usize = 8192;

/// Most bytes of names with their separators: the kernel's limit for one variable
/// (`MAX_ARG_STRLEN`), less the variable's own name.
const NAMES_MAX: usize = 128 * 1024 - 64;

/// The purpose of a console's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its terminal.
    Terminal,
    /// A listening socket for viewers.
    Endpoint(Mode),
    /// A viewer on such a socket, with its send queue.
    Session(Mode, u8),
}

/// Viewers of a console are numbered by one digit, enough for the most that there
/// can be.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// The end of the names of a console's descriptors. `instance` distinguishes
/// domains that had the same number.
pub(crate) fn console(domid: DomId, slot: Slot, instance: &str) -> String {
    let hash = crc32fast::hash(format!("{slot} {instance}").as_bytes());
    format!("{domid}-{hash:08x}")
}

/// The name of a descriptor of a [`console`].
pub(crate) fn name(purpose: Purpose, console: &str) -> String {
    let (kind, number) = match purpose {
        Purpose::Terminal => ('t', None),
        Purpose::Endpoint(Mode::ReadWrite) => ('w', None),
        Purpose::Endpoint(Mode::ReadOnly) => ('r', None),
        Purpose::Session(Mode::ReadWrite, number) => ('W', Some(number)),
        Purpose::Session(Mode::ReadOnly, number) => ('R', Some(number)),
    };
    let digit = number.and_then(|number| DIGITS.get(usize::from(number)));
    let kind = [kind]
        .into_iter()
        .chain(digit.map(|digit| char::from(*digit)));
    format!("{}-{console}", kind.collect::<String>())
}

/// The domain in a descriptor's name.
fn domid(name: &str) -> Option<DomId> {
    name.split('-').nth(1)?.parse().ok().map(DomId)
}

/// The descriptors stored with the service manager.
#[derive(Default)]
pub(crate) struct FdStore {
    manager: Manager,
    /// Descriptors of the last daemon that were not taken yet.
    left: BTreeMap<String, Vec<OwnedFd>>,
    /// Number of descriptors by name.
    names: BTreeMap<String, usize>,
    /// The limit was reported.
    full: bool,
}

impl FdStore {
    /// The last daemon's descriptors.
    pub(crate) fn inherited(manager: Manager) -> Self {
        let inherited = xen_io::inherited::take().unwrap_or_else(|error| {
            tracing::warn!("the last daemon's descriptors cannot be used: {error}");
            Vec::new()
        });
        let mut kept = Self {
            manager,
            ..Self::default()
        };
        for (name, fd) in inherited {
            *kept.names.entry(name.clone()).or_default() += 1;
            kept.left.entry(name).or_default().push(fd);
        }
        kept
    }

    /// Whether descriptors can be stored.
    pub(crate) fn is_possible(&self) -> bool {
        self.manager.is_there()
    }

    /// Whether descriptors of the last daemon are left.
    pub(crate) fn is_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// The same for a domain's consoles.
    pub(crate) fn is_left_of(&self, of: DomId) -> bool {
        self.left.keys().any(|name| domid(name) == Some(of))
    }

    /// Takes the last daemon's descriptors of that name. They stay with the
    /// service manager too.
    pub(crate) fn take(&mut self, name: &str) -> Vec<OwnedFd> {
        self.left.remove(name).unwrap_or_default()
    }

    /// Stores descriptors for the next daemon together. `false` if that is not
    /// possible. They outlive this daemon once the service manager has received
    /// the message, which may be later.
    pub(crate) fn store(&mut self, name: &str, fds: &[BorrowedFd]) -> bool {
        if !self.is_possible() {
            return false;
        }
        let more = (fds.len(), fds.len() * (name.len() + 1));
        let now = self.size();
        if now.0 + more.0 > FDS_MAX || now.1 + more.1 > NAMES_MAX {
            if !self.full {
                tracing::warn!("only {now:?} descriptors and bytes of names are stored");
                self.full = true;
            }
            return false;
        }
        *self.names.entry(name.to_owned()).or_default() += fds.len();
        self.manager.store(name, fds);
        true
    }

    /// Removes the descriptors of that name from the store.
    pub(crate) fn remove(&mut self, name: &str) {
        if self.names.remove(name).is_some() {
            self.manager.remove(name);
        }
    }

    /// Removes all that were not taken, except for consoles of domains that are
    /// `awaited`. Returns whether there were any.
    pub(crate) fn remove_rest(&mut self, awaited: impl Fn(DomId) -> bool) -> bool {
        let left = std::mem::take(&mut self.left).into_iter();
        let (awaited, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            left.partition(|(name, _)| domid(name).is_some_and(&awaited));
        self.left = awaited;
        for name in gone.keys() {
            self.remove(name);
        }
        !gone.is_empty()
    }

    /// Number of descriptors, and bytes of their names.
    fn size(&self) -> (usize, usize) {
        let sizes = self.names.iter();
        sizes.fold((0, 0), |(fds, bytes), (name, count)| {
            (fds + count, bytes + count * (name.len() + 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longest environment variable, with its name and terminating byte: 32 pages
    /// of the smallest size.
    const VARIABLE_MAX: usize = 131_072;

    #[test]
    fn names_distinguish_consoles_and_purposes_and_are_short() {
        let mut names = std::collections::BTreeSet::new();
        let viewers = (0..32).flat_map(|number| {
            [Mode::ReadOnly, Mode::ReadWrite].map(|mode| Purpose::Session(mode, number))
        });
        let endpoints = [Mode::ReadOnly, Mode::ReadWrite].map(Purpose::Endpoint);
        let purposes: Vec<Purpose> = viewers
            .chain(endpoints)
            .chain([Purpose::Terminal])
            .collect();
        for domid in [DomId(1), DomId(32751)] {
            for slot in [Slot::Pv, Slot::Vuart, Slot::Secondary(u32::MAX)] {
                for instance in ["/vm/a", "/vm/b"] {
                    for purpose in &purposes {
                        let name = name(*purpose, &console(domid, slot, instance));
                        assert!(name.len() <= 17 && !name.contains(':'), "{name}");
                        assert_eq!(super::domid(&name), Some(domid), "{name}");
                        assert!(names.insert(name));
                    }
                }
            }
        }
        assert_eq!(names.len(), 2 * 3 * 2 * 67);
    }

    #[test]
    fn a_thousand_guests_fit_and_the_names_never_hinder_a_start() {
        // Two consoles each, with a terminal and two endpoints; and the most viewers.
        let (consoles, viewers) = (1000 * 2 * 3, 1024 * 2);
        let console = console(DomId(4999), Slot::Vuart, "");
        let name = |purpose| name(purpose, &console);
        let bytes = consoles * (name(Purpose::Terminal).len() + 1)
            + viewers * (name(Purpose::Session(Mode::ReadOnly, 31)).len() + 1);
        assert!(consoles + viewers < FDS_MAX && bytes < NAMES_MAX);
        assert!("LISTEN_FDNAMES=".len() + NAMES_MAX < VARIABLE_MAX);
        let unit = include_str!("../../packaging/vconsoled.service");
        assert!(unit.contains(&format!("\nFileDescriptorStoreMax={FDS_MAX}\n")));
    }
}
