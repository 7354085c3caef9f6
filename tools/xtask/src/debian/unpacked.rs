// SPDX-License-Identifier: MIT
//! A Debian system of another architecture in a folder, in the state that dpkg calls
//! unpacked: no script of a package has run. `dpkg --configure -a`, run in that system,
//! completes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Cx, files, write};

use super::apt::extract;

/// dpkg's records, below the root.
const RECORDS: &str = "var/lib/dpkg";

/// The package with the links from `/bin` and others into `/usr`.
const FIRST: &str = "base-files_";

/// Packages whose scripts compile Python's library, which takes minutes in an emulated
/// machine. They work without, and count as configured.
const COMPILED: &str = "python3";

/// Unpacks packages into an empty folder.
pub(crate) fn unpack(cx: &Cx, debs: &[PathBuf], root: &Path) -> Result<()> {
    files::empty(root)?;
    let mut debs: Vec<&PathBuf> = debs.iter().collect();
    let is_later = |deb: &Path| {
        let name = deb.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with(FIRST)
    };
    debs.sort_by_key(|deb| is_later(deb));
    let records = root.join(RECORDS);
    fs::create_dir_all(records.join("info"))?;
    let mut status = String::new();
    let mut triggers = Triggers::default();
    for deb in debs {
        extract(cx, deb, root)?;
        let about = cx.output(Command::new("dpkg-deb").arg("--field").arg(deb))?;
        let control = cx.dirs.target.join("tmp/control");
        files::empty(&control)?;
        cx.run(
            Command::new("dpkg-deb")
                .arg("--control")
                .arg(deb)
                .arg(&control),
        )?;
        let package = Package::of(&about)?;
        for file in files::list(&control)? {
            let name = file.file_name().context("no name")?.to_string_lossy();
            if name != "control" {
                fs::copy(&file, records.join(format!("info/{}.{name}", package.id)))?;
            }
        }
        let contents = cx.output(Command::new("dpkg-deb").arg("--contents").arg(deb))?;
        let list = records.join(format!("info/{}.list", package.id));
        write(&list, listed(&contents))?;
        if let Ok(text) = fs::read_to_string(control.join("triggers")) {
            triggers.add(&package.id, &text);
        }
        let state = package.state();
        write!(status, "{}\nStatus: install ok {state}\n", about.trim_end())?;
        if let Ok(text) = fs::read_to_string(control.join("conffiles")) {
            status += &conffiles(cx, root, &text)?;
        }
        status.push('\n');
    }
    write(&records.join("status"), status)?;
    fs::create_dir_all(records.join("updates"))?;
    for (file, text) in triggers.0 {
        write(&records.join("triggers").join(file), text)?;
    }
    Ok(())
}

/// A package, by its control fields.
#[derive(Debug, PartialEq)]
struct Package {
    name: String,
    /// dpkg's name for its records.
    id: String,
}

impl Package {
    fn of(about: &str) -> Result<Self> {
        let field = |name: &str| {
            let line = about.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        let name = field("Package:").with_context(|| format!("no package: {about}"))?;
        let id = match field("Multi-Arch:").as_deref() {
            Some("same") => format!("{name}:arm64"),
            _ => name.clone(),
        };
        Ok(Self { name, id })
    }

    fn state(&self) -> &'static str {
        let name = self.name.strip_prefix("lib").unwrap_or(&self.name);
        if name.starts_with(COMPILED) {
            "installed"
        } else {
            "unpacked"
        }
    }
}

/// dpkg's list of a package's files, from its archive's listing.
fn listed(contents: &str) -> String {
    let path = |line: &str| {
        // A link's line ends with its target.
        let (entry, _) = line.split_once(" -> ").unwrap_or((line, ""));
        let (_, path) = entry.split_once(" .")?;
        let path = path.trim_end_matches('/');
        Some(format!("{}\n", if path.is_empty() { "/." } else { path }))
    };
    contents.lines().filter_map(path).collect()
}

/// The field of a package's status with its configuration files, which are in place.
fn conffiles(cx: &Cx, root: &Path, names: &str) -> Result<String> {
    let mut field = "Conffiles:\n".to_owned();
    for name in names
        .lines()
        .map(str::trim)
        .filter(|name| name.starts_with('/'))
    {
        let file = root.join(name.trim_start_matches('/'));
        let sum = cx.output(Command::new("md5sum").arg(file))?;
        let sum = sum.split(' ').next().context("md5sum gave no sum")?;
        writeln!(field, " {name} {sum}")?;
    }
    Ok(field)
}

/// dpkg's record of the packages that wait for a trigger: a file for each name, and one
/// for all paths.
#[derive(Debug, Default)]
struct Triggers(BTreeMap<String, String>);

impl Triggers {
    fn add(&mut self, package: &str, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(kind), Some(name)) = (words.next(), words.next()) else {
                continue;
            };
            if !kind.starts_with("interest") {
                continue;
            }
            let wait = if kind.ends_with("noawait") {
                "/noawait"
            } else {
                ""
            };
            let (file, path) = if name.starts_with('/') {
                ("File", format!("{name} "))
            } else {
                (name, String::new())
            };
            let entry = self.0.entry(file.to_owned()).or_default();
            entry.extend([&path, package, wait, "\n"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_several_architectures_have_records_of_their_own() {
        let package = |about: &str| Package::of(about).unwrap();
        assert_eq!(package("Package: tar\nVersion: 1").id, "tar");
        let same = package("Package: libc6\nMulti-Arch: same\nVersion: 2");
        assert_eq!(same.id, "libc6:arm64");
        assert_eq!(same.state(), "unpacked");
        for name in ["python3.13-minimal", "libpython3-stdlib"] {
            let about = format!("Package: {name}");
            assert_eq!(package(&about).state(), "installed");
        }
        assert!(Package::of("Version: 1").is_err());
    }

    #[test]
    fn files_are_listed_as_dpkg_lists_them() {
        let contents = "drwxr-xr-x root/root         0 2026-11-08 20:20 ./\n\
            drwxr-xr-x root/root         0 2026-11-08 20:20 ./etc/\n\
            -rw-r--r-- root/root         5 2026-11-08 20:20 ./etc/a file\n\
            lrwxrwxrwx root/root         0 2026-11-08 20:20 ./bin -> usr/bin\n";
        assert_eq!(listed(contents), "/.\n/etc\n/etc/a file\n/bin\n");
    }

    #[test]
    fn triggers_are_recorded_by_name_and_by_path() {
        let mut triggers = Triggers::default();
        triggers.add("libc-bin", "# a comment\ninterest-noawait ldconfig\n");
        triggers.add(
            "udev",
            "interest-noawait /usr/lib/udev/hwdb.d\ninterest /a\n",
        );
        triggers.add("libx:arm64", "activate-noawait ldconfig\n");
        let found: Vec<_> = triggers.0.into_iter().collect();
        let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            found,
            [
                text("File", "/usr/lib/udev/hwdb.d udev/noawait\n/a udev\n"),
                text("ldconfig", "libc-bin/noawait\n"),
            ]
        );
    }
}
