// SPDX-License-Identifier: MIT
//! Pinned files, fetched from a mirror of our own on loopback that lacks, cuts
//! short or changes what it should serve.

mod mirror;
mod place;

use std::fs;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use serde_json::Value;

use self::mirror::{Answer, Mirror, digest};
use self::place::Place;

const FILE: &str = "pool/main/t/tool/tool_1.0-1_arm64.deb";
const OTHER: &str = "pool/main/t/tool/tool_2.0-1_arm64.deb";
const CONTENTS: &[u8] = b"version one";

/// A machine whose apt knows the mirror, and whose lock file pins [`FILE`].
struct Bench {
    place: Place,
    mirror: Mirror,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            place: Place::new(),
            mirror: Mirror::start(),
        };
        bench.lock(CONTENTS);
        bench.index(&[]);
        bench.place.program(
            "apt-get",
            &format!(
                "case \"$*\" in *indextargets*) echo '{}|bookworm|main';; \
                 *) exec /usr/bin/apt-get \"$@\";; esac",
                bench.mirror.url()
            ),
        );
        bench.place.apt(
            "Acquire::AllowInsecureRepositories \"true\";\n\
             APT::Get::AllowUnauthenticated \"true\";\n\
             Acquire::http::Proxy \"DIRECT\";\n",
        );
        bench
    }

    fn lock(&self, contents: &[u8]) {
        let text = format!(
            "[[pin]]\nname = \"tool\"\nversion = \"1.0-1\"\narchitecture = \"arm64\"\n\
             release = \"bookworm\"\ndate = \"2026-01-02\"\npath = \"{FILE}\"\nsize = {}\n\
             sha256 = \"{}\"\nsets = [\"dom0\"]\n",
            contents.len(),
            digest(contents)
        );
        self.place.write("tools/xtask/pins.lock", text);
    }

    /// The index lists these packages: version, path and contents.
    fn index(&self, packages: &[(&str, &str, &[u8])]) {
        self.mirror.index(packages);
    }

    fn check(&self, more: &[&str]) -> (Option<i32>, Value) {
        let output = self
            .place
            .run(&[&["pins", "check", "--json"], more].concat());
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        (output.status.code(), report)
    }

    /// The pin is had, from there.
    fn assert_had(&self, more: &[&str], origin: &str) {
        let (code, report) = self.check(more);
        assert_eq!((code, &report["ok"]), (Some(0), &true.into()), "{report:#}");
        assert_eq!(report["pins"][0]["origin"], origin, "{report:#}");
        let stored = self.place.path("store").join(digest(CONTENTS));
        assert_eq!(fs::read(stored).unwrap(), CONTENTS);
    }

    /// The pin is not had, for these reasons, and nothing of it is kept.
    fn assert_missing(&self, more: &[&str], reasons: &[&str]) {
        let (code, report) = self.check(more);
        assert_eq!(
            (code, &report["ok"]),
            (Some(1), &false.into()),
            "{report:#}"
        );
        let tried = report["pins"][0]["tried"].to_string();
        for reason in reasons {
            assert!(tried.contains(reason), "{reason}: {report:#}");
        }
        let left: Vec<_> = fs::read_dir(self.place.path("store"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| *name != *digest(CONTENTS))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn pool(&self) -> String {
        format!("{}/{FILE}", self.mirror.url())
    }
}

#[test]
fn gone_from_the_index_but_in_the_pool() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    bench.assert_had(&[], &bench.pool());
    // Only the file was asked for.
    assert_eq!(bench.mirror.asked(), [format!("/{FILE}")]);
}

#[test]
fn gone_from_both() {
    let bench = Bench::new();
    bench.assert_missing(&[], &["404", "the index of bookworm: has no tool"]);
    let output = bench.place.run(&["pins", "check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    for part in [
        "tool 1.0-1",
        "0 of 1 pins can be had",
        "--from DIR",
        "--snapshot",
        "pins update",
        &bench.pool(),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_newer_version_is_named_and_not_taken() {
    let bench = Bench::new();
    bench.index(&[("2.0-1", OTHER, b"version two")]);
    bench
        .mirror
        .serve(OTHER, Answer::Whole(b"version two".into()));
    bench.assert_missing(&[], &["the index of bookworm: has 2.0-1 instead"]);
    assert!(!bench.mirror.asked().contains(&format!("/{OTHER}")));
}

#[test]
fn the_index_knows_another_place() {
    let bench = Bench::new();
    let moved = "pool/old/tool_1.0-1_arm64.deb";
    bench.index(&[("1.0-1", moved, CONTENTS)]);
    bench.mirror.serve(moved, Answer::Whole(CONTENTS.into()));
    bench.assert_had(&[], &format!("{}/{moved}", bench.mirror.url()));
}

#[test]
fn the_index_lists_what_the_pool_does_not_serve() {
    let bench = Bench::new();
    bench.index(&[("1.0-1", FILE, CONTENTS)]);
    let listed = "the index of bookworm: lists the file at the same address";
    bench.assert_missing(&[], &["404", listed]);
}

#[test]
fn the_index_lists_the_version_with_other_contents() {
    let bench = Bench::new();
    bench.index(&[("1.0-1", FILE, b"built again")]);
    bench.assert_missing(&[], &["lists 1.0-1 with other contents"]);
}

#[test]
fn a_file_cut_short_is_refused() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::CutShort(CONTENTS.into()));
    bench.assert_missing(&[], &[&bench.pool()]);
}

#[test]
fn a_file_with_another_digest_is_refused() {
    let bench = Bench::new();
    bench
        .mirror
        .serve(FILE, Answer::Whole(b"version 0.9".into()));
    bench.assert_missing(&[], &["Hash Sum mismatch"]);
}

#[test]
fn without_a_network_the_store_serves() {
    let mut bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    bench.assert_had(&[], &bench.pool());
    bench.mirror.stop();
    bench.assert_had(&[], "the store");
    bench.assert_missing(&["--no-store"], &["onnect"]);
}

#[test]
fn a_damaged_store_is_fetched_anew() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    // Of the right size.
    let damaged = format!("store/{}", digest(CONTENTS));
    bench.place.write(&damaged, "version 0ne");
    bench.assert_had(&[], &bench.pool());
}

#[test]
fn a_folder_gives_what_it_has() {
    let mut bench = Bench::new();
    bench.mirror.stop();
    let folder = bench.place.path("folder");
    let from = ["--from", folder.to_str().unwrap()];
    bench.assert_missing(&from, &["not there"]);
    let file = "folder/tool_1.0-1_arm64.deb";
    bench.place.write(file, "version 0ne");
    bench.assert_missing(&from, &["folder: a file with other contents"]);
    bench.place.write(file, CONTENTS);
    let origin = bench.place.path(file).display().to_string();
    bench.assert_had(&from, &origin);
}

#[test]
fn the_snapshot_archive_is_asked_only_if_told() {
    let bench = Bench::new();
    let archived = format!("archive/20260102T235959Z/{FILE}");
    bench
        .mirror
        .serve(&archived, Answer::Whole(CONTENTS.into()));
    bench.assert_missing(&[], &["404"]);
    let archive = format!("{}/archive", bench.mirror.url());
    let origin = format!("{}/{archived}", bench.mirror.url());
    bench.assert_had(&[&format!("--snapshot={archive}")], &origin);
}

#[test]
fn runs_at_the_same_time_share_the_store() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    let stored = bench.place.path("store").join(digest(CONTENTS));
    std::thread::scope(|scope| {
        let run = || assert_eq!(bench.check(&[]).0, Some(0));
        let runs = [(); 4].map(|()| scope.spawn(run));
        // Nobody ever sees a part of the file.
        while !runs.iter().all(ScopedJoinHandle::is_finished) {
            if let Ok(contents) = fs::read(&stored) {
                assert_eq!(contents, CONTENTS);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    bench.assert_had(&[], "the store");
}

#[test]
fn doctor_asks_the_same() {
    let bench = Bench::new();
    let output = bench.place.run(&["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["id"] == "pins");
    let finding = finding.unwrap();
    assert_eq!(finding["ok"], false);
    assert!(
        finding["detail"].as_str().unwrap().contains("tool 1.0-1"),
        "{finding}"
    );
    assert!(
        finding["fix"].as_str().unwrap().contains("--from DIR"),
        "{finding}"
    );
}
