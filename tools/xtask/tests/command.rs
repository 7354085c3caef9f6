// SPDX-License-Identifier: MIT
//! The command's errors: each time a clear message, no partial change, and no process
//! left.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use terminal::wait_for;

mod place;

use self::place::Place;

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_tree_of_another_version_is_named_and_left_alone() {
    let place = Place::new();
    let makefile = place.path("tree/xen/Makefile");
    fs::create_dir_all(makefile.parent().unwrap()).unwrap();
    fs::create_dir_all(place.path("hyp-shim/hooks/xen-4.17")).unwrap();
    fs::write(
        &makefile,
        "export XEN_VERSION = 4\nexport XEN_SUBVERSION = 99\n",
    )
    .unwrap();
    let output = place.run(&[
        "xen",
        "apply",
        "--tree",
        place.path("tree").to_str().unwrap(),
    ]);
    let error = error(&output);
    assert!(
        error.contains("Xen 4.99") && error.contains("4.17"),
        "{error}"
    );
    let files: Vec<_> = fs::read_dir(place.path("tree/xen")).unwrap().collect();
    assert_eq!(files.len(), 1);
}

#[test]
fn a_folder_that_is_no_tree_is_named() {
    let place = Place::new();
    let output = place.run(&["xen", "apply", "--tree", "/nonexistent"]);
    let error = error(&output);
    assert!(error.contains("/nonexistent is no Xen tree"), "{error}");
}

/// Disconnects the machine's apt from the network.
fn offline(place: &Place) {
    place.apt(
        "Acquire::http::Proxy \"http://127.0.0.1:9\";\n\
         Acquire::https::Proxy \"http://127.0.0.1:9\";\n",
    );
}

#[test]
fn unavailable_pins_are_listed() {
    let place = Place::new();
    offline(&place);
    let output = place.run(&["pins", "check"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("MISSING  "), "{said}");
    assert!(said.contains("--from DIR"), "{said}");
    assert!(said.contains("\n0 of "), "{said}");
}

#[test]
fn apt_offline_has_a_clear_message() {
    let place = Place::new();
    offline(&place);
    let error = error(&place.run(&["xen", "fetch"]));
    assert!(
        error.contains("apt cannot reach its package mirror"),
        "{error}"
    );
    assert!(!place.path("target/xen/src").exists());
    assert!(!place.path("target/stamp/xen-source").exists());
}

#[test]
fn without_root_the_packages_to_install_by_hand_are_named() {
    let place = Place::new();
    // One package is missing.
    place.program(
        "dpkg-query",
        "shift 2; for p; do [ $p = qemu-system-arm ] || echo \"$p installed\"; done",
    );
    // In a folder where another user may run it.
    let copy = place.path("xtask");
    terminal::install(&copy, fs::read(env!("CARGO_BIN_EXE_xtask")).unwrap());
    let output = if rustix::process::geteuid().is_root() {
        place
            .xtask("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&copy)
            .args(["xen", "fetch"])
            .output()
            .unwrap()
    } else {
        place.xtask(&copy).args(["xen", "fetch"]).output().unwrap()
    };
    let error = error(&output);
    assert!(error.contains("needs root"), "{error}");
    assert!(
        error.contains(
            "sudo apt-get update && \
             sudo apt-get install --no-install-recommends qemu-system-arm\n"
        ),
        "{error}"
    );
}

fn is_running(pid: Pid) -> bool {
    // A process that has ended may still wait to be reaped.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && !stat.is_ok_and(|stat| stat.contains(") Z "))
}

fn pids(path: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        .collect()
}

/// Starts a step with children in its own group, in their own session, and ignoring
/// SIGTERM; then ends xtask with `signal`.
fn nothing_outlives(signal: Signal, code: i32) {
    let place = Place::new();
    let list = place.path("pids");
    let list_name = list.display().to_string();
    place.program(
        "rustup",
        &format!(
            "echo $$ >> {list_name}\n\
             sleep 1000 & echo $! >> {list_name}\n\
             setsid sh -c 'trap \"\" TERM; echo $$ >> {list_name}; while :; do sleep 1; done' &\n\
             wait"
        ),
    );
    let mut child = place
        .xtask(env!("CARGO_BIN_EXE_xtask"))
        .arg("coverage")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("three processes", || (pids(&list).len() == 3).then_some(()));
    kill_process(Pid::from_child(&child), signal).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(code));
    for pid in pids(&list) {
        assert!(!is_running(pid), "{pid:?} is still there");
    }
}

#[test]
fn ctrl_c_leaves_no_process_behind() {
    nothing_outlives(Signal::INT, 130);
}

#[test]
fn sigterm_leaves_no_process_behind() {
    nothing_outlives(Signal::TERM, 143);
}

#[test]
fn an_unknown_scenario_is_refused_before_anything_is_built() {
    let place = Place::new();
    let error = error(&place.run(&["e2e", "nonesuch"]));
    assert!(error.contains("no scenario `nonesuch`"), "{error}");
    assert!(!place.path("target/stamp").exists());
}

#[test]
fn doctor_names_what_is_missing_and_how_to_install_it() {
    let place = Place::new();
    offline(&place);
    place.program(
        "dpkg-query",
        "shift 2; for p; do [ $p = flex ] || echo \"$p installed\"; done",
    );
    let output = place.run(&["doctor", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let finding = |id: &str| {
        let all = report["findings"].as_array().unwrap();
        all.iter()
            .find(|finding| finding["id"] == id)
            .unwrap()
            .clone()
    };
    assert_eq!(finding("tools")["detail"], "flex");
    assert!(
        finding("tools")["fix"]
            .as_str()
            .unwrap()
            .contains("recommends flex")
    );
    assert_eq!(finding("pins")["ok"], false);
    let fix = finding("pins")["fix"].to_string();
    assert!(fix.contains("--from DIR"), "{fix}");
}
