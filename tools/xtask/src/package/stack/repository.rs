// SPDX-License-Identifier: MIT
//! The packages as a repository that apt reads from a folder: `Packages`, and a
//! `Release` whose origin a host can prefer to Debian's. It is not signed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Key, Steps, files, write};

use super::super::Package;
use super::builder::Builder;
use super::release::Release;

/// The origin, by which a host can prefer it.
pub(super) const ORIGIN: &str = "vpl011";

/// Copies packages into a folder and writes the index.
pub(super) fn make(
    steps: &Steps,
    release: &Release,
    builder: &Builder,
    built: &[PathBuf],
    daemon: &Package,
    folder: &Path,
) -> Result<()> {
    let debs: Vec<&PathBuf> = built.iter().chain([&daemon.file]).collect();
    let mut key = Key::default();
    for deb in &debs {
        key = key.file(deb)?;
    }
    let made = folder.join("Release");
    steps.run(&builder.step(release, "repository"), key, &[&made], |cx| {
        files::empty(folder)?;
        for deb in &debs {
            fs::copy(
                deb,
                folder.join(deb.file_name().context("a file without a name")?),
            )?;
        }
        index(cx, folder)?;
        let text = described(cx, folder, release)?;
        write(&made, text)?;
        let mut bytes = 0;
        for deb in files::list(folder)? {
            bytes += fs::metadata(deb)?.len();
        }
        Ok(format!("{} packages, {} KiB", debs.len(), bytes >> 10))
    })?;
    Ok(())
}

/// Writes `Packages`, plain and gzipped.
fn index(cx: &Cx, folder: &Path) -> Result<()> {
    let mut scan = Command::new("dpkg-scanpackages");
    scan.args(["--multiversion", "."]).current_dir(folder);
    write(&folder.join("Packages"), cx.output(&mut scan)?)?;
    let mut zip = Command::new("gzip");
    zip.args(["-9", "-n", "--keep", "Packages"]);
    cx.run(zip.current_dir(folder))
}

/// The text of `Release`.
fn described(cx: &Cx, folder: &Path, release: &Release) -> Result<String> {
    let mut sums = String::new();
    for name in ["Packages", "Packages.gz"] {
        let sum = cx.output(Command::new("sha256sum").arg(folder.join(name)))?;
        let (sum, _) = sum.split_once(' ').context("sha256sum gave no sum")?;
        let size = fs::metadata(folder.join(name))?.len();
        writeln!(sums, " {sum} {size} {name}")?;
    }
    Ok(format!(
        "Origin: {ORIGIN}\nLabel: {ORIGIN}\nSuite: {0}\nCodename: {0}\n\
         Architectures: arm64\nDate: {1}\nSHA256:\n{sums}",
        release.name,
        date(&release.entry())?
    ))
}

/// The time of the changelog's entry, in the format of `Release`.
fn date(entry: &str) -> Result<String> {
    let (_, date) = entry.rsplit_once(">  ").context("the entry has no date")?;
    let date = date.trim().strip_suffix("+0000");
    Ok(date.context("the entry's date is not in UTC")?.to_owned() + "UTC")
}

/// The versions in `Packages`, each with its package.
pub(super) fn listed(packages: &str) -> Result<Vec<(String, String)>> {
    let stanzas = packages
        .split("\n\n")
        .filter(|stanza| !stanza.trim().is_empty());
    let read = |stanza: &str| {
        let field = |name: &str| {
            let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned());
            let found = stanza.lines().find_map(value);
            found.with_context(|| format!("a package without {name}:\n{stanza}"))
        };
        let architecture = field("Architecture")?;
        let package = field("Package")?;
        ensure!(
            ["arm64", "all"].contains(&architecture.as_str()),
            "{package} is for {architecture}"
        );
        Ok((package, field("Version")?))
    };
    stanzas.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::super::release::RELEASES;
    use super::*;

    #[test]
    fn a_release_is_as_old_as_its_changelog() {
        for release in &RELEASES {
            let date = date(&release.entry()).unwrap();
            assert!(date.ends_with(" 00:00:00 UTC"), "{date}");
        }
        assert!(date("x (1) y\n").is_err());
    }

    #[test]
    fn an_index_is_read() {
        let stanza = |name: &str, of: &str| {
            format!("Package: {name}\nVersion: 1\nArchitecture: {of}\nDescription: d\n e\n")
        };
        let both = stanza("a", "arm64") + "\n" + &stanza("b", "all");
        let found = listed(&both).unwrap();
        assert_eq!(
            found,
            [("a", "1"), ("b", "1")].map(|(a, b)| (a.into(), b.into()))
        );
        let error = listed(&stanza("a", "amd64")).unwrap_err().to_string();
        assert_eq!(error, "a is for amd64");
        let error = listed("Package: a\nArchitecture: all\n")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a package without Version"), "{error}");
    }

    #[test]
    fn a_folder_of_packages_becomes_an_index_with_its_sums() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let control = "Package: a\nVersion: 1\nArchitecture: arm64\nMaintainer: m <m@m.invalid>\n\
                       Description: d\n";
        write(&root.join("DEBIAN/control"), control).unwrap();
        let folder = dir.path().join("repository");
        fs::create_dir(&folder).unwrap();
        let mut pack = Command::new("dpkg-deb");
        pack.args(["--root-owner-group", "--build"]).arg(&root);
        let packed = pack.arg(folder.join("a_1_arm64.deb")).output().unwrap();
        assert!(packed.status.success(), "{packed:?}");
        let steps = Steps {
            dirs: steps::Dirs {
                root: dir.path().to_owned(),
                target: dir.path().join("target"),
            },
            force: false,
            lock: dir.path().join("pins.lock"),
            origins: pins::Origins::default(),
            busy: steps::Busy::default(),
        };
        let [release, ..] = &RELEASES;
        let text = steps.value("index", |cx| {
            index(cx, &folder)?;
            Ok(("made".into(), described(cx, &folder, release)?))
        });
        let text = text.unwrap();
        let packages = fs::read_to_string(folder.join("Packages")).unwrap();
        assert_eq!(listed(&packages).unwrap(), [("a".into(), "1".into())]);
        assert!(
            packages.contains("\nFilename: ./a_1_arm64.deb\n"),
            "{packages}"
        );
        assert!(text.starts_with("Origin: vpl011\n"), "{text}");
        let size = format!(" {} Packages\n", packages.len());
        assert!(
            text.contains(&size) && text.contains(" Packages.gz\n"),
            "{text}"
        );
    }
}
