// SPDX-License-Identifier: MIT
//! Our own programs for dom0 and the guest: static, for one architecture. Their C code,
//! from the crate ring, is compiled by Debian's compiler for that architecture, without
//! a C library's headers, which are not installed.

use std::path::PathBuf;

use anyhow::Result;
use steps::{Dirs, Key, Steps, cargo};

/// The names of an architecture.
pub(crate) struct Arch {
    /// Debian's name.
    pub(crate) debian: &'static str,
    /// The Rust target.
    target: &'static str,
}

pub(crate) const ARM64: Arch = Arch {
    debian: "arm64",
    target: "aarch64-unknown-linux-musl",
};
pub(crate) const AMD64: Arch = Arch {
    debian: "amd64",
    target: "x86_64-unknown-linux-musl",
};

/// For a package without programs.
pub(crate) const ALL: Arch = Arch {
    debian: "all",
    target: "",
};

impl Arch {
    /// The machine's name in compilers.
    pub(super) fn machine(&self) -> &str {
        self.target.split('-').next().unwrap_or_default()
    }

    /// Whether this machine runs its programs.
    pub(crate) fn is_this_machines(&self) -> bool {
        self.target.starts_with(std::env::consts::ARCH)
    }
}

/// Builds packages of the workspace. Returns a key over the programs.
pub(crate) fn build(steps: &Steps, arch: &Arch, programs: &[&str]) -> Result<String> {
    let key = || {
        let key = programs.iter().try_fold(Key::default(), |key, program| {
            key.file(&path(&steps.dirs, arch, program))
        })?;
        anyhow::Ok(key.finish())
    };
    let name = format!("build {}, {}", programs.join(", "), arch.debian);
    steps.value(&name, |cx| {
        let before = key().ok();
        let mut build = cargo::portable(arch.target, &cx.dirs.target)?;
        build.args(["--profile", "image"]);
        for program in programs {
            build.args(["--package", program]);
        }
        let tool = |name: &str| format!("{}-linux-gnu-{name}", arch.machine());
        for (variable, value) in [
            ("CC", tool("gcc")),
            ("AR", tool("ar")),
            ("CFLAGS", "-ffreestanding -DRING_CORE_NOSTDLIBINC=1".into()),
        ] {
            let target = arch.target.replace('-', "_");
            build.env(format!("{variable}_{target}"), value);
        }
        cx.run(build.current_dir(&cx.dirs.root))?;
        let now = key()?;
        let said = if before.as_ref() == Some(&now) {
            "unchanged".to_owned()
        } else {
            format!("built for {}", arch.debian)
        };
        Ok((said, now))
    })
}

/// The path of a built program.
pub(crate) fn path(dirs: &Dirs, arch: &Arch, program: &str) -> PathBuf {
    dirs.target.join(arch.target).join("image").join(program)
}
