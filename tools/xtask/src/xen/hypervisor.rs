// SPDX-License-Identifier: MIT
//! The hypervisor: the Rust object, and Xen with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Key, Steps, cargo};

use super::jobs;
use super::tree::{Tree, update};
use crate::debian::host::{self, BARE_TARGET};
use crate::debian::programs;

/// The object's path in a tree; make recognises a shipped object by its suffix.
const OBJECT: &str = "xen/arch/arm/vpl011/core.o_shipped";

/// A warning of gcc 14, Debian 13's, in 4.17's `__irq_to_desc()`.
const TOLERATED: &str = "-Wno-error=array-bounds";

/// Builds `xen/xen` of the tree. Returns its path.
pub(crate) fn build(steps: &Steps, tree: &Tree) -> Result<PathBuf> {
    let image = tree.path.join("xen/xen");
    let options = tree.which.flavour.options();
    let mut key = tree.key(|path| path.starts_with("xen"));
    for option in options {
        key = key.text(option);
    }
    if tree.which.flavour.has_device() {
        let object = object(steps)?;
        key = key.file(&object)?;
        update(&tree.path.join(OBJECT), &fs::read(&object)?)?;
    }
    let checkpolicy = if tree.which.flavour.has_policy() {
        let (program, its_key) = programs::checkpolicy(steps)?;
        key = key.text(its_key);
        Some(program)
    } else {
        None
    };
    steps.run(&tree.which.step("hypervisor"), key, &[&image], |cx| {
        let make = || {
            let mut make = host::make(cx.dirs)?;
            make.arg("-C").arg(tree.path.join("xen")).arg(jobs());
            make.args(["XEN_TARGET_ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"]);
            make.arg(format!("EXTRA_CFLAGS_XEN_CORE={TOLERATED}"));
            if let Some(program) = &checkpolicy {
                make.arg(format!("CHECKPOLICY={}", program.display()));
            }
            anyhow::Ok(make)
        };
        cx.run(make()?.arg("defconfig"))?;
        if !options.is_empty() {
            let config = tree.path.join("xen/.config");
            let defaults = fs::read_to_string(&config)?;
            // Of two lines for one option the last applies.
            fs::write(&config, format!("{defaults}{}\n", options.join("\n")))?;
            cx.run(make()?.arg("olddefconfig"))?;
        }
        cx.run(&mut make()?)?;
        Ok(format!("built, {} KiB", fs::metadata(&image)?.len() >> 10))
    })?;
    Ok(image)
}

/// Builds the Rust library and links it to one object with folded sections.
pub(crate) fn object(steps: &Steps) -> Result<PathBuf> {
    let shim = steps.dirs.root.join("hyp-shim");
    let library = steps
        .dirs
        .target
        .join(BARE_TARGET)
        .join("hypervisor/libhyp_shim.a");
    let object = steps.dirs.target.join("xen/core.o");
    steps.always("rust library", |cx| {
        let before = digest(&library);
        cx.run(
            cargo::portable(BARE_TARGET, &steps.dirs.target)?
                .args(["--profile", "hypervisor", "--package", "hyp-shim"])
                .arg("--no-default-features")
                .current_dir(&steps.dirs.root),
        )?;
        Ok(if digest(&library) == before {
            "unchanged"
        } else {
            "built"
        }
        .into())
    })?;
    let script = shim.join("link-object.sh");
    let key = Key::default()
        .file(&library)?
        .file(&shim.join("fold-sections.lds"))?
        .file(&script)?;
    steps.run("rust object", key, &[&object], |cx| {
        fs::create_dir_all(steps.dirs.target.join("xen"))?;
        cx.run(Command::new(&script).arg(&library).arg(&object))?;
        Ok(format!(
            "linked, {} KiB",
            fs::metadata(&object)?.len() >> 10
        ))
    })?;
    Ok(object)
}

fn digest(path: &Path) -> Option<String> {
    Key::default().file(path).ok().map(Key::finish)
}
