// SPDX-License-Identifier: MIT
//! The current contents of a release in the mirror's index. It is read through a
//! private apt root, so that the machine's own sources and architectures stay as they
//! are; the machine's other settings, such as a proxy, apply.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::mirrors::{Run, mirrors, output};

/// Debian's keys, on a Debian machine.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A release's index.
pub(super) struct Index<'a> {
    run: Run<'a>,
    root: PathBuf,
    mirrors: Vec<String>,
}

/// A file that the index lists.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) url: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

impl<'a> Index<'a> {
    /// Loads a release's lists, for programs of each architecture and sources, into a
    /// folder of its own.
    pub(super) fn load(run: Run<'a>, folder: &Path, release: &str) -> Result<Self> {
        let index = Self {
            run,
            root: folder.join(release),
            mirrors: mirrors(run)?,
        };
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(index.root.join(dir))?;
        }
        let at = |path: &str| index.root.join(path).display().to_string();
        fs::write(index.root.join("status"), "")?;
        fs::write(
            index.root.join("apt.conf"),
            format!(
                "Dir::State \"{}\";\n\
                 Dir::State::status \"{}\";\n\
                 Dir::Cache \"{}\";\n\
                 Dir::Etc::sourcelist \"{}\";\n\
                 Dir::Etc::sourceparts \"-\";\n\
                 Dir::Etc::preferences \"-\";\n\
                 Dir::Etc::preferencesparts \"-\";\n\
                 APT::Architecture \"arm64\";\n\
                 APT::Architectures {{ \"arm64\"; \"amd64\"; \"armhf\"; }};\n\
                 APT::Sandbox::User \"root\";\n\
                 APT::Get::Assume-Yes \"true\";\n\
                 APT::Install-Recommends \"false\";\n\
                 APT::Update::Error-Mode \"any\";\n\
                 Acquire::Languages \"none\";\n\
                 Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n",
                at("state"),
                at("status"),
                at("cache"),
                at("sources.list"),
            ),
        )?;
        let keys = if Path::new(KEYS).exists() {
            format!("[signed-by={KEYS}] ")
        } else {
            String::new()
        };
        let mut list = String::new();
        for mirror in &index.mirrors {
            for kind in ["deb", "deb-src"] {
                writeln!(list, "{kind} {keys}{mirror} {release} main")?;
            }
        }
        fs::write(index.root.join("sources.list"), list)?;
        index.output(index.tool("apt-get").arg("update"))?;
        Ok(index)
    }

    /// The path of a listed file below its mirror's root.
    pub(super) fn path(&self, listed: &Listed) -> Result<String> {
        let below = |mirror: &String| listed.url.strip_prefix(mirror.as_str());
        let path = self.mirrors.iter().find_map(below);
        let path = path.with_context(|| format!("{} is of another mirror", listed.url))?;
        Ok(decoded(path.trim_start_matches('/')))
    }

    /// The newest version of a package, `name` or `name:architecture`.
    pub(super) fn newest(&self, name: &str) -> Result<Option<String>> {
        let shown = self.output(self.tool("apt-cache").args(["madison", name]))?;
        Ok(first(&shown, |line| line.split('|').nth(1)))
    }

    /// The newest version of a source package. A release can have older ones too, if
    /// other packages were built from them.
    pub(super) fn newest_source(&self, name: &str) -> Result<Option<String>> {
        let show = ["showsrc", "--only-source", name];
        let shown = self.output(self.tool("apt-cache").args(show))?;
        let mut newest: Option<&str> = None;
        for version in shown
            .lines()
            .filter_map(|line| line.strip_prefix("Version:"))
        {
            let version = version.trim();
            if newest.map_or(Ok(true), |other| self.is_newer(version, other))? {
                newest = Some(version);
            }
        }
        Ok(newest.map(str::to_owned))
    }

    fn is_newer(&self, version: &str, other: &str) -> Result<bool> {
        let mut compare = Command::new("dpkg");
        compare.args(["--compare-versions", version, "gt", other]);
        Ok((self.run)(&mut compare)?.0)
    }

    /// The packages of an architecture that hold a kernel: the image on which a package
    /// depends, and what it depends on of the same kernel, if Debian has divided it.
    pub(super) fn kernel(&self, name: &str, architecture: &str) -> Result<Vec<String>> {
        let of = |name: &str| format!("{name}:{architecture}");
        let shown = self.depends(&of(name))?;
        let image = shown.iter().find(|name| name.starts_with(IMAGE));
        let image = image.with_context(|| format!("`{name}` depends on no {IMAGE}*"))?;
        let kernel = image.strip_prefix(IMAGE).unwrap_or(image);
        let mut parts = self.depends(&of(image))?;
        parts.retain(|name| name.ends_with(&format!("-{kernel}")));
        parts.push(image.clone());
        Ok(parts.iter().map(|part| of(part)).collect())
    }

    /// The packages that a package depends on, without their architectures.
    fn depends(&self, name: &str) -> Result<Vec<String>> {
        let shown = self.output(self.tool("apt-cache").args(["depends", name]))?;
        Ok(dependencies(&shown))
    }

    /// Packages, and all that they depend on, as `name:architecture=version`.
    pub(super) fn closure(&self, names: &[String]) -> Result<Vec<String>> {
        let mut simulate = self.tool("apt-get");
        simulate.args(["install", "--simulate"]).args(names);
        self.output(&mut simulate)?
            .lines()
            .filter_map(|line| line.strip_prefix("Inst "))
            .map(|line| installed(line).with_context(|| format!("apt answered: {line}")))
            .collect()
    }

    /// The files of packages that `apt-get download` would download.
    pub(super) fn packages(&self, names: &[String]) -> Result<Vec<Listed>> {
        let mut list = self.tool("apt-get");
        list.args(["download", "--print-uris"]).args(names);
        listed(&self.output(&mut list)?)
    }

    /// The files of a source package.
    pub(super) fn source(&self, name: &str, version: &str) -> Result<Vec<Listed>> {
        let mut list = self.tool("apt-get");
        list.args(["source", "--print-uris", "--only-source"])
            .arg(format!("{name}={version}"));
        let mut files = listed(&self.output(&mut list)?)?;
        for file in &mut files {
            name.clone_into(&mut file.name);
            version.clone_into(&mut file.version);
            "source".clone_into(&mut file.architecture);
        }
        ensure!(!files.is_empty(), "the index lists no file of {name}");
        Ok(files)
    }

    fn output(&self, command: &mut Command) -> Result<String> {
        output(self.run, command)
    }

    fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-q").arg("-c");
        command.arg(self.root.join("apt.conf"));
        command
    }
}

/// The beginning of the name of a kernel's package.
const IMAGE: &str = "linux-image-";

/// The dependencies in the output of `apt-cache depends`.
fn dependencies(shown: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim().trim_start_matches('|');
        let name = line.strip_prefix("Depends: ")?;
        Some(name.split(':').next()?.to_owned())
    };
    shown.lines().filter_map(name).collect()
}

/// The result of `find` for the first line in which it finds something.
fn first<'a>(text: &'a str, find: impl Fn(&'a str) -> Option<&'a str>) -> Option<String> {
    Some(text.lines().find_map(find)?.trim().to_owned())
}

/// The package in a line of `--simulate`: `NAME (VERSION ORIGIN [ARCHITECTURE]) …`.
fn installed(line: &str) -> Option<String> {
    let (name, rest) = line.split_once(" (")?;
    let (inside, _) = rest.split_once(')')?;
    let (version, _) = inside.split_once(' ')?;
    let architecture = inside.rsplit_once('[')?.1.trim_end_matches(']');
    // apt finds packages of architecture `all` only by their name alone.
    Some(if architecture == "all" {
        format!("{name}={version}")
    } else {
        format!("{name}:{architecture}={version}")
    })
}

/// The files in the output of `--print-uris`: `'URL' FILE SIZE SHA256:DIGEST`.
fn listed(text: &str) -> Result<Vec<Listed>> {
    let file = |line: &str| {
        let mut words = line.split(' ');
        let url = words.next()?.trim_matches('\'').to_owned();
        let file = words.next()?.to_owned();
        let size = words.next()?.parse().ok()?;
        let sha256 = words.next()?.strip_prefix("SHA256:")?.to_owned();
        let mut parts = file.trim_end_matches(".deb").split('_');
        Some(Listed {
            url,
            size,
            sha256,
            name: parts.next()?.to_owned(),
            version: decoded(parts.next()?),
            architecture: parts.next().unwrap_or_default().to_owned(),
        })
    };
    text.lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| file(line).with_context(|| format!("apt answered: {line}")))
        .collect()
}

/// A text with apt's encoding of addresses and file names removed.
fn decoded(text: &str) -> String {
    [("%2b", "+"), ("%3a", ":"), ("%7e", "~")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, char)| {
            text.replace(code, char)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_line_names_its_package() {
        let line = "zlib1g (1:1.2-1 Debian:12.1/stable [arm64]) []";
        assert_eq!(installed(line).unwrap(), "zlib1g:arm64=1:1.2-1");
        let line = "usr-is-merged (35 Debian:12.1/stable [all])";
        assert_eq!(installed(line).unwrap(), "usr-is-merged=35");
        assert_eq!(installed("zlib1g 1:1.2-1"), None);
    }

    #[test]
    fn the_newest_of_several_sources_is_taken() {
        let run = |command: &mut Command| {
            if command.get_program() == "dpkg" {
                return Ok((command.status()?.success(), String::new()));
            }
            let shown = "Package: z\nVersion: 6.1.4-1\n\nPackage: z\nVersion: 6.1.176-1\n\n\
                         Package: z\nVersion: 6.1.8-1\n";
            Ok((true, shown.to_owned()))
        };
        let index = Index {
            run: &run,
            root: PathBuf::new(),
            mirrors: Vec::new(),
        };
        assert_eq!(index.newest_source("z").unwrap().unwrap(), "6.1.176-1");
    }

    #[test]
    fn dependencies_are_names() {
        let shown = "linux-image-lpae:armhf\n  Depends: linux-base\n |Depends: dracut\n  \
                     Depends: <linux-initramfs-tool>\n  Depends: linux-modules-7:armhf\n  \
                     Suggests: firmware\n";
        let names = [
            "linux-base",
            "dracut",
            "<linux-initramfs-tool>",
            "linux-modules-7",
        ];
        assert_eq!(dependencies(shown), names);
    }

    #[test]
    fn a_listed_file_is_read() {
        let text = "Need to get 1 kB.\n'http://m/debian/pool/z/z_1.2%2bb1_arm64.deb' \
                    z_1%3a1.2+b1_arm64.deb 5 SHA256:0a\n";
        let files = listed(text).unwrap();
        let [file] = &files[..] else {
            panic!("{files:?}")
        };
        assert_eq!((file.size, file.sha256.as_str()), (5, "0a"));
        let parts = (
            file.name.as_str(),
            file.version.as_str(),
            file.architecture.as_str(),
        );
        assert_eq!(parts, ("z", "1:1.2+b1", "arm64"));
        let index = Index {
            run: &|_| unreachable!("no request is made"),
            root: PathBuf::new(),
            mirrors: vec!["http://m/debian".into()],
        };
        assert_eq!(index.path(file).unwrap(), "pool/z/z_1.2+b1_arm64.deb");
        assert!(listed("'http://m/z' z 5 MD5Sum:0a").is_err());
    }
}
