// SPDX-License-Identifier: MIT
//! Moves pins to the versions in the present index. A set moves as a whole, and only if
//! each of its files is available: an index may list files that the pool does not
//! serve.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};

use crate::fetch::Fetcher;
use crate::index::{Index, Listed};
use crate::lock::{Lock, Pin};
use crate::mirrors::output;

/// Files that belong together.
#[derive(Debug)]
pub struct Set {
    /// Its name, unique.
    pub name: String,
    /// The files' release.
    pub release: String,
    /// The files.
    pub wanted: Wanted,
}

/// The contents of a set.
#[derive(Debug)]
pub enum Wanted {
    /// These packages, of each of these architectures.
    Packages(Vec<String>, &'static [&'static str]),
    /// These packages of arm64, and all that they depend on.
    Closure(Vec<String>),
    /// The kernel of an architecture that this package depends on.
    Kernel(String, String),
    /// A source package.
    Source(String),
    /// Only the upstream part of a source package.
    Upstream(String),
    /// Only Debian's part of it.
    Packaging(String),
}

/// The result of a move.
#[derive(Debug, Default)]
pub struct Moved {
    /// How many sets moved.
    pub sets: usize,
    /// Removed and added files, and sets that stay, a line each.
    pub changes: Vec<String>,
}

/// Moves sets in the lock file.
pub fn update<'a>(
    fetcher: &Fetcher,
    lock: &mut Lock,
    sets: impl IntoIterator<Item = &'a Set>,
) -> Result<Moved> {
    let mut indices = BTreeMap::new();
    let mut moved = Moved::default();
    for set in sets {
        let (name, release) = (&set.name, &set.release);
        if !indices.contains_key(release) {
            let index = Index::load(fetcher.run, &fetcher.indices, release)?;
            indices.insert(release, index);
        }
        let index = &indices[release];
        let before = lock.set(name);
        let listed = listed(index, &set.wanted)
            .with_context(|| format!("what the index of {release} has for {name}"))?;
        let now = pins(fetcher, index, &listed, set)?;
        if digests(&before) == digests(&now) {
            continue;
        }
        let searched = fetcher.search(&now, true)?;
        if let Some(found) = searched.iter().find(|found| found.file.is_none()) {
            let stays = format!("{name} stays as it is: {:#}", found.error());
            moved.changes.push(stays);
            continue;
        }
        moved.changes.extend(changes(name, &before, &now));
        replace(lock, name, now);
        moved.sets += 1;
    }
    Ok(moved)
}

/// The files of a set, as the index lists them.
fn listed(index: &Index, wanted: &Wanted) -> Result<Vec<Listed>> {
    match wanted {
        Wanted::Packages(names, architectures) => {
            let with_architectures = names.iter().flat_map(|name| {
                let of = move |architecture: &&str| format!("{name}:{architecture}");
                architectures.iter().map(of)
            });
            index.packages(&with_architectures.collect::<Vec<_>>())
        }
        Wanted::Closure(names) => index.packages(&index.closure(names)?),
        Wanted::Kernel(name, architecture) => index.packages(&index.kernel(name, architecture)?),
        Wanted::Source(name) | Wanted::Upstream(name) | Wanted::Packaging(name) => {
            let version = index
                .newest_source(name)?
                .with_context(|| format!("no source package {name}"))?;
            let mut files = index.source(name, &version)?;
            files.retain(|file| takes(wanted, &file.url));
            Ok(files)
        }
    }
}

/// Whether a set includes a file of a source package, by its address.
fn takes(wanted: &Wanted, url: &str) -> bool {
    let part = match wanted {
        Wanted::Upstream(_) => ".orig.tar.",
        Wanted::Packaging(_) => ".debian.tar.",
        _ => return true,
    };
    url.contains(part) && !url.contains(".asc")
}

fn pins(fetcher: &Fetcher, index: &Index, listed: &[Listed], set: &Set) -> Result<Vec<Pin>> {
    let today = output(fetcher.run, Command::new("date").args(["-u", "+%F"]))?;
    listed
        .iter()
        .map(|file| {
            Ok(Pin {
                name: file.name.clone(),
                version: file.version.clone(),
                architecture: file.architecture.clone(),
                release: set.release.clone(),
                date: today.trim().to_owned(),
                path: index.path(file)?,
                size: file.size,
                sha256: file.sha256.clone(),
                sets: vec![set.name.clone()],
            })
        })
        .collect()
}

/// A set's files, in any order.
fn digests(pins: &[Pin]) -> BTreeMap<&str, &str> {
    pins.iter()
        .map(|pin| (pin.sha256.as_str(), pin.path.as_str()))
        .collect()
}

fn changes(set: &str, before: &[Pin], now: &[Pin]) -> Vec<String> {
    let but_not = |these: &[Pin], those: &[Pin], sign: char| -> Vec<String> {
        let is_in = |pin: &Pin| those.iter().any(|other| other.sha256 == pin.sha256);
        let only = these.iter().filter(|pin| !is_in(pin));
        only.map(|pin| format!("{set}: {sign} {pin}")).collect()
    };
    [but_not(before, now, '-'), but_not(now, before, '+')].concat()
}

/// Replaces the pins of a set.
fn replace(lock: &mut Lock, set: &str, now: Vec<Pin>) {
    for pin in &mut lock.pins {
        pin.sets.retain(|of| of != set);
    }
    for pin in now {
        match lock
            .pins
            .iter_mut()
            .find(|known| known.sha256 == pin.sha256)
        {
            Some(known) => {
                known.sets.extend(pin.sets);
                known.sets.sort();
            }
            None => lock.pins.push(pin),
        }
    }
    lock.pins.retain(|pin| !pin.sets.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(sha256: &str, sets: &[&str]) -> Pin {
        Pin {
            name: "n".into(),
            version: "1".into(),
            architecture: "all".into(),
            release: "r".into(),
            date: "2026-01-01".into(),
            path: format!("pool/{sha256}"),
            size: 1,
            sha256: sha256.into(),
            sets: sets.iter().map(|&set| set.to_owned()).collect(),
        }
    }

    #[test]
    fn a_part_of_a_source_package_is_recognised_by_its_address() {
        let files = [
            "m/x.dsc",
            "m/x.orig.tar.xz",
            "m/x.orig.tar.xz.asc",
            "m/x.debian.tar.xz",
        ];
        let taken = |wanted: fn(String) -> Wanted| -> Vec<&str> {
            let wanted = wanted("x".into());
            files
                .into_iter()
                .filter(|url| takes(&wanted, url))
                .collect()
        };
        assert_eq!(taken(Wanted::Source), files);
        assert_eq!(taken(Wanted::Upstream), ["m/x.orig.tar.xz"]);
        assert_eq!(taken(Wanted::Packaging), ["m/x.debian.tar.xz"]);
    }

    #[test]
    fn a_set_that_moves_leaves_the_others_their_files() {
        let mut lock = Lock {
            pins: vec![
                pin("a", &["one", "two"]),
                pin("b", &["one"]),
                pin("c", &["two"]),
            ],
        };
        replace(
            &mut lock,
            "one",
            vec![pin("c", &["one"]), pin("d", &["one"])],
        );
        let expected = [
            pin("a", &["two"]),
            pin("c", &["one", "two"]),
            pin("d", &["one"]),
        ];
        assert_eq!(lock.pins, expected);
    }
}
