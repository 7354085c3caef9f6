// SPDX-License-Identifier: MIT
//! What the tests build and how they run it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder `hyp-shim`.
pub(crate) fn shim() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where these tests may write.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs `command`, which must succeed, and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = String::from_utf8(output.stdout).expect("tools print UTF-8");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// Builds the library, for the host or as the hypervisor has it.
pub(crate) fn staticlib(target: Option<&str>) -> PathBuf {
    let target_dir = scratch().join("staticlib");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "hyp-shim", "--lib", "--target-dir"]);
    cargo.arg(&target_dir).current_dir(shim().parent().expect("the repository's root"));
    let built = match target {
        None => target_dir.join("debug"),
        Some(target) => {
            cargo.args(["--profile", "hypervisor", "--target", target]);
            target_dir.join(target).join("hypervisor")
        }
    };
    run(&mut cargo);
    built.join("libhyp_shim.a")
}
