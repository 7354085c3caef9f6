// SPDX-License-Identifier: MIT
//! Descriptors that the service manager keeps for the next daemon, by name:
//! systemd's file descriptor store. Without a service manager nothing is kept.
//!
//! The next daemon gets all names in one variable of its environment, and a
//! program is not started at all with one that is longer than the kernel
//! takes. So names are short, and their number is bounded.

use std::collections::BTreeMap;
use std::os::fd::{BorrowedFd, OwnedFd};

use console_proto::Mode;
use xen_io::DomId;

use crate::guest::nodes::Slot;
use crate::service::notify::Manager;

/// Most that are left with the service manager: `FileDescriptorStoreMax=` of
/// the unit.
pub(crate) const FDS_MAX: usize = 8192;

/// Most bytes of names, each with what separates it from the next: the
/// kernel's limit for one variable (`MAX_ARG_STRLEN`), less the variable's own
/// name.
const NAMES_MAX: usize = 128 * 1024 - 64;

/// What a console's descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its terminal.
    Terminal,
    /// A socket by which viewers come.
    Endpoint(Mode),
    /// One of its viewers on such a socket, and what is on its way there.
    Session(Mode, u8),
}

/// Viewers of a console are told apart by a digit, of which there is one for
/// each of the most that there can be.
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// What names of a console's descriptors end in. `instance` tells the domain
/// from another one that had the same number.
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

/// The domain of a console's descriptor.
fn domid(name: &str) -> Option<DomId> {
    name.split('-').nth(1)?.parse().ok().map(DomId)
}

/// What the service manager keeps.
#[derive(Default)]
pub(crate) struct FdStore {
    manager: Manager,
    /// What the last daemon left and nobody has taken yet.
    left: BTreeMap<String, Vec<OwnedFd>>,
    /// How many descriptors there are of each name.
    names: BTreeMap<String, usize>,
    /// It has been said that no more fit.
    full: bool,
}

impl FdStore {
    /// What the last daemon left with the service manager.
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

    /// Whether anything outlives this daemon.
    pub(crate) fn is_possible(&self) -> bool {
        self.manager.is_there()
    }

    /// Whether the last daemon left anything that is not taken yet.
    pub(crate) fn is_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// The same of a domain's consoles.
    pub(crate) fn is_left_of(&self, of: DomId) -> bool {
        self.left.keys().any(|name| domid(name) == Some(of))
    }

    /// What the last daemon left under that name. It stays with the service
    /// manager as well.
    pub(crate) fn take(&mut self, name: &str) -> Vec<OwnedFd> {
        self.left.remove(name).unwrap_or_default()
    }

    /// Leaves descriptors for the next daemon, together. `false` when nobody
    /// keeps them. They outlive this daemon once the service manager has the
    /// message, which may be later.
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

    /// The next daemon has no use for what has that name.
    pub(crate) fn remove(&mut self, name: &str) {
        if self.names.remove(name).is_some() {
            self.manager.remove(name);
        }
    }

    /// Nor for any that was not taken, but for consoles of domains that are
    /// `awaited`. Whether there were any.
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

    /// Descriptors, and bytes of their names.
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

    /// What an environment variable may hold, its name and the byte at its end
    /// included: 32 pages of the smallest size.
    const VARIABLE_MAX: usize = 131_072;

    #[test]
    fn names_tell_consoles_and_purposes_apart_and_are_short() {
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
        // Two consoles each, with a terminal and two endpoints; and all viewers.
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
