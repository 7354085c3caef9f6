// SPDX-License-Identifier: MIT
//! A fake machine for the command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A workspace's folders, and programs that replace the machine's.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A machine with every package installed.
    pub(crate) fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        // Another user needs access too.
        fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(place.path("bin")).unwrap();
        fs::create_dir(place.path("target")).unwrap();
        fs::set_permissions(place.path("target"), fs::Permissions::from_mode(0o777)).unwrap();
        let (root, target) = (place.path("."), place.path("target"));
        place.program(
            "cargo",
            &format!(
                "echo '{{\"workspace_root\":\"{}\",\"target_directory\":\"{}\"}}'",
                root.display(),
                target.display()
            ),
        );
        place.write("tools/xtask/pins.lock", include_str!("../../pins.lock"));
        place.apt("");
        place.program(
            "dpkg-query",
            "shift 2; for p; do echo \"$p installed\"; done",
        );
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// Sets the options of the machine's apt.
    pub(crate) fn apt(&self, settings: &str) {
        self.write("apt.conf", format!("Acquire::Retries \"0\";\n{settings}"));
    }

    pub(crate) fn program(&self, name: &str, script: &str) {
        terminal::install(
            self.path("bin").join(name),
            format!("#!/bin/sh\n{script}\n"),
        );
    }

    pub(crate) fn xtask(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("CARGO", self.path("bin/cargo"))
            .env("APT_CONFIG", self.path("apt.conf"))
            .env("VPL011_STORE", self.path("store"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.xtask(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .output()
            .unwrap()
    }
}
