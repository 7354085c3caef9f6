// SPDX-License-Identifier: MIT
//! `cargo xtask pins update`: what `packages.toml` wants, as the index lists it
//! now. A set moves as a whole, and only if each of its files can be had: an
//! index has been seen to list what the pool did not serve.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::fetch;
use super::index::{Index, Listed};
use super::lock::{Lock, Pin};
use crate::debian::packages::{Packages, Source};
use crate::engine::step::{Cx, Steps};

/// Architectures of the machines that build.
const BUILDERS: [&str; 2] = ["amd64", "arm64"];

/// Moves sets, or all, and prints what changed.
pub(super) fn update(steps: &Steps, wanted: &[String]) -> Result<()> {
    let packages = Packages::read();
    let sets: Vec<String> = packages.sets().map(|(set, _)| set).collect();
    for set in wanted {
        ensure!(
            sets.contains(set),
            "no set `{set}`: there are {}",
            sets.join(", ")
        );
    }
    let mut lock = Lock::read(&steps.dirs)?;
    steps.always("pins", |cx| {
        let mut indices = BTreeMap::new();
        let mut moved = 0;
        for set in sets
            .iter()
            .filter(|set| wanted.is_empty() || wanted.contains(set))
        {
            let release = packages.release(set);
            if !indices.contains_key(release) {
                indices.insert(release, Index::load(cx, release)?);
            }
            let index = &indices[release];
            let before = lock.set(set);
            let listed = listed(cx, index, &packages, set)
                .with_context(|| format!("what the index of {release} has for {set}"))?;
            let now = pins(cx, index, &listed, set, release)?;
            if digests(&before) == digests(&now) {
                continue;
            }
            let searched = fetch::search(cx, &now, true)?;
            if let Some(found) = searched.iter().find(|found| found.file.is_none()) {
                let error = fetch::error(cx, found.pin, &found.tried);
                println!("    {set} stays as it is: {error:#}");
                continue;
            }
            show(set, &before, &now);
            replace(&mut lock, set, now);
            moved += 1;
        }
        lock.write(&cx.dirs.clone())?;
        Ok((format!("{moved} of {} sets moved", sets.len()), ()))
    })
}

/// The files of a set, as the index lists them.
fn listed(cx: &Cx, index: &Index, packages: &Packages, set: &str) -> Result<Vec<Listed>> {
    let alone = |names: &[String], architectures: &[&str]| {
        let named = names.iter().flat_map(|name| {
            let of = |architecture: &&str| format!("{name}:{architecture}");
            architectures.iter().map(of).collect::<Vec<_>>()
        });
        index.packages(cx, &named.collect::<Vec<_>>())
    };
    match set {
        "sysroot" => index.packages(cx, &index.closure(cx, &packages.sysroot.packages)?),
        "systemd" => index.packages(cx, &index.closure(cx, &packages.systemd.packages)?),
        "dom0" => alone(&packages.dom0.packages, &["arm64"]),
        "programs" => alone(&packages.programs.packages, &BUILDERS),
        "kernel" => alone(&[index.followed(cx, &packages.kernel.follow)?], &["arm64"]),
        _ => {
            let Source { name, release } = packages.source(set).context("no such set")?;
            let version = index
                .newest_source(cx, name)?
                .with_context(|| format!("no source package {name}"))?;
            let mut files = index.source(cx, name, &version)?;
            if release.is_some() {
                let upstream = |url: &str| url.contains(".orig.tar.") && !url.contains(".asc");
                files.retain(|file| upstream(&file.url));
            }
            Ok(files)
        }
    }
}

fn pins(cx: &Cx, index: &Index, listed: &[Listed], set: &str, release: &str) -> Result<Vec<Pin>> {
    let today = cx.output(Command::new("date").args(["-u", "+%F"]))?;
    listed
        .iter()
        .map(|file| {
            Ok(Pin {
                name: file.name.clone(),
                version: file.version.clone(),
                architecture: file.architecture.clone(),
                release: release.to_owned(),
                date: today.trim().to_owned(),
                path: index.path(file)?,
                size: file.size,
                sha256: file.sha256.clone(),
                sets: vec![set.to_owned()],
            })
        })
        .collect()
}

/// A set's files, whatever their order.
fn digests(pins: &[Pin]) -> BTreeMap<&str, &str> {
    pins.iter()
        .map(|pin| (pin.sha256.as_str(), pin.path.as_str()))
        .collect()
}

fn show(set: &str, before: &[Pin], now: &[Pin]) {
    let not_in = |pins: &[Pin], pin: &&Pin| !pins.iter().any(|other| other.sha256 == pin.sha256);
    for pin in before.iter().filter(|pin| not_in(now, pin)) {
        println!("    {set}: - {pin}");
    }
    for pin in now.iter().filter(|pin| not_in(before, pin)) {
        println!("    {set}: + {pin}");
    }
}

/// Puts a set's pins in the place of those that it had.
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
