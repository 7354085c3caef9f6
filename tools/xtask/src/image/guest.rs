// SPDX-License-Identifier: MIT
//! The guest: Debian's kernel with busybox, a shell on each console it has.

use std::path::PathBuf;

use anyhow::Result;

use super::archive::Archive;
use super::{Kernel, programs};
use crate::step::{Key, Steps};

const INIT: &str = include_str!("guest-init.sh");

/// Makes the guest's initramfs. Returns its path and the step's key.
pub(crate) fn make(steps: &Steps, kernel: &Kernel, sysroot: &str) -> Result<(PathBuf, String)> {
    let agent = programs::build(steps, &["e2e"])?;
    let path = steps.dirs.image("guest.cpio");
    let key = Key::default()
        .text(&kernel.key)
        .text(sysroot)
        .text(agent)
        .text(INIT);
    let key = steps.run("guest image", key, &[&path], |cx| {
        let mut archive = Archive::new();
        archive.script("/init", INIT);
        archive.text("/etc/hostname", "guest\n");
        archive.file("/bin/busybox", &cx.dirs.sysroot().join("bin/busybox"))?;
        archive.file("/usr/bin/e2e", &programs::path(cx.dirs, "e2e"))?;
        kernel.add_modules(&mut archive, e2e::GUEST_MODULES)?;
        let size = archive.write(&path)?;
        Ok(format!("made, {} KiB", size >> 10))
    })?;
    Ok((path, key))
}
