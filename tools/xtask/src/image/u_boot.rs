// SPDX-License-Identifier: MIT
//! U-Boot as a guest, from Debian's source: `tests/u-boot` has the changes and the
//! configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use steps::{Cx, Key, Steps, files};
use xen_hooks::HookSet;

use crate::debian::{host, pins};
use crate::xen::{fetch, jobs};

/// The base of our configuration.
const DEFCONFIG: &str = "configs/qemu_arm64_defconfig";

/// Fetches and builds it. Returns the image's path and the step's key.
pub(crate) fn build(steps: &Steps) -> Result<(PathBuf, String)> {
    let ours = steps.dirs.root.join("tests/u-boot");
    let config = ours.join("guest.config");
    let folder = steps.dirs.target.join("u-boot");
    let source = folder.join("src");
    let pins = steps.pins("u-boot")?;

    let key = pins::key(&pins).file(&ours.join("hooks.toml"))?;
    let key = steps.run("u-boot source", key, &[&source], |cx| {
        let said = fetch::unpack(cx, &pins, &folder.join("download"), &source)?;
        HookSet::read(&[&ours], pins.version().to_owned(), &ours)?.apply(&source)?;
        Ok(said)
    })?;

    let image = steps.dirs.target.join("machine/u-boot.bin");
    let key = Key::default().text(key).file(&config)?;
    let key = steps.run("u-boot", key, &[&image], |cx| {
        let out = folder.join("build");
        configure(cx, &source, &config, &out)?;
        cx.run(make(cx, &source, &out)?.arg(jobs()).arg("u-boot.bin"))?;
        let size = fs::copy(out.join("u-boot.bin"), &image)?;
        Ok(format!("built, {} KiB", size >> 10))
    })?;
    Ok((image, key))
}

fn make(cx: &Cx, source: &Path, out: &Path) -> Result<Command> {
    let mut make = host::make(cx.dirs)?;
    make.arg("-C").arg(source);
    make.arg(format!("O={}", out.display()));
    make.arg("CROSS_COMPILE=aarch64-linux-gnu-");
    Ok(make)
}

/// Makes the configuration and checks that it has every line of ours: Kconfig drops
/// unknown options silently.
fn configure(cx: &Cx, source: &Path, config: &Path, out: &Path) -> Result<()> {
    files::empty(out)?;
    cx.run(
        Command::new("scripts/kconfig/merge_config.sh")
            .args(["-m", "-O"])
            .arg(out)
            .arg(DEFCONFIG)
            .arg(config)
            .current_dir(source),
    )?;
    cx.run(make(cx, source, out)?.arg("olddefconfig"))?;
    let made = fs::read_to_string(out.join(".config"))?;
    for line in fs::read_to_string(config)?.lines() {
        ensure!(
            holds(line, &made),
            "U-Boot's configuration does not follow `{line}`"
        );
    }
    Ok(())
}

/// Whether a configuration has a line of a fragment; an option with unmet conditions is
/// not listed at all.
fn holds(line: &str, made: &str) -> bool {
    match line
        .strip_prefix("# ")
        .and_then(|line| line.strip_suffix(" is not set"))
    {
        Some(option) => !made.lines().any(|made| {
            made.strip_prefix(option)
                .is_some_and(|rest| rest.starts_with('='))
        }),
        None => line.is_empty() || line.starts_with('#') || made.lines().any(|made| made == line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_line_is_an_error() {
        let made = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C_D=1\n";
        for line in [
            "CONFIG_A=y",
            "# CONFIG_B is not set",
            "# CONFIG_C is not set",
            "",
            "# Text.",
        ] {
            assert!(holds(line, made), "{line}");
        }
        for line in ["CONFIG_B=y", "CONFIG_C_D=2", "# CONFIG_A is not set"] {
            assert!(!holds(line, made), "{line}");
        }
    }
}
