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
use super::kernel::Linux;
use crate::debian::programs::unpack;
use crate::package::programs::{self, ARM64};

const INIT: &str = include_str!("guest-init.sh");

/// Root's password is "primecell", where a login is required.
const PASSWD: &str = "root:$6$vpl011$8VpWPXBiRu91d2EY8ynkB563NoRl6Eu7fMk0wFkcfQxZIUr7koBp3VtCYqDuEshrkW8BNNkQxMgS.rVUhrDqI.:0:0:root:/root:/bin/sh\n";

/// The agent of a 32-bit guest: no other part of the project needs a Rust target for it.
const AGENT: &str = include_str!("guest-armhf.pl");

/// What that needs of its packages' files, by their names in a folder of libraries.
const PERL: &str = "/usr/bin/perl";
const LIBRARIES: &str = "usr/lib/arm-linux-gnueabihf";
const NEEDS: [&str; 4] = [
    "ld-linux-armhf.so.3",
    "libc.so.6",
    "libcrypt.so.1",
    "libm.so.6",
];
const MODULES: [&str; 4] = ["strict", "warnings", "warnings/register", "constant"];

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
            Agent::Program(path) => archive.file("/usr/bin/e2e", path)?,
            Agent::Script(root) => {
                archive.script("/usr/bin/e2e", AGENT);
                archive.file(PERL, &root.join(&PERL[1..]))?;
                for name in NEEDS {
                    let from = root.join(LIBRARIES).join(name);
                    archive.file(&format!("/lib/{name}"), &from)?;
                }
                for name in MODULES {
                    let path = format!("{LIBRARIES}/perl-base/{name}.pm");
                    archive.file(&format!("/{path}"), &root.join(&path))?;
                }
            }
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
    agent: Agent,
    key: String,
}

/// The test agent.
enum Agent {
    /// Its path.
    Program(PathBuf),
    /// A script, for which Perl is in the packages of this folder.
    Script(PathBuf),
}

impl Programs {
    fn arm64(steps: &Steps, sysroot: &str) -> Result<Self> {
        let agent = programs::build(steps, &ARM64, &["e2e"])?;
        Ok(Self {
            busybox: steps.dirs.target.join("sysroot/bin/busybox"),
            agent: Agent::Program(programs::path(&steps.dirs, &ARM64, "e2e")),
            key: Key::default().text(sysroot).text(agent).finish(),
        })
    }

    fn armhf(steps: &Steps) -> Result<Self> {
        let root = steps.dirs.target.join("armhf");
        let packages = unpack(steps, "armhf packages", &steps.pins("armhf")?, &root)?;
        let key = Key::default().text(packages).text(AGENT);
        Ok(Self {
            busybox: root.join("usr/bin/busybox"),
            agent: Agent::Script(root),
            key: key.text(include_str!("guest.rs")).finish(),
        })
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
