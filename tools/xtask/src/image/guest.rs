// SPDX-License-Identifier: MIT
//! The guests: Debian's kernel with busybox and a shell on each console, and bare-metal
//! ones: one that tries forbidden accesses, and one that measures the cost of accesses
//! in Xen.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use steps::{Key, Steps, files};

use super::Kernel;
use super::archive::{self, Archive};
use crate::package::programs::{self, ARM64};

const INIT: &str = include_str!("guest-init.sh");

/// Root's password is "primecell", where a login is required.
const PASSWD: &str = "root:$6$vpl011$8VpWPXBiRu91d2EY8ynkB563NoRl6Eu7fMk0wFkcfQxZIUr7koBp3VtCYqDuEshrkW8BNNkQxMgS.rVUhrDqI.:0:0:root:/root:/bin/sh\n";

/// Makes the guest's initramfs. Returns its path and the step's key.
pub(crate) fn make(steps: &Steps, kernel: &Kernel, sysroot: &str) -> Result<(PathBuf, String)> {
    let agent = programs::build(steps, &ARM64, &["e2e"])?;
    let suffix = kernel.version.suffix();
    let path = format!("machine/guest{suffix}.cpio");
    let path = steps.dirs.target.join(path);
    let key = Key::default()
        .text(&kernel.key)
        .text(sysroot)
        .text(agent)
        .text(INIT)
        .text(archive::TEXT);
    let step = format!("guest image{suffix}");
    let key = steps.run(&step, key, &[&path], |cx| {
        let mut archive = Archive::new();
        archive.script("/init", INIT);
        archive.text("/etc/hostname", "guest\n");
        archive.text("/etc/passwd", PASSWD);
        archive.file(
            "/bin/busybox",
            &cx.dirs.target.join("sysroot").join("bin/busybox"),
        )?;
        archive.file("/usr/bin/e2e", &programs::path(cx.dirs, &ARM64, "e2e"))?;
        kernel.add_modules(&mut archive, e2e::GUEST_MODULES)?;
        let size = archive.write(&path)?;
        Ok(format!("made, {} KiB", size >> 10))
    })?;
    Ok((path, key))
}

/// The images of `tests/guests`.
pub(crate) const BARE_METAL: [&str; 2] = ["monitor.bin", "no-uart.bin"];

/// Compiles the bare-metal guests of `tests/guests`. Returns the folder of the
/// images and the step's key.
pub(crate) fn bare_metal(steps: &Steps) -> Result<(PathBuf, String)> {
    let sources = steps.dirs.root.join("tests/guests");
    let out = steps.dirs.target.join("machine/guests");
    let images = BARE_METAL.map(|name| out.join(name));
    let outputs: Vec<_> = images.iter().map(PathBuf::as_path).collect();
    let mut files = files::list(&sources)?;
    files.push(steps.dirs.root.join("tools/xen-io/bare-metal/src/head.S"));
    let key = files
        .iter()
        .try_fold(Key::default(), |key, file| key.file(file))?;
    let key = steps.run("bare-metal guests", key, &outputs, |cx| {
        cx.run(
            Command::new("make")
                .arg("-C")
                .arg(&sources)
                .arg("CROSS_COMPILE=aarch64-linux-gnu-")
                .arg(format!("OUT={}", out.display())),
        )?;
        Ok(format!("{} built", images.len()))
    })?;
    Ok((out, key))
}
