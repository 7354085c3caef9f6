// SPDX-License-Identifier: MIT
//! `.cargo/cc`, which installs the linker that the first build needs, run with a
//! PATH of substitutes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROOT: &str = "/bin/echo 0";
/// Installs a compiler that prints its arguments, and counts installations.
const INSTALLS: &str = r#"here=$(/usr/bin/dirname "$0")
[ "$1" = install ] || exit 0
/bin/echo "$@" >>"$here/installed"
/bin/sleep 0.2
/bin/echo '#!/bin/sh
/bin/echo linked "$@"' >"$here/new"
/bin/chmod +x "$here/new"
/bin/mv "$here/new" "$here/cc""#;

/// A machine with only these programs.
fn machine(programs: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    symlink("/usr/bin/flock", dir.path().join("flock")).unwrap();
    for (name, text) in programs {
        terminal::install(dir.path().join(name), format!("#!/bin/sh\n{text}\n"));
    }
    dir
}

fn linker(machine: &Path) -> Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".cargo/cc");
    let mut command = Command::new(script);
    command.env("PATH", machine).args(["-o", "a b"]);
    command
}

fn said(output: &Output) -> (bool, String, String) {
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_compiler_that_is_there_links() {
    let machine = machine(&[("cc", "/bin/echo linked \"$@\""), ("apt-get", "exit 9")]);
    let output = linker(machine.path()).output().unwrap();
    assert_eq!(
        said(&output),
        (true, "linked -o a b\n".into(), String::new())
    );
}

#[test]
fn a_missing_compiler_is_installed_once() {
    let machine = machine(&[("id", ROOT), ("apt-get", INSTALLS)]);
    let both = [(); 2].map(|()| {
        let mut command = linker(machine.path());
        command.stdout(Stdio::piped());
        command.spawn().unwrap()
    });
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            said(&output),
            (true, "linked -o a b\n".into(), String::new())
        );
    }
    assert_eq!(
        fs::read_to_string(machine.path().join("installed")).unwrap(),
        "install -y --no-install-recommends gcc libc6-dev\n"
    );
}

#[test]
fn a_user_who_cannot_install_gets_the_package_names() {
    for programs in [
        &[("id", "/bin/echo 1000"), ("apt-get", "exit 0")][..],
        &[("id", ROOT)],
    ] {
        let machine = machine(programs);
        let (linked, _, error) = said(&linker(machine.path()).output().unwrap());
        assert!(!linked);
        assert!(error.contains("apt-get install gcc libc6-dev"), "{error}");
    }
}

#[test]
fn an_installation_that_fails_is_shown() {
    let machine = machine(&[
        ("id", ROOT),
        (
            "apt-get",
            "/bin/echo 'Could not resolve the mirror'; exit 100",
        ),
    ]);
    let (linked, _, error) = said(&linker(machine.path()).output().unwrap());
    assert!(!linked);
    assert!(error.contains("Could not resolve the mirror"), "{error}");
    assert!(error.contains("installing gcc libc6-dev"), "{error}");
}
