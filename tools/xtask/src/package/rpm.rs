// SPDX-License-Identifier: MIT
//! `cargo xtask package --rpm`: the daemon's RPM, of the same files as its Debian package
//! in the places of Fedora, without what that package needs to replace xenconsoled:
//! there, its unit conflicts with xenconsoled's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{
    Cx, Steps,
    files::{empty, list},
};

use super::programs::{AMD64, ARM64, Arch};
use super::recipe::VCONSOLED;
use super::rehearsal::Rehearsal;
use super::{Package, epoch, make, put, sources};
use crate::debian::host;
use crate::debian::packages::Packages;

/// What rpmbuild reads, and the test cases of its scripts, below the package's folder.
const SPEC: &str = "rpm/vconsoled.spec";
const SCRIPT: &str = "rpm/rehearsal.sh";
const CASES: &[&str] = &[
    "installed",
    "upgraded",
    "bad-configuration",
    "bad-options",
    "removed",
];

/// Folders of the Debian package that have another place here.
const MOVED: &[(&str, &str)] = &[
    ("lib/systemd/system", "usr/lib/systemd/system"),
    (
        "usr/share/zsh/vendor-completions",
        "usr/share/zsh/site-functions",
    ),
];

/// What is Debian's only.
const LEFT_OUT: &[&str] = &[
    "DEBIAN/",
    "usr/lib/vconsoled/xen",
    "usr/share/doc/",
    "usr/share/lintian/",
    "usr/share/vconsoled/",
];

const LICENCE: &str = "usr/share/licenses/vconsoled/MIT.txt";

/// Makes the package for each architecture, checks it, and prints its path; then runs the
/// scripts of this machine's.
pub(super) fn run(steps: &Steps) -> Result<()> {
    host::prepare(steps)?;
    host::install(steps, "rpm", &Packages::read().rpm.packages)?;
    for arch in [&ARM64, &AMD64] {
        let debian = make(steps, &VCONSOLED, arch)?;
        let [package, newer] = build(steps, &debian, arch)?;
        println!("{}", package.display());
        if !arch.is_this_machines() {
            continue;
        }
        let rehearsal = Rehearsal {
            name: "rpm",
            package: &package,
            script: sources(&steps.dirs, &VCONSOLED).join(SCRIPT),
            cases: CASES,
            others: vec![newer],
        };
        if let Some(why) = rehearsal.run(steps)? {
            eprintln!("{why}");
        }
    }
    Ok(())
}

/// Makes and checks the package, and a later revision of it for the scripts' tests.
fn build(steps: &Steps, debian: &Package, arch: &Arch) -> Result<[PathBuf; 2]> {
    let machine = arch.machine();
    let folder = steps.dirs.target.join("package");
    steps.value(&format!("rpm, {machine}"), |cx| {
        let work = folder.join("rpm").join(machine);
        let assembled = work.join("assembled");
        empty(&assembled)?;
        assemble(cx, debian, &assembled)?;
        let packages = ["1", "2"].map(|revision| pack(cx, &work, machine, revision));
        let [package, newer] = packages;
        let (package, newer) = (package?, newer?);
        let files = contents(cx, &package)?;
        check(&files)?;
        let again = fs::read(&package)?;
        ensure!(
            fs::read(pack(cx, &work, machine, "1")?)? == again,
            "a second build from the same files differs"
        );
        let placed = folder.join(package.file_name().context("a file without a name")?);
        fs::copy(&package, &placed)?;
        let said = format!(
            "{} files, {} KiB, a second build is identical",
            files.len(),
            again.len() >> 10
        );
        Ok((said, [placed, newer]))
    })
}

/// Where a file of the Debian package is here.
fn place(name: &str) -> Option<String> {
    if LEFT_OUT.iter().any(|part| name.starts_with(part)) {
        return None;
    }
    let moved = MOVED.iter().find_map(|(from, to)| {
        let rest = name.strip_prefix(from)?;
        Some(format!("{to}{rest}"))
    });
    Some(moved.unwrap_or_else(|| name.to_owned()))
}

fn assemble(cx: &Cx, debian: &Package, assembled: &Path) -> Result<()> {
    for file in list(&debian.staged)? {
        let name = file.strip_prefix(&debian.staged)?;
        let name = name.to_str().context("a name that is not UTF-8")?;
        let Some(to) = place(name) else { continue };
        let to = assembled.join(to);
        fs::create_dir_all(to.parent().context("a file at the root")?)?;
        cx.run(Command::new("cp").arg("-a").arg(&file).arg(&to))?;
    }
    let licence = fs::read(cx.dirs.root.join("LICENSES/MIT.txt"))?;
    put(&assembled.join(LICENCE), licence, 0o644)
}

/// Runs rpmbuild. Returns the package.
fn pack(cx: &Cx, work: &Path, machine: &str, revision: &str) -> Result<PathBuf> {
    let top = work.join("rpmbuild");
    empty(&top)?;
    let version = env!("CARGO_PKG_VERSION");
    let mut build = Command::new("rpmbuild");
    build.args(["-bb", "--quiet", "--target", machine]);
    // Without the time and the name of this machine.
    build.env("SOURCE_DATE_EPOCH", epoch(cx, &VCONSOLED)?);
    for (name, value) in [
        ("_topdir", &*top.to_string_lossy()),
        ("assembled", &*work.join("assembled").to_string_lossy()),
        ("number", version),
        ("revision", revision),
        ("_buildhost", "localhost"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        ("_binary_payload", "w6.xzdio"),
        ("_build_id_links", "none"),
    ] {
        build.arg("--define").arg(format!("{name} {value}"));
    }
    cx.run(build.arg(sources(cx.dirs, &VCONSOLED).join(SPEC)))?;
    let name = format!("vconsoled-{version}-{revision}.{machine}.rpm");
    let made = list(&top)?.into_iter();
    let mut made = made.filter(|path| path.file_name().is_some_and(|file| *file == *name));
    let made = made.next().with_context(|| format!("no {name}"))?;
    let kept = work.join(name);
    fs::rename(made, &kept)?;
    Ok(kept)
}

/// Permissions by path, without folders; root must own all files.
fn contents(cx: &Cx, package: &Path) -> Result<BTreeMap<String, String>> {
    let format = "[%{FILENAMES}\\t%{FILEMODES:perms}\\t%{FILEUSERNAME}:%{FILEGROUPNAME}\\n]";
    let mut query = Command::new("rpm");
    query.args(["--query", "--package", "--queryformat", format]);
    let listed = cx.output(query.arg(package))?;
    let mut files = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let [path, mode, owner] = words[..] else {
            anyhow::bail!("{line:?} is not an entry");
        };
        ensure!(owner == "root:root", "{path} belongs to {owner}");
        if !mode.starts_with('d') {
            files.insert(path.to_owned(), mode.to_owned());
        }
    }
    Ok(files)
}

/// It has the required files, and besides them only manual pages.
fn check(files: &BTreeMap<String, String>) -> Result<()> {
    let wanted = wanted();
    for (path, mode) in &wanted {
        let found = files.get(path).with_context(|| format!("no {path}"))?;
        ensure!(found == mode, "{path} is {found}");
    }
    for path in files.keys() {
        let is_page = path.starts_with("/usr/share/man/");
        ensure!(is_page || wanted.contains_key(path), "{path} is in it");
    }
    Ok(())
}

/// The files that it must have: those of the Debian package.
fn wanted() -> BTreeMap<String, String> {
    let debian = VCONSOLED.wanted.iter().filter_map(|(path, mode)| {
        let path = place(path.trim_start_matches('/'))?;
        Some((format!("/{path}"), (*mode).to_owned()))
    });
    let licence = (format!("/{LICENCE}"), "-rw-r--r--".to_owned());
    debian.chain([licence]).collect()
}

#[cfg(test)]
mod tests {
    use steps::Dirs;

    use super::super::rehearsal::cases;
    use super::*;

    fn read(name: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = root.join("target");
        let folder = sources(&Dirs { target, root }, &VCONSOLED);
        fs::read_to_string(folder.join(name)).unwrap()
    }

    #[test]
    fn every_case_is_run() {
        assert_eq!(cases(&read(SCRIPT)), CASES);
    }

    #[test]
    fn the_files_are_those_of_the_debian_package_in_their_places_here() {
        let spec = read(SPEC);
        for path in wanted().keys() {
            let pages = "/usr/share/man/man1/vconsole";
            let listed = |line: &str| {
                line.ends_with(path) || path.starts_with(pages) && line.starts_with(pages)
            };
            assert!(spec.lines().any(listed), "{path}");
        }
        assert_eq!(place("usr/lib/vconsoled/xen-programs"), None);
        let unit = place("lib/systemd/system/vconsoled.service");
        assert_eq!(unit.unwrap(), "usr/lib/systemd/system/vconsoled.service");
    }
}
