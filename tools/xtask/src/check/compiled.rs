// SPDX-License-Identifier: MIT
//! What the compiler made of other people's crates, kept in the store: a run in
//! another clone compiles only what is ours. Cargo looks at what it finds as it
//! always does, and compiles again what does not suit it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use pins::Store;
use steps::{Dirs, Key, Steps, files, write};

/// The folder in the store, and the file in it that says for which versions of
/// crates and compiler it is.
const FOLDER: &str = "crates";
const KEY: &str = "key";

/// What decides how a crate is compiled.
const DECIDING: [&str; 6] = [
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "fuzz/Cargo.lock",
    "fuzz/Cargo.toml",
    "rust-toolchain.toml",
];

/// The most bytes that are kept. A target folder with more has old versions, too.
const MOST: u64 = 4 << 30;

/// Folders between `target` and a profile's, at most: `tmp/NAME/TARGET`.
const DEPTH: u32 = 3;

/// Copies what is kept to where a target folder has no such file.
pub(super) fn bring(steps: &Steps) -> Result<()> {
    steps.always("compiled crates", |cx| {
        bring_from(&Store::of_user()?, cx.dirs)
    })
}

/// Keeps what a whole run has made, in place of what was kept for other versions.
pub(super) fn keep(steps: &Steps) -> Result<()> {
    steps.always("compiled crates", |cx| keep_in(&Store::of_user()?, cx.dirs))
}

fn bring_from(store: &Store, dirs: &Dirs) -> Result<String> {
    let kept = store.folder().join(FOLDER);
    if !is_for(&kept, &key(dirs)?) {
        return Ok("none are kept for these versions".into());
    }
    // Of one age, and no older than what this tool was built from: cargo
    // compiles again what is older than what it depends on.
    let now = SystemTime::now();
    let mut copied = 0;
    for from in files::list(&kept)? {
        let to = dirs.target.join(from.strip_prefix(&kept)?);
        if !to.exists() && from != kept.join(KEY) {
            copy(&from, &to)?;
            File::options().write(true).open(&to)?.set_modified(now)?;
            copied += 1;
        }
    }
    Ok(format!("{copied} files from the store"))
}

fn keep_in(store: &Store, dirs: &Dirs) -> Result<String> {
    let (kept, key) = (store.folder().join(FOLDER), key(dirs)?);
    if is_for(&kept, &key) {
        return Ok("kept already".into());
    }
    let made = of_others(&dirs.target, DEPTH, &others(&dirs.root)?)?;
    let sizes = made.iter().map(|file| Ok(fs::metadata(file)?.len()));
    let bytes: u64 = sizes.sum::<Result<u64>>()?;
    if bytes > MOST {
        return Ok("not kept: target has old versions, which `cargo clean` removes".into());
    }
    let incoming = tempfile::tempdir_in(store.folder())?;
    for from in &made {
        copy(
            from,
            &incoming.path().join(from.strip_prefix(&dirs.target)?),
        )?;
    }
    write(&incoming.path().join(KEY), key)?;
    files::remove(&kept)?;
    fs::rename(incoming.keep(), &kept)?;
    Ok(format!("{} files kept, {} MiB", made.len(), bytes >> 20))
}

fn is_for(kept: &Path, key: &str) -> bool {
    fs::read_to_string(kept.join(KEY)).is_ok_and(|of| of == key)
}

fn key(dirs: &Dirs) -> Result<String> {
    let files = DECIDING.iter().map(|name| dirs.root.join(name));
    let key = files
        .into_iter()
        .try_fold(Key::default(), |key, file| key.file(&file));
    Ok(key?.finish())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("in a folder")?)?;
    fs::copy(from, to).with_context(|| format!("copying to {}", to.display()))?;
    Ok(())
}

/// The names of crates that come from a registry.
fn others(root: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock: toml::Table = fs::read_to_string(root.join(lock))?.parse()?;
        let packages = lock["package"].as_array().into_iter().flatten();
        let packages = packages.filter(|package| package.get("source").is_some());
        names.extend(packages.filter_map(|package| Some(package["name"].as_str()?.to_owned())));
    }
    Ok(names)
}

/// Cargo's files of those crates in each profile's folder, `depth` folders below
/// this one at most: `.fingerprint/NAME-HASH/*`, `build/NAME-HASH/*` and
/// `deps/*-HASH*`.
fn of_others(folder: &Path, depth: u32, others: &BTreeSet<String>) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    let fingerprints = folder.join(".fingerprint");
    if !fingerprints.is_dir() {
        if let Some(depth) = depth.checked_sub(1) {
            for below in folders(folder)? {
                made.extend(of_others(&below, depth, others)?);
            }
        }
        return Ok(made);
    }
    let mut hashes = BTreeSet::new();
    for unit in folders(&fingerprints)? {
        let name = unit.file_name().unwrap_or_default().to_string_lossy();
        let Some((_, hash)) = name.rsplit_once('-').filter(|(of, _)| others.contains(*of)) else {
            continue;
        };
        hashes.insert(hash.to_owned());
        made.extend(files::list(&unit)?);
        let built = folder.join("build").join(&*name);
        if built.is_dir() {
            made.extend(files::list(&built)?);
        }
    }
    made.extend(
        files::list(&folder.join("deps"))?
            .into_iter()
            .filter(|file| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let stem = name.split('.').next().unwrap_or_default();
                stem.rsplit_once('-')
                    .is_some_and(|(_, hash)| hashes.contains(hash))
            }),
    );
    Ok(made)
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "[[package]]\nname = \"ours\"\n\
                        [[package]]\nname = \"their-crate\"\nsource = \"a registry\"\n";

    /// A clone in which a run has compiled for two targets, or nothing.
    fn clone(folder: &Path, compiled: bool) -> Dirs {
        for name in DECIDING {
            write(&folder.join(name), LOCK).unwrap();
        }
        let target = folder.join("target");
        fs::create_dir_all(&target).unwrap();
        for name in [
            "debug/.fingerprint/their-crate-0a/lib",
            "debug/build/their-crate-0a/out/made.rs",
            "debug/deps/libtheir_crate-0a.rlib",
            "musl/image/.fingerprint/their-crate-0b/lib",
            "musl/image/deps/their_crate-0b.d",
            "debug/.fingerprint/ours-0c/lib",
            "debug/deps/ours-0c",
            "debug/deps/ours-0c.0a.o",
            "xen/their-crate-0a",
        ] {
            if compiled {
                write(&target.join(name), name).unwrap();
            }
        }
        let root = folder.to_owned();
        Dirs { root, target }
    }

    #[test]
    fn another_clone_has_other_peoples_crates_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path().join("store")).unwrap();
        let one = clone(&folder.path().join("one"), true);
        let two = clone(&folder.path().join("two"), false);
        assert_eq!(
            bring_from(&store, &two).unwrap(),
            "none are kept for these versions"
        );
        assert_eq!(keep_in(&store, &one).unwrap(), "5 files kept, 0 MiB");
        assert_eq!(keep_in(&store, &one).unwrap(), "kept already");
        // What is there is left as it is.
        let there = two.target.join("debug/deps/libtheir_crate-0a.rlib");
        write(&there, "newer").unwrap();
        assert_eq!(bring_from(&store, &two).unwrap(), "4 files from the store");
        assert_eq!(fs::read_to_string(&there).unwrap(), "newer");
        let brought = files::list(&two.target).unwrap();
        let ages = brought.iter().filter(|file| **file != there);
        let ages = ages.map(|file| fs::metadata(file).unwrap().modified().unwrap());
        assert_eq!(ages.collect::<BTreeSet<_>>().len(), 1);
        assert_eq!(brought.len(), 5);
        assert!(
            brought
                .iter()
                .all(|file| !file.to_string_lossy().contains("ours"))
        );

        for name in DECIDING {
            let three = clone(&folder.path().join("three"), false);
            write(&three.root.join(name), format!("{LOCK}# other\n")).unwrap();
            assert_eq!(
                bring_from(&store, &three).unwrap(),
                "none are kept for these versions",
                "{name}"
            );
        }
        let four = clone(&folder.path().join("four"), true);
        write(&four.root.join("Cargo.lock"), format!("{LOCK}# newer\n")).unwrap();
        assert_eq!(keep_in(&store, &four).unwrap(), "5 files kept, 0 MiB");
        assert_eq!(
            bring_from(&store, &two).unwrap(),
            "none are kept for these versions"
        );
    }
}
