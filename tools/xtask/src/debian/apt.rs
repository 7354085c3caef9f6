// SPDX-License-Identifier: MIT
//! Debian packages.
//!
//! Tools of this machine come from its own apt. Everything for arm64, and
//! sources, go through a private apt root under `target/apt` with its own
//! lists, cache and (empty) status, so that the machine's architectures and
//! sources stay as they are. The private root takes its mirror and its
//! settings from the machine's configuration.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::engine::dirs::Dirs;
use crate::engine::step::{Cx, write};

/// The packages of `wanted` that are not installed on this machine.
pub(crate) fn missing_on_host(wanted: &[String]) -> Result<Vec<String>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .output()
        .map_err(|error| anyhow!("no dpkg-query ({error}): this needs a Debian 12 machine"))?;
    let text = String::from_utf8(output.stdout)?;
    let installed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    Ok(wanted
        .iter()
        .filter(|package| !installed.contains(package.as_str()))
        .cloned()
        .collect())
}

/// What a person types to install `packages`.
pub(crate) fn install_by_hand(packages: &[String]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Installs `packages` on this machine.
pub(crate) fn install_on_host(cx: &Cx, packages: &[String]) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "installing packages needs root. Install them by hand, then run this again:\n  {}",
        install_by_hand(packages)
    );
    // Lists of other sources on this machine may fail to load without harm.
    let updated = cx.run(apt_get().arg("update"));
    cx.run(
        apt_get()
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args([
                "install",
                "-y",
                "--no-install-recommends",
                "-o",
                "Dpkg::Use-Pty=false",
            ])
            .args(packages),
    )
    .map_err(|error| offline(cx).unwrap_or(error))
    .with_context(|| match updated {
        Ok(()) => String::from("installing packages"),
        Err(_) => String::from("installing packages (apt-get update failed too)"),
    })
}

/// The private apt root.
pub(crate) struct Private {
    root: PathBuf,
}

/// Unpacks a package's files under `root`; nothing of it is run.
pub(crate) fn extract(cx: &Cx, deb: &Path, root: &Path) -> Result<()> {
    cx.run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(root))
}

impl Private {
    /// Makes the root under `target/apt`, for packages of `release`.
    pub(crate) fn open(cx: &Cx, dirs: &Dirs, release: &str) -> Result<Self> {
        let mirrors = mirrors(cx, release)?;
        let list = mirrors.iter().fold(String::new(), |list, mirror| {
            format!("{list}deb {mirror} {release} main\ndeb-src {mirror} {release} main\n")
        });
        Self::at(dirs.target.join("apt"), &list)
    }

    /// Makes a root for sources of another release, from the mirrors of this
    /// machine's release, `host`.
    pub(crate) fn of_sources(cx: &Cx, dirs: &Dirs, host: &str, release: &str) -> Result<Self> {
        let list = mirrors(cx, host)?
            .iter()
            .fold(String::new(), |list, mirror| {
                format!("{list}deb-src {mirror} {release} main\n")
            });
        Self::at(dirs.target.join(format!("apt-{release}")), &list)
    }

    /// Makes a root that takes packages from what `list` says.
    fn at(root: PathBuf, list: &str) -> Result<Self> {
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(dir))?;
        }
        let private = Self { root };
        let at = |path: &str| private.root.join(path).display().to_string();
        write(&private.root.join("status"), "")?;
        write(
            &private.root.join("apt.conf"),
            format!(
                "Dir::State \"{}\";\n\
                 Dir::State::status \"{}\";\n\
                 Dir::Cache \"{}\";\n\
                 Dir::Etc::sourcelist \"{}\";\n\
                 Dir::Etc::sourceparts \"-\";\n\
                 Dir::Etc::preferences \"-\";\n\
                 Dir::Etc::preferencesparts \"-\";\n\
                 APT::Architecture \"arm64\";\n\
                 APT::Architectures {{ \"arm64\"; }};\n\
                 APT::Sandbox::User \"root\";\n\
                 APT::Get::Assume-Yes \"true\";\n\
                 APT::Install-Recommends \"false\";\n\
                 APT::Update::Error-Mode \"any\";\n\
                 Acquire::Languages \"none\";\n\
                 Acquire::Retries \"2\";\n\
                 Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n",
                at("state"),
                at("status"),
                at("cache"),
                at("sources.list"),
            ),
        )?;
        write(&private.root.join("sources.list"), list)?;
        Ok(private)
    }

    /// Loads the package lists.
    pub(crate) fn update(&self, cx: &Cx) -> Result<()> {
        cx.run(self.apt_get().arg("update"))
            .map_err(|error| offline(cx).unwrap_or(error))
    }

    /// Runs `work`; if that fails, loads the package lists and runs it again.
    fn with_lists<T>(&self, cx: &Cx, work: impl Fn() -> Result<T>) -> Result<T> {
        if let Ok(done) = work() {
            return Ok(done);
        }
        self.update(cx)?;
        work().map_err(|error| offline(cx).unwrap_or(error))
    }

    /// Fetches a source package. Returns the file that describes it, and which
    /// version it became.
    pub(crate) fn source(
        &self,
        cx: &Cx,
        name: &str,
        version: &str,
        into: &Path,
    ) -> Result<(PathBuf, String)> {
        let version = self.fetch_source(cx, name, version, into, &[])?;
        let file = format!("{name}_{}.dsc", without_epoch(&version));
        Ok((into.join(file), version))
    }

    /// Fetches a source package's upstream part. Returns the archive, and which
    /// version it became.
    pub(crate) fn upstream(
        &self,
        cx: &Cx,
        name: &str,
        version: &str,
        into: &Path,
    ) -> Result<(PathBuf, String)> {
        let version = self.fetch_source(cx, name, version, into, &["--tar-only"])?;
        let bare = without_epoch(&version);
        let upstream = bare.rsplit_once('-').map_or(bare, |(upstream, _)| upstream);
        let begins = format!("{name}_{upstream}.orig.tar.");
        let archive = fs::read_dir(into)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().starts_with(&begins)
            })
            .with_context(|| format!("apt did not leave {begins}xz in {}", into.display()))?;
        Ok((archive, version))
    }

    /// Fetches a source package, with further options of apt-get. Returns
    /// which version it became.
    fn fetch_source(
        &self,
        cx: &Cx,
        name: &str,
        version: &str,
        into: &Path,
        options: &[&str],
    ) -> Result<String> {
        fs::create_dir_all(into)?;
        let fetch = |what: &str| {
            cx.run(
                self.apt_get()
                    .args(["source", "--download-only", "--only-source"])
                    .args(options)
                    .arg(what)
                    .current_dir(into),
            )
        };
        let pinned = format!("{name}={version}");
        let exact = self.with_lists(cx, || fetch(&pinned));
        match exact {
            Ok(()) => Ok(version.to_owned()),
            Err(error) if offline(cx).is_some() => Err(error),
            Err(error) => {
                let current = self.source_version(cx, name)?;
                if current == version {
                    return Err(error);
                }
                fetch(&format!("{name}={current}"))?;
                Ok(current)
            }
        }
    }

    fn source_version(&self, cx: &Cx, name: &str) -> Result<String> {
        let text = cx.output(
            self.tool("apt-cache")
                .args(["showsrc", "--only-source", name]),
        )?;
        text.lines()
            .find_map(|line| line.strip_prefix("Version: "))
            .map(str::to_owned)
            .with_context(|| format!("apt knows no source package `{name}`"))
    }

    /// Fetches packages (`name` or `name=version`) with what they depend on.
    pub(crate) fn download(&self, cx: &Cx, packages: &[String]) -> Result<Vec<PathBuf>> {
        let listed = self.with_lists(cx, || {
            let listed = cx.output(
                self.apt_get()
                    .args(["install", "--simulate"])
                    .args(packages),
            )?;
            cx.run(
                self.apt_get()
                    .args(["install", "--download-only"])
                    .args(packages),
            )?;
            Ok(listed)
        })?;
        listed
            .lines()
            .filter_map(|line| line.strip_prefix("Inst "))
            .map(|line| self.deb(line))
            .collect()
    }

    /// Fetches packages into a folder, without what they depend on.
    pub(crate) fn download_alone(&self, cx: &Cx, packages: &[String], into: &Path) -> Result<()> {
        self.with_lists(cx, || {
            cx.run(
                self.apt_get()
                    .arg("download")
                    .args(packages)
                    .current_dir(into),
            )
        })
    }

    /// Fetches one package without what it depends on: `package` at `version`
    /// or, when that is not served any more, what `follow` depends on now.
    pub(crate) fn download_following(
        &self,
        cx: &Cx,
        package: &str,
        version: &str,
        follow: &str,
    ) -> Result<(PathBuf, String)> {
        let archives = self.root.join("cache/archives");
        let fetch = |what: &str| {
            cx.run(
                self.apt_get()
                    .args(["download", what])
                    .current_dir(&archives),
            )
        };
        let pinned = format!("{package}={version}");
        let (package, version) = match self.with_lists(cx, || fetch(&pinned)) {
            Ok(()) => (package.to_owned(), version.to_owned()),
            Err(error) if offline(cx).is_some() => return Err(error),
            Err(error) => {
                let (package, version) = self.followed(cx, follow)?;
                if pinned == format!("{package}={version}") {
                    return Err(error);
                }
                fetch(&format!("{package}={version}"))?;
                (package, version)
            }
        };
        Ok((
            self.archive(&package, &version, "arm64")?,
            format!("{package} {version}"),
        ))
    }

    /// The package that `follow` depends on first, and its version.
    fn followed(&self, cx: &Cx, follow: &str) -> Result<(String, String)> {
        let depends = cx.output(self.tool("apt-cache").args(["depends", follow]))?;
        let package = depends
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .with_context(|| format!("`{follow}` depends on no package"))?;
        let shown =
            cx.output(
                self.tool("apt-cache")
                    .args(["show", "--no-all-versions", package]),
            )?;
        let version = shown
            .lines()
            .find_map(|line| line.strip_prefix("Version: "))
            .with_context(|| format!("apt knows no version of `{package}`"))?;
        Ok((package.to_owned(), version.to_owned()))
    }

    /// The archive of a line of `--simulate`:
    /// `NAME (VERSION ORIGIN [ARCHITECTURE]) …`.
    fn deb(&self, line: &str) -> Result<PathBuf> {
        let part = || {
            let (name, rest) = line.split_once(" (")?;
            let (inside, _) = rest.split_once(')')?;
            let (version, _) = inside.split_once(' ')?;
            let architecture = inside.rsplit_once('[')?.1.trim_end_matches(']');
            Some((name, version, architecture))
        };
        let (name, version, architecture) =
            part().with_context(|| format!("apt answered in an unknown way: {line}"))?;
        self.archive(name, version, architecture)
    }

    fn archive(&self, name: &str, version: &str, architecture: &str) -> Result<PathBuf> {
        let version = version.replace(':', "%3a");
        let path = self
            .root
            .join("cache/archives")
            .join(format!("{name}_{version}_{architecture}.deb"));
        ensure!(path.exists(), "apt did not leave {}", path.display());
        Ok(path)
    }

    fn apt_get(&self) -> Command {
        self.tool("apt-get")
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", self.root.join("apt.conf"))
            .env("LC_ALL", "C")
            .arg("-q");
        command
    }
}

/// A version as file names have it.
fn without_epoch(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, bare)| bare)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("LC_ALL", "C").arg("-q");
    command
}

/// The mirrors from which this machine takes `release`.
fn mirrors(cx: &Cx, release: &str) -> Result<Vec<String>> {
    let text = cx.output(Command::new("apt-get").args([
        "indextargets",
        "--no-release-info",
        "--format",
        "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    let mut mirrors = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('|');
        if let (Some(mirror), Some(suite), Some("main")) =
            (fields.next(), fields.next(), fields.next())
            && suite == release
            && !mirrors.iter().any(|known| known == mirror)
        {
            mirrors.push(mirror.to_owned());
        }
    }
    if mirrors.is_empty() {
        bail!(
            "this machine's apt has no `{release} main` among its sources: \
             a Debian 12 ({release}) machine is needed"
        );
    }
    Ok(mirrors)
}

/// An error that says that the mirror is out of reach, if the log says so.
fn offline(cx: &Cx) -> Option<anyhow::Error> {
    const SIGNS: [&str; 6] = [
        "Could not resolve",
        "Temporary failure resolving",
        "Could not connect",
        "Connection failed",
        "Unable to connect",
        "Network is unreachable",
    ];
    let log = fs::read_to_string(cx.log()).ok()?;
    let sign = log
        .lines()
        .rev()
        .find(|line| SIGNS.iter().any(|sign| line.contains(sign)))?;
    Some(anyhow!(
        "apt cannot reach its package mirror: {}\n\
         Connect this machine, or set its proxy (Acquire::http::Proxy), and run this again; \
         what was fetched before is kept.",
        sign.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_line_names_its_archive() {
        let dir = tempfile::tempdir().unwrap();
        let private = Private {
            root: dir.path().to_owned(),
        };
        let deb = dir.path().join("cache/archives/zlib1g_1%3a1.2-1_arm64.deb");
        write(&deb, "").unwrap();
        let line = "zlib1g (1:1.2-1 Debian:12.1/stable [arm64]) []";
        assert_eq!(private.deb(line).unwrap(), deb);
        assert!(private.deb("zlib1g 1:1.2-1").is_err());
    }

    #[test]
    fn a_package_that_nobody_has_is_missing() {
        let wanted = ["dpkg".to_owned(), "no-such-package".to_owned()];
        assert_eq!(missing_on_host(&wanted).unwrap(), ["no-such-package"]);
    }
}
