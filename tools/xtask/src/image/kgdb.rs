// SPDX-License-Identifier: MIT
//! dom0 with gdb, and with a guest's kernel that it debugs. Debian's kernels are built
//! without kgdb, so this one is built here, from Debian's source: `tests/kgdb` has its
//! configuration. It takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Key, Steps, files};

use super::dom0::{Dom0, library_folders};
use super::{kconfig, libraries};
use crate::debian::{pins, programs};
use crate::xen::{Built, fetch, jobs};

/// The debugger, below the root of its packages.
const GDB: &str = "usr/bin/gdb";

impl Dom0 {
    /// The same with gdb, and with `/guest/kgdb/Image` and its symbols.
    pub(crate) fn with_gdb(&self, steps: &Steps, built: &Built) -> Result<Self> {
        let (kernel, kernel_key) = kernel(steps)?;
        let root = steps.dirs.target.join("gdb");
        let gdb_key = programs::unpack(steps, "gdb", &steps.pins("gdb")?, &root)?;
        let key = Key::default()
            .text(kernel_key)
            .text(gdb_key)
            .text(libraries::TEXT);
        self.with_more(steps, built, "gdb", key, |cx, archive| {
            archive.file(&format!("/{GDB}"), &root.join(GDB))?;
            for name in [IMAGE, SYMBOLS] {
                archive.file(&format!("/guest/kgdb/{name}"), &kernel.join(name))?;
            }
            // Libraries that the plain dom0 has too come from where its own do.
            let roots = [
                cx.dirs.target.join("sysroot"),
                programs::for_dom0(cx.dirs),
                root,
            ];
            libraries::add(archive, &library_folders(built, &roots)?)
        })
    }
}

const IMAGE: &str = "Image";
const SYMBOLS: &str = "vmlinux";

/// Fetches and builds the kernel. Returns the folder with its image and symbols, and the
/// step's key.
fn kernel(steps: &Steps) -> Result<(PathBuf, String)> {
    let config = steps.dirs.root.join("tests/kgdb/guest.config");
    let folder = steps.dirs.target.join("kgdb");
    let source = folder.join("src");
    let pins = steps.pins("linux-source")?;
    let key = pins::key(&pins);
    let key = steps.run("kgdb source", key, &[&source], |cx| {
        fetch::unpack(cx, &pins, &folder.join("download"), &source)
    })?;

    let made = steps.dirs.target.join("machine/kgdb");
    let (image, symbols) = (made.join(IMAGE), made.join(SYMBOLS));
    let key = Key::default().text(key).file(&config)?;
    let key = steps.run("kgdb kernel", key, &[&image, &symbols], |cx| {
        let out = folder.join("build");
        files::empty(&out)?;
        cx.run(
            make(cx, &source, &out)?
                .env("KCONFIG_ALLCONFIG", &config)
                .arg("allnoconfig"),
        )?;
        kconfig::check(&config, &out.join(".config"))?;
        cx.run(make(cx, &source, &out)?.arg(jobs()).arg(IMAGE))?;
        fs::create_dir_all(&made)?;
        let size = fs::copy(out.join("arch/arm64/boot").join(IMAGE), &image)?;
        fs::copy(out.join(SYMBOLS), &symbols)?;
        Ok(format!("{} built, {} KiB", pins.version(), size >> 10))
    })?;
    Ok((made, key))
}

fn make(cx: &Cx, source: &Path, out: &Path) -> Result<Command> {
    let mut make = kconfig::make(cx, source, out)?;
    make.arg("ARCH=arm64");
    Ok(make)
}
