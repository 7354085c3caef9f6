// SPDX-License-Identifier: MIT
//! Checks of the finished repository: it is complete, the hypervisor has our device and
//! the toolstack supports it, no file names a folder of the build, and lintian has no
//! findings but the known ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Steps, cargo, files};

use super::builder::Builder;
use super::release::Release;
use super::source::Source;
use super::{lint, repository};

/// Our functions that the hypervisor must have.
const ENTRIES: [&str; 3] = ["domain_vpl011_init", "vpl011_access", "vpl011_ring_event"];

/// Fails with the first error.
pub(super) fn check(
    steps: &Steps,
    release: &Release,
    builder: &Builder,
    source: &Source,
    folder: &Path,
) -> Result<()> {
    steps.always(&release.step("check"), |cx| {
        let packages = fs::read_to_string(folder.join("Packages"))?;
        let listed: BTreeMap<_, _> = repository::listed(&packages)?.into_iter().collect();
        for name in release.packages() {
            let version = listed.get(&name);
            let version = version.with_context(|| format!("no package {name} was built"))?;
            ensure!(*version == source.version, "{name} is of version {version}");
        }
        ensure!(listed.contains_key("vconsoled"), "no package vconsoled");
        let root = cx.dirs.target.join("tmp/stack-check");
        files::empty(&root)?;
        for name in listed.keys() {
            unpack(cx, folder, name, &root.join(name))?;
        }
        let xen = release.hypervisor();
        let image = root.join(release.hypervisor_package());
        let image = fs::metadata(image.join(&xen));
        let image = image.with_context(|| format!("the hypervisor's package has no {xen}"))?;
        let tree = builder.source();
        has_entries(cx, &builder.path(&tree).join("xen/xen-syms"))?;
        knows(&root.join(release.libraries()), "libxenlight.so", "pl011")?;
        knows(&root.join(release.programs()), "xl", "pl011")?;
        name_no_folder(&root, &[tree, cargo::home()?.display().to_string()])?;
        Ok(format!(
            "{} packages, the image of {} KiB has the device{}",
            listed.len(),
            image.len() >> 10,
            lint::lint(cx, release, builder, folder)?
        ))
    })
}

/// Checks that no file contains the path of a folder of the build, which another build
/// would not have.
fn name_no_folder(root: &Path, folders: &[String]) -> Result<()> {
    for file in files::list(root)? {
        if file.is_symlink() {
            continue;
        }
        let bytes = fs::read(&file)?;
        for folder in folders {
            let path = folder.as_bytes();
            ensure!(
                !bytes.windows(path.len()).any(|window| window == path),
                "{} names {folder}, a folder of the build",
                file.strip_prefix(root)?.display()
            );
        }
    }
    Ok(())
}

/// Unpacks a package of the repository.
fn unpack(cx: &Cx, folder: &Path, name: &str, root: &Path) -> Result<()> {
    let files = files::list(folder)?;
    let is_it = |file: &&PathBuf| {
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}_"))
    };
    let file = files.iter().find(is_it);
    let file = file.with_context(|| format!("no file of {name}"))?;
    cx.run(Command::new("dpkg-deb").arg("-x").arg(file).arg(root))
}

/// Checks that the hypervisor has the functions of the device.
fn has_entries(cx: &Cx, syms: &Path) -> Result<()> {
    let symbols = cx.output(Command::new("aarch64-linux-gnu-nm").arg(syms))?;
    for entry in ENTRIES {
        let is_it = |line: &str| line.split(' ').next_back() == Some(entry);
        ensure!(symbols.lines().any(is_it), "the hypervisor has no {entry}");
    }
    Ok(())
}

/// Checks that there is a program or library of this name, and that it contains a word.
/// Scripts of the name, such as a shell's completions, are not looked at.
fn knows(root: &Path, name: &str, word: &str) -> Result<()> {
    let mut found = files::list(root)?;
    found.retain(|file| {
        let name_of = file.file_name().unwrap_or_default().to_string_lossy();
        (name_of == name || name_of.starts_with(&format!("{name}."))) && !file.is_symlink()
    });
    let binary = found.iter().find_map(|file| {
        let bytes = fs::read(file).ok()?;
        bytes.starts_with(b"\x7fELF").then_some(bytes)
    });
    let binary = binary.with_context(|| format!("no program or library {name}"))?;
    let word = word.as_bytes();
    ensure!(
        binary.windows(word.len()).any(|window| window == word),
        "{name} knows no {}",
        String::from_utf8_lossy(word)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_and_a_script_of_its_name_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| steps::write(&dir.path().join(name), text).unwrap();
        put("completions/xl", "pl011");
        let look = || knows(dir.path(), "xl", "pl011").map_err(|error| error.to_string());
        assert_eq!(look().unwrap_err(), "no program or library xl");
        put("bin/xl", "\x7fELF sbsa_uart");
        assert_eq!(look().unwrap_err(), "xl knows no pl011");
        put("bin/xl", "\x7fELF pl011");
        look().unwrap();
    }

    #[test]
    fn a_file_that_names_a_folder_of_the_build_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ["/build/xen".to_owned(), "/home/u/.cargo".to_owned()];
        let put = |name: &str, text: &str| steps::write(&dir.path().join(name), text).unwrap();
        put("a/usr/file", "/build/other and /home/u/cargo");
        name_no_folder(dir.path(), &folders).unwrap();
        put("b/usr/library", "\0\0/home/u/.cargo/registry\0");
        let error = name_no_folder(dir.path(), &folders).unwrap_err();
        assert_eq!(
            error.to_string(),
            "b/usr/library names /home/u/.cargo, a folder of the build"
        );
    }
}
