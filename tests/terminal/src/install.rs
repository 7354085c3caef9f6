// SPDX-License-Identifier: MIT
//! Programs that a test makes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes an executable file of these contents.
///
/// Another process writes it: a child that a test starts at the same moment inherits
/// a file that is open for writing until it executes its program, and until then the
/// file cannot be executed (ETXTBSY).
///
/// # Panics
///
/// When it cannot be made.
pub fn install(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) {
    let path = path.as_ref();
    let mut install = Command::new("/usr/bin/install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install");
    let mut input = install.stdin.take().expect("a pipe");
    input.write_all(contents.as_ref()).expect("a pipe");
    drop(input);
    let status = install.wait().expect("a child");
    assert!(status.success(), "installing {}", path.display());
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;

    #[test]
    fn a_program_runs_while_others_are_made_and_started() {
        let dir = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let path = dir.path().join(name);
                scope.spawn(move || {
                    for _ in 0..100 {
                        super::install(&path, "#!/bin/sh\n");
                        let status = Command::new(&path).status();
                        assert!(status.expect("executable").success());
                    }
                });
            }
        });
    }
}
