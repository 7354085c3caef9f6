// SPDX-License-Identifier: MIT
//! U-Boot as a guest, from Debian's source: `tests/u-boot` has the changes and the
//! configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Key, Steps, files};
use xen_hooks::HookSet;

use super::kconfig;
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

/// Makes the configuration, which must have every line of ours.
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
    kconfig::check(config, &out.join(".config"))
}
