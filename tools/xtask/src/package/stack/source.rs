// SPDX-License-Identifier: MIT
//! The source package: upstream's part and Debian's, both pinned, with the changes of a
//! cross build to Debian's, our patches at the end of its series, our object, and an
//! entry in its changelog.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use pins::{Pin, Pins};
use steps::{Cx, Key, Steps, files, write};

use super::builder::Builder;
use super::changes;
use super::release::Release;

/// The path of the object, below the source.
const OBJECT: &str = "debian/vpl011/core.o";

/// Our patches, below Debian's.
const PATCHES: &str = "vpl011";

/// A source package, unpacked in the system that builds it.
pub(super) struct Source {
    /// The version of its packages.
    pub(super) version: String,
    /// The key of the step that made it.
    pub(super) key: String,
}

/// Assembles the source package, with an object for the hypervisor.
pub(super) fn make(
    steps: &Steps,
    release: &Release,
    builder: &Builder,
    object: &Path,
) -> Result<Source> {
    let [upstream, packaging] = parts(steps, release)?;
    let (entry, version) = entry(&release.entry(), &packaging.version)?;
    let shim = steps.dirs.root.join("hyp-shim");
    let mut key = Key::default()
        .text(&upstream.sha256)
        .text(&packaging.sha256);
    key = key.text(&entry);
    for change in release.changes() {
        key = key.text(change.text());
    }
    for name in release.long_names {
        key = key.text(name);
    }
    for input in files::list(&shim)? {
        key = key.file(&input)?;
    }
    key = key.file(object)?;
    let tree = builder.path(&builder.source());
    let made = tree.join(OBJECT);
    let key = steps.run(&builder.step(release, "source"), key, &[&made], |cx| {
        files::empty(&tree)?;
        let parts = [(upstream, Some("--strip-components=1")), (packaging, None)];
        for (pin, strip) in parts {
            for file in cx.fetch(&Pins(vec![pin]))? {
                let mut unpack = Command::new("tar");
                unpack.args(["--extract", "--no-same-owner", "--file"]);
                unpack.arg(file).arg("--directory").arg(&tree);
                cx.run(unpack.args(strip))?;
            }
        }
        changes::make(release.changes(), &tree)?;
        for name in release.long_names {
            allow_long_name(&tree, name)?;
        }
        // The series applies to the tree with Debian's own patches.
        let patch = ["dpkg-source", "--before-build", "."];
        builder.run(cx, &builder.source(), &patch)?;
        let count = add_series(cx, &shim, &tree)?;
        fs::create_dir_all(tree.join("debian/vpl011"))?;
        fs::copy(object, &made)?;
        let log = tree.join("debian/changelog");
        let text = entry + &fs::read_to_string(&log)?;
        write(&log, text)?;
        Ok(format!("{version}, {count} patches of ours"))
    })?;
    Ok(Source { version, key })
}

/// Upstream's part and Debian's, of one version.
fn parts(steps: &Steps, release: &Release) -> Result<[Pin; 2]> {
    let mut pins = Vec::new();
    for set in release.sets {
        pins.extend(steps.pins(set)?.0);
    }
    let part = |infix: &str| {
        let mut files = pins.iter().filter(|pin| pin.file().contains(infix));
        let found = files.next().cloned();
        found.with_context(|| format!("no file *{infix}* in the sets {:?}", release.sets))
    };
    let [upstream, packaging] = [part(".orig.tar.")?, part(".debian.tar.")?];
    ensure!(
        upstream.version == packaging.version,
        "the sets {:?} of pins.lock are of different versions, {} and {}: move both, \
         `cargo xtask pins update {}`",
        release.sets,
        upstream.version,
        packaging.version,
        release.sets.join(" ")
    );
    Ok([upstream, packaging])
}

/// Overrides lintian's warning of a package's long file name, which our suffix causes.
fn allow_long_name(tree: &Path, package: &str) -> Result<()> {
    let file = tree.join(format!("debian/{package}.lintian-overrides"));
    let mut text = String::new();
    if file.exists() {
        text = fs::read_to_string(&file)?;
    }
    text.push_str("# Debian's version, with the suffix of the packages that have the device.\n");
    text.push_str("package-has-long-file-name\n");
    write(&file, text)
}

/// Adds our patches after Debian's. Returns how many there are.
fn add_series(cx: &Cx, shim: &Path, tree: &Path) -> Result<usize> {
    let folder = tree.join("debian/patches");
    let work = cx.dirs.target.join("tmp/stack-series");
    let patches = xen_hooks::export(shim, tree, &work, &folder.join(PATCHES))?;
    let series = folder.join("series");
    let text = appended(&fs::read_to_string(&series)?, &patches)?;
    write(&series, text)?;
    Ok(patches.len())
}

/// Debian's series, followed by our patches.
fn appended(series: &str, patches: &[PathBuf]) -> Result<String> {
    let mut text = series.trim_end().to_owned() + "\n";
    for patch in patches {
        let name = patch.file_name().and_then(|name| name.to_str());
        let name = name.context("a patch without a name")?;
        text.extend([PATCHES, "/", name, "\n"]);
    }
    Ok(text)
}

/// The changelog's entry for our packages of a Debian version, and our version.
fn entry(template: &str, version: &str) -> Result<(String, String)> {
    let entry = template.replace("@VERSION@", version);
    let heading = entry
        .split_once(" (")
        .and_then(|(_, rest)| rest.split_once(')'));
    let (ours, _) = heading.context("the entry has no version")?;
    let ours = ours.to_owned();
    ensure!(
        ours.starts_with(&format!("{version}+vpl011.")),
        "{ours} does not say what it is: {version} with our patches"
    );
    Ok((entry + "\n", ours))
}

#[cfg(test)]
mod tests {
    use super::super::release::RELEASES;
    use super::*;

    #[test]
    fn our_version_is_debian_s_with_a_suffix_and_newer() {
        for release in &RELEASES {
            let (entry, ours) = entry(&release.entry(), "4.20.3+127-gc4-0+deb13u1").unwrap();
            assert_eq!(ours, "4.20.3+127-gc4-0+deb13u1+vpl011.1");
            let heading = format!("xen ({ours}) {}; urgency=", release.name);
            assert!(entry.starts_with(&heading), "{entry}");
            assert!(entry.ends_with("+0000\n\n"), "{entry:?}");
            let newer = Command::new("dpkg")
                .args([
                    "--compare-versions",
                    &ours,
                    "gt",
                    "4.20.3+127-gc4-0+deb13u1",
                ])
                .status();
            assert!(newer.unwrap().success());
        }
        let error = entry("xen (1.0) trixie; urgency=low\n", "2.0").unwrap_err();
        assert!(error.to_string().contains("1.0 does not say"), "{error}");
    }

    #[test]
    fn our_patches_come_last_and_in_their_order() {
        let patches = ["out/0001-a.patch", "out/0002-b.patch"].map(PathBuf::from);
        assert_eq!(
            appended("theirs.patch\nmisc/theirs\n\n", &patches).unwrap(),
            "theirs.patch\nmisc/theirs\nvpl011/0001-a.patch\nvpl011/0002-b.patch\n"
        );
    }
}
