// SPDX-License-Identifier: MIT
//! Compares two folders of packages, byte by byte. Of packages that differ it names the
//! members that do.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Cx, Key, files};

/// What differs, a line each; no line if nothing does.
pub(super) fn differences(cx: &Cx, one: &Path, other: &Path) -> Result<Vec<String>> {
    let (one, other) = (named(one)?, named(other)?);
    let mut differing = Vec::new();
    for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) => {
                if fs::read(one)? == fs::read(other)? {
                    continue;
                }
                if Path::new(name).extension() == Some(OsStr::new("deb")) {
                    differing.extend(members(cx, name, one, other)?);
                } else {
                    differing.push(format!("{name}: differs"));
                }
            }
            (None, _) => differing.push(format!("{name}: only in the second")),
            (_, None) => differing.push(format!("{name}: only in the first")),
        }
    }
    Ok(differing)
}

/// The files of a folder, by their names.
fn named(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let named = |file: PathBuf| {
        let name = file.strip_prefix(folder)?.to_str();
        let name = name.context("a file whose name is not text")?.to_owned();
        Ok((name, file))
    };
    files::list(folder)?.into_iter().map(named).collect()
}

/// The differing members of two packages that differ.
fn members(cx: &Cx, name: &str, one: &Path, other: &Path) -> Result<Vec<String>> {
    let (one, other) = (listed(cx, "one", one)?, listed(cx, "other", other)?);
    let mut differing = Vec::new();
    for path in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        let (one, other) = (one.get(path), other.get(path));
        if one != other {
            let says = |side: Option<&String>| side.map_or("missing", |says| says).to_owned();
            let shown = path.display();
            let (one, other) = (says(one), says(other));
            differing.push(format!("{name}: {shown}: {one}; again: {other}"));
        }
    }
    if differing.is_empty() {
        differing.push(format!(
            "{name}: not its members, but times of folders or how they are packed"
        ));
    }
    Ok(differing)
}

/// Mode, owner, time and contents of each member of a package, and of its control files.
/// Not the time of a folder: dpkg-deb sets it before the folder's symbolic links are made.
fn listed(cx: &Cx, side: &str, deb: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let root = cx.dirs.target.join("tmp/stack-compare").join(side);
    files::empty(&root)?;
    cx.run(Command::new("dpkg-deb").arg("-R").arg(deb).arg(&root))?;
    let mut listed = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let about = fs::symlink_metadata(&path)?;
            let (mode, uid, gid) = (about.mode(), about.uid(), about.gid());
            let mut says = format!("{mode:o} {uid}:{gid}");
            if about.is_dir() {
                folders.push(path.clone());
            } else {
                let contents = if about.is_symlink() {
                    fs::read_link(&path)?.display().to_string()
                } else {
                    let digest = Key::default().file(&path)?.finish();
                    format!("{} bytes, digest {}", about.len(), &digest[..12])
                };
                write!(says, " at {}, {contents}", about.mtime())?;
            }
            listed.insert(path.strip_prefix(&root)?.to_owned(), says);
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use steps::{Busy, Dirs, Steps, write};

    use super::*;

    /// Packs a package with one file, in which `text` and `mode` are, at a time.
    fn pack(folder: &Path, name: &str, text: &str, mode: u32, time: &str) {
        let root = tempfile::tempdir().unwrap();
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nDescription: d\n\
             Maintainer: m <m@m.invalid>\n"
        );
        write(&root.path().join("DEBIAN/control"), control).unwrap();
        let file = root.path().join("usr/file");
        write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir_all(folder).unwrap();
        let mut pack = Command::new("dpkg-deb");
        pack.args(["--root-owner-group", "--build"])
            .arg(root.path());
        pack.arg(folder.join(format!("{name}.deb")));
        let packed = pack.env("SOURCE_DATE_EPOCH", time).output().unwrap();
        assert!(packed.status.success(), "{packed:?}");
    }

    #[test]
    fn a_member_that_differs_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let steps = Steps {
            dirs: Dirs {
                root: dir.path().to_owned(),
                target: dir.path().join("target"),
            },
            force: false,
            lock: dir.path().join("pins.lock"),
            origins: pins::Origins::default(),
            busy: Busy::default(),
        };
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let compare = || {
            let work = |cx: &Cx| Ok((String::new(), differences(cx, &one, &other)?));
            steps.value("compare", work).unwrap()
        };
        // The files' times are after these, which dpkg-deb limits them to.
        pack(&one, "same", "text", 0o644, "1000000");
        pack(&other, "same", "text", 0o644, "1000000");
        assert_eq!(compare(), Vec::<String>::new());

        pack(&one, "text", "text", 0o644, "1000000");
        pack(&other, "text", "another", 0o644, "1000000");
        pack(&one, "mode", "text", 0o644, "1000000");
        pack(&other, "mode", "text", 0o755, "1000000");
        pack(&one, "time", "text", 0o644, "1000000");
        pack(&other, "time", "text", 0o644, "1000001");
        pack(&one, "alone", "text", 0o644, "1000000");
        write(&other.join("Packages"), "2").unwrap();
        write(&one.join("Packages"), "1").unwrap();
        let found = compare();
        let is_there = |parts: &[&str]| {
            let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
            assert_eq!(
                found.iter().filter(fits).count(),
                1,
                "{parts:?} in {found:#?}"
            );
        };
        is_there(&["text.deb: usr/file: ", "4 bytes", "again: ", "7 bytes"]);
        is_there(&["mode.deb: usr/file: 100644 ", "again: 100755 "]);
        is_there(&["time.deb: usr/file: ", " at 1000000, ", " at 1000001, "]);
        is_there(&["alone.deb: only in the first"]);
        assert!(
            !found.iter().any(|line| line.contains(": usr: ")),
            "{found:#?}"
        );
        is_there(&["Packages: differs"]);
        assert!(
            !found.iter().any(|line| line.starts_with("same")),
            "{found:#?}"
        );
    }
}
