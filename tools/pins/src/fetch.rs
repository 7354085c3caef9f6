// SPDX-License-Identifier: MIT
//! The fetcher. Each origin is tried only for files that those before it lack: the
//! store, a folder, the mirror's pool by path, the mirror's index, and, if configured,
//! a snapshot archive. Every file is compared with the pin's size and digest.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::found::{Attempt, Found};
use crate::index::{Index, Listed};
use crate::lock::{Pin, Pins};
use crate::mirrors::{Run, mirrors};
use crate::store::{Held, Store, holds};

/// Downloads with apt's proxy and credentials.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// Where pinned files may come from beside the store and the mirror.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Origins {
    /// Take pinned files from this folder if it has them
    #[arg(long, global = true, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Use the snapshot archive at this address, such as Debian's, for pinned files
    /// that no mirror has
    #[arg(long, global = true, value_name = "URL")]
    pub snapshot: Option<String>,
}

/// Fetches pins.
pub struct Fetcher<'a> {
    /// Runs apt's programs.
    pub run: Run<'a>,
    /// The store of fetched files.
    pub store: Store,
    /// A folder for the lists of releases.
    pub indices: PathBuf,
    /// Origins other than store and mirror.
    pub origins: Origins,
}

impl Fetcher<'_> {
    /// Fetches pins. Returns their files, in the same order.
    pub fn fetch(&self, pins: &Pins) -> Result<Vec<PathBuf>> {
        self.search(&pins.0, true)?
            .into_iter()
            .map(|found| match &found.file {
                Some((file, _)) => Ok(file.clone()),
                None => Err(found.error()),
            })
            .collect()
    }

    /// Looks for pins in all origins, with or without the store. Files found are then
    /// in the store.
    pub fn search<'p>(&self, pins: &'p [Pin], stored: bool) -> Result<Vec<Found<'p>>> {
        let found = pins.iter().map(|pin| Found {
            pin,
            file: None,
            tried: Vec::new(),
        });
        let mut search = Search {
            by: self,
            found: found.collect(),
        };
        if stored {
            search.store()?;
        }
        if let Some(folder) = &self.origins.from {
            search.folder(folder)?;
        }
        search.pool()?;
        search.index()?;
        if let Some(archive) = &self.origins.snapshot {
            search.snapshot(archive)?;
        }
        Ok(search.found)
    }
}

struct Search<'f, 'p> {
    by: &'f Fetcher<'f>,
    found: Vec<Found<'p>>,
}

impl Search<'_, '_> {
    /// The pins not found in any origin yet, by their numbers.
    fn missing(&self) -> Vec<usize> {
        let missing = |&number: &usize| self.found[number].file.is_none();
        (0..self.found.len()).filter(missing).collect()
    }

    fn store(&mut self) -> Result<()> {
        let origin = format!("the store, {}", self.by.store.folder().display());
        for found in &mut self.found {
            let said = match self.by.store.get(found.pin)? {
                Held::File(file) => {
                    found.file = Some((file, "the store".into()));
                    continue;
                }
                Held::Nothing => "not found",
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
                    let file = self.by.store.copy(found.pin, path)?;
                    found.file = Some((file, path.display().to_string()));
                    continue;
                }
                Some(_) => "a file with other contents",
                None => "not found",
            };
            found.tried.push(Attempt::gone(&origin, said));
        }
        Ok(())
    }

    /// From each mirror, by path.
    fn pool(&mut self) -> Result<()> {
        if self.missing().is_empty() {
            return Ok(());
        }
        match mirrors(self.by.run) {
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

    /// From the address in the index, if it lists the pinned file.
    fn index(&mut self) -> Result<()> {
        let releases: std::collections::BTreeSet<String> = self
            .missing()
            .into_iter()
            .map(|number| self.found[number].pin.release.clone())
            .collect();
        for release in releases {
            let index = Index::load(self.by.run, &self.by.indices, &release);
            let mut urls = std::collections::BTreeMap::new();
            for number in self.missing() {
                let found = &mut self.found[number];
                if found.pin.release != release {
                    continue;
                }
                let looked_up = match &index {
                    Ok(index) => look_up(index, found.pin),
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

    /// From the archive as of the pin's day.
    fn snapshot(&mut self, archive: &str) -> Result<()> {
        self.download(|pin| {
            let day = pin.date.replace('-', "");
            Some(format!("{archive}/{day}T235959Z/{}", encoded(&pin.path)))
        })
    }

    /// Downloads the missing files that have an address.
    fn download(&mut self, address: impl Fn(&Pin) -> Option<String>) -> Result<()> {
        let missing = self.missing().into_iter();
        let wanted: Vec<(usize, String)> = missing
            .filter_map(|number| Some((number, address(self.found[number].pin)?)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let incoming = self.by.store.incoming()?;
        let mut helper = Command::new(APT_HELPER);
        helper.env("LC_ALL", "C");
        helper.args(["-q", "-o", "APT::Sandbox::User=root", "download-file"]);
        for (number, url) in &wanted {
            let sum = format!("SHA256:{}", self.found[*number].pin.sha256);
            let file = incoming.path().join(number.to_string());
            helper.arg(url).arg(file).arg(sum);
        }
        let (_, said) = (self.by.run)(&mut helper)?;
        for (number, url) in wanted {
            let file = incoming.path().join(number.to_string());
            let found = &mut self.found[number];
            if file.exists() && holds(&file, found.pin)? {
                found.file = Some((self.by.store.accept(found.pin, &file)?, url));
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
fn look_up(index: &Index, pin: &Pin) -> Result<String, Attempt> {
    let is_source = pin.architecture == "source";
    let name = match pin.architecture.as_str() {
        "source" | "all" => pin.name.clone(),
        architecture => format!("{}:{architecture}", pin.name),
    };
    let listed: Result<Vec<Listed>> = if is_source {
        index.source(&pin.name, &pin.version)
    } else {
        index.packages(&[format!("{name}={}", pin.version)])
    };
    let Ok(listed) = listed else {
        let newest = if is_source {
            index.newest_source(&name)
        } else {
            index.newest(&name)
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

/// apt's reason for a failed download: `E: Failed to fetch URL  REASON [IP: …]`.
fn reason(said: &str, url: &str) -> String {
    let reason = said
        .lines()
        .find_map(|line| line.strip_prefix("E: Failed to fetch ")?.strip_prefix(url))
        .map_or("apt did not fetch it", |rest| {
            rest.split(" [IP: ").next().unwrap_or(rest).trim()
        });
    reason.to_owned()
}

/// A path encoded for an address: some mirrors read `+` as a space.
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
    fn apts_reason_is_found() {
        let said = "E: Failed to fetch http://m/a  404  Not Found [IP: 1.2.3.4 80]\n\
                    E: Failed to fetch http://m/b  Hash Sum mismatch\n";
        assert_eq!(reason(said, "http://m/a"), "404  Not Found");
        assert_eq!(reason(said, "http://m/b"), "Hash Sum mismatch");
        assert_eq!(reason(said, "http://m/c"), "apt did not fetch it");
    }
}
