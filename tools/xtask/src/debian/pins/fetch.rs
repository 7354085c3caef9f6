// SPDX-License-Identifier: MIT
//! The fetcher. Each origin is asked only for what those before it lack: the
//! store, the folder of `--from`, the mirror's pool by path, the mirror's
//! index, and, if `--snapshot` says so, Debian's snapshot archive. Whatever an
//! origin gives is compared with the pin's size and digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow};

use super::index::{Index, Listed};
use super::lock::{Pin, Pins};
use super::mirrors::mirrors;
use super::store::{Held, Store, holds};
use crate::debian::apt;
use crate::engine::step::Cx;

/// Downloads by apt's own means, with apt's proxy and credentials.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// A pin that every origin was asked for and none has any more. Steps that
/// need it cannot be done on any machine.
#[derive(Debug, thiserror::Error)]
#[error("{pin} cannot be had:\n  {}\n{HELP}", tried.join("\n  "))]
pub(crate) struct Unavailable {
    pub(crate) pin: String,
    /// Each origin, and what came of it.
    pub(crate) tried: Vec<String>,
}

const HELP: &str = "\
Give a folder that holds the file with --from DIR, ask a snapshot archive with \
--snapshot URL, or move the pin with `cargo xtask pins update` (docs/pins.md).";

/// An origin that did not give a pin.
#[derive(Debug)]
pub(super) struct Attempt {
    origin: String,
    said: String,
    /// Whether it answered that it does not have the file.
    gone: bool,
}

impl Attempt {
    fn gone(origin: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            said: said.into(),
            gone: true,
        }
    }

    fn failed(origin: impl Into<String>, said: impl Into<String>) -> Self {
        Self {
            gone: false,
            ..Self::gone(origin, said)
        }
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.said)
    }
}

/// What came of looking for a pin.
pub(super) struct Found<'a> {
    pub(super) pin: &'a Pin,
    /// The file in the store, and where it came from.
    pub(super) file: Option<(PathBuf, String)>,
    pub(super) tried: Vec<Attempt>,
}

/// Fetches pins. Returns their files, in the same order.
pub(crate) fn fetch(cx: &Cx, pins: &Pins) -> Result<Vec<PathBuf>> {
    search(cx, &pins.0, true)?
        .into_iter()
        .map(|found| match found.file {
            Some((file, _)) => Ok(file),
            None => Err(error(cx, found.pin, &found.tried)),
        })
        .collect()
}

/// Fetches pins to a folder, under their own names.
pub(crate) fn fetch_to(cx: &Cx, pins: &Pins, folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut named = Vec::new();
    for (pin, file) in pins.0.iter().zip(fetch(cx, pins)?) {
        let path = folder.join(pin.file());
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        std::os::unix::fs::symlink(file, &path)?;
        named.push(path);
    }
    Ok(named)
}

/// Why a pin was not had, and that the mirror is out of reach, if it is.
pub(super) fn error(cx: &Cx, pin: &Pin, tried: &[Attempt]) -> anyhow::Error {
    let error = explain(&pin.to_string(), tried);
    match apt::offline(cx) {
        Some(offline) if !error.is::<Unavailable>() => offline.context(error.to_string()),
        _ => error,
    }
}

/// [`Unavailable`] only if no origin failed: a mirror out of reach, or one
/// that gives other contents, says nothing of what can be had elsewhere.
fn explain(pin: &str, tried: &[Attempt]) -> anyhow::Error {
    let unavailable = Unavailable {
        pin: pin.to_owned(),
        tried: tried.iter().map(Attempt::to_string).collect(),
    };
    if tried.iter().all(|attempt| attempt.gone) {
        unavailable.into()
    } else {
        anyhow!("{unavailable}")
    }
}

/// Looks for pins everywhere, with or without the store. What is found is in
/// the store then.
pub(super) fn search<'a>(cx: &Cx, pins: &'a [Pin], stored: bool) -> Result<Vec<Found<'a>>> {
    let found = pins.iter().map(|pin| Found {
        pin,
        file: None,
        tried: Vec::new(),
    });
    let mut search = Search {
        cx,
        store: Store::open()?,
        found: found.collect(),
    };
    if stored {
        search.store()?;
    }
    if let Some(folder) = &cx.origins.from {
        search.folder(folder)?;
    }
    search.pool()?;
    search.index()?;
    if let Some(archive) = &cx.origins.snapshot {
        search.snapshot(archive)?;
    }
    Ok(search.found)
}

struct Search<'c, 'a> {
    cx: &'c Cx<'c>,
    store: Store,
    found: Vec<Found<'a>>,
}

impl Search<'_, '_> {
    /// The pins that no origin has given yet, by their numbers.
    fn missing(&self) -> Vec<usize> {
        let missing = |&number: &usize| self.found[number].file.is_none();
        (0..self.found.len()).filter(missing).collect()
    }

    fn store(&mut self) -> Result<()> {
        let origin = format!("the store, {}", self.store.folder().display());
        for found in &mut self.found {
            let said = match self.store.get(found.pin)? {
                Held::File(file) => {
                    found.file = Some((file, "the store".into()));
                    continue;
                }
                Held::Nothing => "not there",
                Held::Damaged => "a file with other contents",
            };
            found.tried.push(Attempt::gone(&origin, said));
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> Result<()> {
        let origin = folder.display().to_string();
        for number in self.missing() {
            let found = &mut self.found[number];
            let named = [found.pin.file(), &found.pin.sha256].map(|name| folder.join(name));
            let said = match named.iter().find(|path| path.exists()) {
                Some(path) if holds(path, found.pin)? => {
                    let file = self.store.copy(found.pin, path)?;
                    found.file = Some((file, path.display().to_string()));
                    continue;
                }
                Some(_) => "a file with other contents",
                None => "not there",
            };
            found.tried.push(Attempt::gone(&origin, said));
        }
        Ok(())
    }

    /// By path, from each mirror.
    fn pool(&mut self) -> Result<()> {
        if self.missing().is_empty() {
            return Ok(());
        }
        match mirrors(self.cx) {
            Ok(mirrors) => mirrors.iter().try_for_each(|mirror| {
                self.download(|pin| Some(format!("{mirror}/{}", encoded(&pin.path))))
            }),
            Err(error) => {
                for number in self.missing() {
                    let attempt = Attempt::failed("the mirror", format!("{error:#}"));
                    self.found[number].tried.push(attempt);
                }
                Ok(())
            }
        }
    }

    /// Where the index says, if it lists the pinned file.
    fn index(&mut self) -> Result<()> {
        let releases: std::collections::BTreeSet<String> = self
            .missing()
            .into_iter()
            .map(|number| self.found[number].pin.release.clone())
            .collect();
        for release in releases {
            let index = Index::load(self.cx, &release);
            let mut urls = std::collections::BTreeMap::new();
            for number in self.missing() {
                let found = &mut self.found[number];
                if found.pin.release != release {
                    continue;
                }
                let looked_up = match &index {
                    Ok(index) => look_up(self.cx, index, found.pin),
                    Err(error) => Err(Attempt::failed("", first_line(&format!("{error:#}")))),
                };
                match looked_up {
                    Ok(url) if found.tried.iter().any(|tried| tried.origin == url) => {
                        let origin = format!("the index of {release}");
                        let said = "lists the file at the same address";
                        found.tried.push(Attempt::gone(origin, said));
                    }
                    Ok(url) => {
                        urls.insert(found.pin.sha256.clone(), url);
                    }
                    Err(mut attempt) => {
                        attempt.origin = format!("the index of {release}");
                        found.tried.push(attempt);
                    }
                }
            }
            self.download(|pin| urls.get(&pin.sha256).cloned())?;
        }
        Ok(())
    }

    /// The archive as it was on the day of the pin.
    fn snapshot(&mut self, archive: &str) -> Result<()> {
        self.download(|pin| {
            let day = pin.date.replace('-', "");
            Some(format!("{archive}/{day}T235959Z/{}", encoded(&pin.path)))
        })
    }

    /// Downloads what is missing and has an address.
    fn download(&mut self, address: impl Fn(&Pin) -> Option<String>) -> Result<()> {
        let missing = self.missing().into_iter();
        let wanted: Vec<(usize, String)> = missing
            .filter_map(|number| Some((number, address(self.found[number].pin)?)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let incoming = self.store.incoming()?;
        let mut helper = Command::new(APT_HELPER);
        helper.env("LC_ALL", "C");
        helper.args(["-q", "-o", "APT::Sandbox::User=root", "download-file"]);
        for (number, url) in &wanted {
            let sum = format!("SHA256:{}", self.found[*number].pin.sha256);
            let file = incoming.path().join(number.to_string());
            helper.arg(url).arg(file).arg(sum);
        }
        let said = self.cx.attempt(&mut helper)?;
        for (number, url) in wanted {
            let file = incoming.path().join(number.to_string());
            let found = &mut self.found[number];
            if file.exists() && holds(&file, found.pin)? {
                found.file = Some((self.store.accept(found.pin, &file)?, url));
            } else {
                let reason = reason(&said, &url);
                let gone = ["404", "410", "File not found"];
                found.tried.push(Attempt {
                    gone: gone.iter().any(|sign| reason.starts_with(sign)),
                    said: reason,
                    origin: url,
                });
            }
        }
        Ok(())
    }
}

/// The address at which the index lists a pin's file.
fn look_up(cx: &Cx, index: &Index, pin: &Pin) -> Result<String, Attempt> {
    let is_source = pin.architecture == "source";
    let name = match pin.architecture.as_str() {
        "source" | "all" => pin.name.clone(),
        architecture => format!("{}:{architecture}", pin.name),
    };
    let listed: Result<Vec<Listed>> = if is_source {
        index.source(cx, &pin.name, &pin.version)
    } else {
        index.packages(cx, &[format!("{name}={}", pin.version)])
    };
    let Ok(listed) = listed else {
        let newest = if is_source {
            index.newest_source(cx, &name)
        } else {
            index.newest(cx, &name)
        };
        return Err(Attempt::gone(
            "",
            match newest {
                Ok(Some(version)) => format!("has {version} instead"),
                _ => format!("has no {name}"),
            },
        ));
    };
    match listed.into_iter().find(|file| file.sha256 == pin.sha256) {
        Some(file) => Ok(file.url),
        None => Err(Attempt::failed(
            "",
            format!("lists {} with other contents", pin.version),
        )),
    }
}

/// Why apt did not get an address: `E: Failed to fetch URL  REASON [IP: …]`.
fn reason(said: &str, url: &str) -> String {
    let reason = said
        .lines()
        .find_map(|line| line.strip_prefix("E: Failed to fetch ")?.strip_prefix(url))
        .map_or("apt did not fetch it", |rest| {
            rest.split(" [IP: ").next().unwrap_or(rest).trim()
        });
    reason.to_owned()
}

/// A path as mirrors take it in an address: some read `+` as a space.
fn encoded(path: &str) -> String {
    path.replace('+', "%2b")
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_nobody_has_is_unavailable() {
        let is_unavailable = |tried: &[Attempt]| explain("n 1", tried).is::<Unavailable>();
        let gone = || Attempt::gone("the pool", "404");
        assert!(is_unavailable(&[gone(), gone()]));
        let failed = Attempt::failed("the index", "Could not connect");
        assert!(!is_unavailable(&[gone(), failed]));
    }

    #[test]
    fn apts_reason_is_found() {
        let said = "E: Failed to fetch http://m/a  404  Not Found [IP: 1.2.3.4 80]\n\
                    E: Failed to fetch http://m/b  Hash Sum mismatch\n";
        assert_eq!(reason(said, "http://m/a"), "404  Not Found");
        assert_eq!(reason(said, "http://m/b"), "Hash Sum mismatch");
        assert_eq!(reason(said, "http://m/c"), "apt did not fetch it");
    }
}
