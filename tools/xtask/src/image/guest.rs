// SPDX-License-Identifier: MIT
//! The guests: Debian's kernel with busybox and a shell on each console, and bare-metal
//! ones: one that tries forbidden accesses, and one that measures the cost of accesses
//! in Xen.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use e2e::pattern;
use steps::{Key, Steps, files};

use super::Kernel;
use super::archive::{self, Archive};
use super::kernel::Linux;
use crate::debian::programs::unpack;
use crate::package::programs::{self, ARM64};

const INIT: &str = include_str!("guest-init.sh");

/// Root's password is "primecell", where a login is required.
const PASSWD: &str = "root:$6$vpl011$8VpWPXBiRu91d2EY8ynkB563NoRl6Eu7fMk0wFkcfQxZIUr7koBp3VtCYqDuEshrkW8BNNkQxMgS.rVUhrDqI.:0:0:root:/root:/bin/sh\n";

/// The seeds of the patterns that a 32-bit guest has as files.
const SEEDS: std::ops::Range<u32> = 0..64;

/// Makes the guest's initramfs. Returns its path and the step's key.
pub(crate) fn make(steps: &Steps, kernel: &Kernel, sysroot: &str) -> Result<(PathBuf, String)> {
    let programs = match kernel.version {
        Linux::Armmp => Programs::armhf(steps)?,
        _ => Programs::arm64(steps, sysroot)?,
    };
    let suffix = kernel.version.suffix();
    let path = format!("machine/guest{suffix}.cpio");
    let path = steps.dirs.target.join(path);
    let key = Key::default()
        .text(&kernel.key)
        .text(&programs.key)
        .text(INIT)
        .text(archive::TEXT);
    let step = format!("guest image{suffix}");
    let key = steps.run(&step, key, &[&path], |_| {
        let mut archive = Archive::new();
        archive.script("/init", INIT);
        archive.text("/etc/hostname", "guest\n");
        archive.text("/etc/passwd", PASSWD);
        archive.file("/bin/busybox", &programs.busybox)?;
        match &programs.agent {
            Some(agent) => archive.file("/usr/bin/e2e", agent)?,
            None => add_patterns(&mut archive),
        }
        kernel.add_modules(&mut archive, e2e::GUEST_MODULES)?;
        let size = archive.write(&path)?;
        Ok(format!("made, {} KiB", size >> 10))
    })?;
    Ok((path, key))
}

/// A guest's programs.
struct Programs {
    busybox: PathBuf,
    /// The test agent; a 32-bit guest has none, because no other part of the project
    /// needs a Rust target for it.
    agent: Option<PathBuf>,
    key: String,
}

impl Programs {
    fn arm64(steps: &Steps, sysroot: &str) -> Result<Self> {
        let agent = programs::build(steps, &ARM64, &["e2e"])?;
        Ok(Self {
            busybox: steps.dirs.target.join("sysroot/bin/busybox"),
            agent: Some(programs::path(&steps.dirs, &ARM64, "e2e")),
            key: Key::default().text(sysroot).text(agent).finish(),
        })
    }

    fn armhf(steps: &Steps) -> Result<Self> {
        let root = steps.dirs.target.join("armhf");
        let packages = unpack(steps, "armhf packages", &steps.pins("armhf")?, &root)?;
        let text = include_str!("guest.rs");
        Ok(Self {
            busybox: root.join("usr/bin/busybox"),
            agent: None,
            key: Key::default().text(packages).text(text).finish(),
        })
    }
}

/// `e2e probe pattern SEED LEN` as a script, with files.
const PATTERNS: &str = "\
#!/bin/busybox sh
if [ \"$1 $2\" = 'probe pattern' ]; then
    exec head -c $4 /usr/share/patterns/$3
fi
echo \"$1 $2: a 32-bit guest has no agent, only patterns\" >&2
exit 1
";

fn add_patterns(archive: &mut Archive) {
    archive.script("/usr/bin/e2e", PATTERNS);
    for seed in SEEDS {
        let bytes = pattern::bytes(seed, pattern::LEN);
        archive.bytes(&format!("/usr/share/patterns/{seed}"), bytes);
    }
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
