// SPDX-License-Identifier: MIT
//! Packages from Debian, by name: `packages.toml`. Their files are in `pins.lock`.

use std::collections::BTreeMap;

use pins::{Set, Wanted};
use serde::Deserialize;

/// Architectures of the machines that build.
const BUILDERS: [&str; 2] = ["amd64", "arm64"];

/// The contents of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    pub(crate) debian: Debian,
    pub(crate) host: Host,
    pub(crate) docs: List,
    pub(crate) browser: List,
    pub(crate) hosts: List,
    pub(crate) misra: List,
    pub(crate) rpm: List,
    pub(crate) disks: List,
    pub(crate) programs: List,
    pub(crate) policy: List,
    pub(crate) openrc: List,
    pub(crate) dom0: List,
    pub(crate) gdb: List,
    pub(crate) armhf: OfRelease,
    /// Source packages, by the names of their sets.
    pub(crate) source: BTreeMap<String, Source>,
    pub(crate) sysroot: List,
    pub(crate) systemd: List,
    pub(crate) install: OfRelease,
    #[serde(rename = "install-bookworm")]
    pub(crate) install_bookworm: OfRelease,
    pub(crate) boot: OfRelease,
    pub(crate) sysvinit: OfRelease,
    pub(crate) agent: OfRelease,
    pub(crate) aavmf: OfRelease,
    pub(crate) installer: OfRelease,
    /// Kernels, by version.
    pub(crate) linux: BTreeMap<String, Kernel>,
}

/// The Debian releases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Debian {
    /// The codename, as on the package mirror.
    pub(crate) release: String,
    /// Codenames of the releases that can build.
    pub(crate) hosts: Vec<String>,
}

/// Tools of the building machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    packages: Vec<String>,
    /// The cross compilers for arm64 on other machines.
    cross: BTreeMap<String, String>,
}

impl Host {
    /// The packages that this machine needs.
    pub(crate) fn packages(&self) -> Vec<String> {
        let mut packages = self.packages.clone();
        let others = self.cross.iter();
        let others = others.filter(|(machine, _)| *machine != std::env::consts::ARCH);
        packages.extend(others.map(|(_, package)| package.clone()));
        packages
    }
}

/// Packages by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    pub(crate) packages: Vec<String>,
}

/// Packages by name, of their own release.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfRelease {
    pub(crate) release: String,
    pub(crate) packages: Vec<String>,
}

/// A source package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// Its release, if not [`Debian::release`]: then only a part is used.
    pub(crate) release: Option<String>,
    /// Only Debian's part, not upstream's.
    #[serde(default)]
    pub(crate) packaging: bool,
}

/// The package that depends on the kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    pub(crate) follow: String,
    /// Its release, if not [`Debian::release`].
    pub(crate) release: Option<String>,
    /// Debian's name of its architecture.
    #[serde(default = "arm64")]
    pub(crate) architecture: String,
}

fn arm64() -> String {
    "arm64".to_owned()
}

impl Packages {
    /// Reads the file, which is compiled into this program.
    pub(crate) fn read() -> Self {
        toml::from_str(include_str!("../../packages.toml")).expect("packages.toml is well formed")
    }

    /// The sets of pinned files, and their contents.
    pub(crate) fn sets(self) -> Vec<Set> {
        let set = |name: &str, wanted| Set {
            name: name.to_owned(),
            release: self.debian.release.clone(),
            wanted,
        };
        let mut sets = vec![
            set("sysroot", Wanted::Closure(self.sysroot.packages)),
            set("systemd", Wanted::Closure(self.systemd.packages)),
            set("gdb", Wanted::Closure(self.gdb.packages)),
            set("dom0", Wanted::Packages(self.dom0.packages, &["arm64"])),
            set(
                "programs",
                Wanted::Packages(self.programs.packages, &BUILDERS),
            ),
            set("policy", Wanted::Packages(self.policy.packages, &BUILDERS)),
            set("openrc", Wanted::Packages(self.openrc.packages, &BUILDERS)),
        ];
        for (name, list) in [
            ("install", self.install),
            ("install-bookworm", self.install_bookworm),
        ] {
            sets.push(Set {
                release: list.release,
                ..set(name, Wanted::Closure(list.packages))
            });
        }
        for (name, list) in [
            ("boot", self.boot),
            ("sysvinit", self.sysvinit),
            ("agent", self.agent),
            ("aavmf", self.aavmf),
            ("installer", self.installer),
        ] {
            sets.push(Set {
                release: list.release,
                ..set(name, Wanted::Packages(list.packages, &["arm64"]))
            });
        }
        sets.push(Set {
            release: self.armhf.release,
            ..set("armhf", Wanted::Packages(self.armhf.packages, &["armhf"]))
        });
        for (version, kernel) in self.linux {
            let release = kernel.release.as_ref();
            sets.push(Set {
                name: format!("linux-{version}"),
                release: release.unwrap_or(&self.debian.release).clone(),
                wanted: Wanted::Kernel(kernel.follow, kernel.architecture),
            });
        }
        for (name, source) in self.source {
            sets.push(match source.release {
                None => set(&name, Wanted::Source(source.name)),
                Some(release) => Set {
                    name,
                    release,
                    wanted: if source.packaging {
                        Wanted::Packaging(source.name)
                    } else {
                        Wanted::Upstream(source.name)
                    },
                },
            });
        }
        sets
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use pins::Lock;

    use super::*;
    use crate::debian::pins::LOCK;

    fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(LOCK)
    }

    #[test]
    fn each_wanted_package_is_pinned() {
        let lock = Lock::read(&path()).unwrap();
        for set in Packages::read().sets() {
            let pins = lock.set(&set.name);
            let wanted = match set.wanted {
                Wanted::Packages(names, _) | Wanted::Closure(names) => names,
                Wanted::Source(name) | Wanted::Upstream(name) | Wanted::Packaging(name) => {
                    vec![name]
                }
                Wanted::Kernel(..) => Vec::new(),
            };
            assert!(!pins.is_empty(), "{}", set.name);
            for name in wanted {
                let is_there = pins.iter().any(|pin| pin.name == name);
                assert!(is_there, "{}: {name}", set.name);
            }
        }
    }

    #[test]
    fn each_pin_belongs_to_a_set_and_names_a_file() {
        let lock = Lock::read(&path()).unwrap();
        let sets = Packages::read().sets();
        for pin in &lock.pins {
            assert!(!pin.sets.is_empty(), "{pin}");
            for name in &pin.sets {
                assert!(sets.iter().any(|set| set.name == *name), "{pin}: {name}");
            }
            assert!(pin.path.starts_with("pool/"), "{pin}");
            assert!(pin.file().starts_with(&pin.name), "{pin}");
            let hex = |byte: u8| byte.is_ascii_hexdigit();
            assert!(
                pin.sha256.len() == 64 && pin.sha256.bytes().all(hex),
                "{pin}"
            );
        }
    }

    #[test]
    fn the_file_is_as_it_is_written() {
        let mut lock = Lock::read(&path()).unwrap();
        let written = tempfile::NamedTempFile::new().unwrap();
        lock.write(written.path()).unwrap();
        assert!(fs::read(written).unwrap() == fs::read(path()).unwrap());
    }
}
