// SPDX-License-Identifier: MIT
//! Our own programs for dom0 and the guest: static, for one architecture. Their C code,
//! from the crate ring, is compiled by Debian's compiler for that architecture, without
//! a C library's headers, which are not installed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Dirs, Key, Steps, cargo};

use crate::debian::host;

/// The names of an architecture, and how its programs are compiled.
pub(crate) struct Arch {
    /// Debian's name.
    pub(crate) debian: &'static str,
    /// The name in steps and folders.
    pub(super) label: &'static str,
    /// The Rust target of what users get.
    target: Option<&'static str>,
}

pub(crate) const ARM64: Arch = Arch {
    debian: "arm64",
    label: "arm64",
    target: Some("aarch64-unknown-linux-musl"),
};
pub(crate) const AMD64: Arch = Arch {
    debian: "amd64",
    label: "amd64",
    target: Some("x86_64-unknown-linux-musl"),
};

/// This machine's, whose programs are those that its tests have compiled: for packages
/// whose scripts are tried here, which would otherwise be compiled for that alone.
pub(crate) const TESTED: Arch = Arch {
    debian: if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    },
    label: "tested",
    target: None,
};

/// For a package without programs.
pub(crate) const ALL: Arch = Arch {
    debian: "all",
    label: "all",
    target: None,
};

impl Arch {
    /// The machine's name in compilers.
    pub(super) fn machine(&self) -> &'static str {
        let target = self.target.unwrap_or(env::consts::ARCH);
        target.split('-').next().unwrap_or_default()
    }

    /// Whether this machine runs its programs.
    pub(crate) fn is_this_machines(&self) -> bool {
        self.machine() == env::consts::ARCH
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
    let name = format!("build {}, {}", programs.join(", "), arch.label);
    steps.value(&name, |cx| {
        let before = key().ok();
        let mut build = command(cx, arch, programs)?;
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

fn command(cx: &Cx, arch: &Arch, programs: &[&str]) -> Result<Command> {
    let Some(target) = arch.target else {
        let mut build = cargo::locked("build");
        build.arg("--target-dir").arg(&cx.dirs.target);
        build.args(cargo::WORKSPACE);
        for program in programs {
            build.args(["--bin", program]);
        }
        return Ok(build);
    };
    let mut build = cargo::portable(target, &cx.dirs.target)?;
    host::with_cache(&mut build, cx.dirs, &[])?;
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
        build.env(format!("{variable}_{}", target.replace('-', "_")), value);
    }
    Ok(build)
}

/// The path of a built program.
pub(crate) fn path(dirs: &Dirs, arch: &Arch, program: &str) -> PathBuf {
    let folder = match arch.target {
        Some(target) => dirs.target.join(target).join("image"),
        None => dirs.target.join("debug"),
    };
    folder.join(program)
}
