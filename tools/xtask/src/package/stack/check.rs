// SPDX-License-Identifier: MIT
//! Checks of the finished repository: it is complete, the hypervisor has our device and
//! the toolstack supports it; prints lintian's counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Steps, files};

use super::builder::{Builder, SOURCE};
use super::source::Source;
use super::{Release, repository};

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
        for name in release.packages {
            let version = listed.get(*name);
            let version = version.with_context(|| format!("no package {name} was built"))?;
            ensure!(*version == source.version, "{name} is of version {version}");
        }
        ensure!(listed.contains_key("vconsoled"), "no package vconsoled");
        let open = |name: &str| unpack(cx, folder, name);
        let xen = release.hypervisor();
        let hypervisor = open(&format!("xen-hypervisor-{}-arm64", release.xen.number()))?;
        let image = fs::metadata(hypervisor.join(xen.trim_start_matches('/')));
        let image = image.with_context(|| format!("the hypervisor's package has no {xen}"))?;
        has_entries(cx, &builder.path(SOURCE).join("xen/xen-syms"))?;
        let libraries = open(&format!("libxenmisc{}", release.xen.number()))?;
        knows(&libraries, "libxenlight.so", "pl011")?;
        let tools = open(&format!("xen-utils-{}", release.xen.number()))?;
        knows(&tools, "xl", "pl011")?;
        Ok(format!(
            "{} packages, the image of {} KiB has the device{}",
            listed.len(),
            image.len() >> 10,
            lint(cx, folder)?
        ))
    })
}

/// Unpacks a package of the repository. Returns the folder.
fn unpack(cx: &Cx, folder: &Path, name: &str) -> Result<PathBuf> {
    let files = files::list(folder)?;
    let is_it = |file: &&PathBuf| {
        let file = file.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&format!("{name}_"))
    };
    let file = files.iter().find(is_it);
    let file = file.with_context(|| format!("no file of {name}"))?;
    let root = cx.dirs.target.join("tmp/stack-check").join(name);
    files::empty(&root)?;
    cx.run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&root))?;
    Ok(root)
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

/// Counts lintian's findings, if it is installed. Returns a text for the result.
fn lint(cx: &Cx, folder: &Path) -> Result<String> {
    if !Path::new("/usr/bin/lintian").exists() {
        return Ok(", no lintian here".into());
    }
    let mut lint = Command::new("lintian");
    lint.args(["--allow-root", "--no-tag-display-limit"]);
    for file in files::list(folder)? {
        if file.extension().is_some_and(|end| end == "deb") {
            lint.arg(file);
        }
    }
    let (_, said) = cx.attempt(&mut lint)?;
    let (errors, warnings) = counted(&said);
    Ok(format!(", lintian: {errors} errors, {warnings} warnings"))
}

/// Lintian's errors and warnings.
fn counted(said: &str) -> (usize, usize) {
    let count = |sign| said.lines().filter(|line| line.starts_with(sign)).count();
    (count("E: "), count("W: "))
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
    fn lintians_lines_are_counted_by_their_weight() {
        assert_eq!(counted("E: a: b\nW: a: c\nN: d\nW: e: f\n"), (1, 2));
    }
}
