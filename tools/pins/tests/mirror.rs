// SPDX-License-Identifier: MIT
//! Pinned files, fetched from a mirror of our own on loopback with files that are
//! missing, cut short or changed.

mod server;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use pins::{Fetcher, Lock, Origins, Pin, Set, Store, Wanted, update};
use tempfile::TempDir;

use self::server::{Answer, Server, digest};

const FILE: &str = "pool/main/t/tool/tool_1.0-1_arm64.deb";
const OTHER: &str = "pool/main/t/tool/tool_2.0-1_arm64.deb";
const CONTENTS: &[u8] = b"version one";

/// apt's settings: nothing is signed, and there are no retries.
const SETTINGS: &str = "Acquire::AllowInsecureRepositories \"true\";\n\
    APT::Get::AllowUnauthenticated \"true\";\n\
    Acquire::http::Proxy \"DIRECT\";\n\
    Acquire::Retries \"0\";\n";

/// No origin except store and mirror.
const NONE: Origins = Origins {
    from: None,
    snapshot: None,
};

/// A machine whose apt uses the mirror, and a pin of [`FILE`].
struct Bench {
    dir: TempDir,
    mirror: Server,
    lock: Lock,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            mirror: Server::start(),
            lock: Lock {
                pins: vec![Pin {
                    name: "tool".into(),
                    version: "1.0-1".into(),
                    architecture: "arm64".into(),
                    release: "bookworm".into(),
                    date: "2026-01-02".into(),
                    path: FILE.into(),
                    size: CONTENTS.len() as u64,
                    sha256: digest(CONTENTS),
                    sets: vec!["tools".into()],
                }],
            },
        };
        fs::write(bench.path("apt.conf"), SETTINGS).unwrap();
        bench.index(&[]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs one of apt's programs, with the mirror as its only source.
    fn run(&self, command: &mut Command) -> anyhow::Result<(bool, String)> {
        if command.get_args().any(|word| word == "indextargets") {
            return Ok((true, format!("{}|bookworm|main\n", self.mirror.url())));
        }
        let output = command.env("APT_CONFIG", self.path("apt.conf")).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(said)?))
    }

    fn fetcher<'a>(&self, run: pins::Run<'a>, origins: &Origins) -> Fetcher<'a> {
        Fetcher {
            run,
            store: Store::at(self.path("store")).unwrap(),
            indices: self.path("apt"),
            origins: origins.clone(),
        }
    }

    /// Looks for the pin. Returns the file and its origin, or the origins tried.
    fn search(&self, origins: &Origins, stored: bool) -> Result<(PathBuf, String), String> {
        let run = |command: &mut Command| self.run(command);
        let fetcher = self.fetcher(&run, origins);
        let mut found = fetcher.search(&self.lock.pins, stored).unwrap();
        let found = found.remove(0);
        found
            .file
            .clone()
            .ok_or_else(|| format!("{:#}", found.error()))
    }

    /// Sets the packages in the index: version, path and contents.
    fn index(&self, packages: &[(&str, &str, &[u8])]) {
        self.mirror.index(packages);
    }

    /// Checks that the pin is found at this origin.
    fn assert_had(&self, origins: &Origins, origin: &str) {
        let (file, from) = self.search(origins, true).unwrap();
        assert_eq!(from, origin);
        assert_eq!(file, self.path("store").join(digest(CONTENTS)));
        assert_eq!(fs::read(file).unwrap(), CONTENTS);
    }

    /// Checks that the pin is not found, for these reasons, and that nothing is stored.
    fn assert_missing(&self, origins: &Origins, stored: bool, reasons: &[&str]) {
        let error = self.search(origins, stored).unwrap_err();
        for reason in reasons {
            assert!(error.contains(reason), "{reason}: {error}");
        }
        let left: Vec<_> = fs::read_dir(self.path("store"))
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
    bench.assert_had(&NONE, &bench.pool());
    // Only the file was requested.
    assert_eq!(bench.mirror.asked(), [format!("/{FILE}")]);
}

#[test]
fn gone_from_both() {
    let bench = Bench::new();
    bench.assert_missing(
        &NONE,
        true,
        &[
            "tool 1.0-1",
            "404",
            "the index of bookworm: has no tool",
            "--from DIR",
            "--snapshot",
            "pins update",
            &bench.pool(),
        ],
    );
}

#[test]
fn a_newer_version_is_named_and_not_taken() {
    let bench = Bench::new();
    bench.index(&[("2.0-1", OTHER, b"version two")]);
    bench
        .mirror
        .serve(OTHER, Answer::Whole(b"version two".into()));
    bench.assert_missing(&NONE, true, &["the index of bookworm: has 2.0-1 instead"]);
    assert!(!bench.mirror.asked().contains(&format!("/{OTHER}")));
}

#[test]
fn the_index_lists_another_place() {
    let bench = Bench::new();
    let moved = "pool/old/tool_1.0-1_arm64.deb";
    bench.index(&[("1.0-1", moved, CONTENTS)]);
    bench.mirror.serve(moved, Answer::Whole(CONTENTS.into()));
    bench.assert_had(&NONE, &format!("{}/{moved}", bench.mirror.url()));
}

#[test]
fn the_index_lists_what_the_pool_does_not_serve() {
    let bench = Bench::new();
    bench.index(&[("1.0-1", FILE, CONTENTS)]);
    let listed = "the index of bookworm: lists the file at the same address";
    bench.assert_missing(&NONE, true, &["404", listed]);
}

#[test]
fn the_index_lists_the_version_with_other_contents() {
    let bench = Bench::new();
    bench.index(&[("1.0-1", FILE, b"built again")]);
    bench.assert_missing(&NONE, true, &["lists 1.0-1 with other contents"]);
}

#[test]
fn a_file_cut_short_is_refused() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::CutShort(CONTENTS.into()));
    bench.assert_missing(&NONE, true, &[&bench.pool()]);
}

#[test]
fn a_file_with_another_digest_is_refused() {
    let bench = Bench::new();
    bench
        .mirror
        .serve(FILE, Answer::Whole(b"version 0.9".into()));
    bench.assert_missing(&NONE, true, &["Hash Sum mismatch"]);
}

#[test]
fn without_a_network_the_store_serves() {
    let mut bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    bench.assert_had(&NONE, &bench.pool());
    bench.mirror.stop();
    bench.assert_had(&NONE, "the store");
    bench.assert_missing(&NONE, false, &["onnect"]);
}

#[test]
fn a_damaged_store_is_fetched_anew() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    // Other contents of the right size.
    fs::create_dir(bench.path("store")).unwrap();
    let damaged = bench.path("store").join(digest(CONTENTS));
    fs::write(damaged, "version 0ne").unwrap();
    bench.assert_had(&NONE, &bench.pool());
}

#[test]
fn a_folder_gives_what_it_has() {
    let mut bench = Bench::new();
    bench.mirror.stop();
    let folder = bench.path("folder");
    let from = Origins {
        from: Some(folder.clone()),
        ..NONE
    };
    bench.assert_missing(&from, true, &["not found"]);
    fs::create_dir(&folder).unwrap();
    let file = folder.join("tool_1.0-1_arm64.deb");
    fs::write(&file, "version 0ne").unwrap();
    bench.assert_missing(&from, true, &["folder: a file with other contents"]);
    fs::write(&file, CONTENTS).unwrap();
    bench.assert_had(&from, &file.display().to_string());
}

#[test]
fn the_snapshot_archive_is_used_only_if_requested() {
    let bench = Bench::new();
    let archived = format!("archive/20260102T235959Z/{FILE}");
    bench
        .mirror
        .serve(&archived, Answer::Whole(CONTENTS.into()));
    bench.assert_missing(&NONE, true, &["404"]);
    let told = Origins {
        snapshot: Some(format!("{}/archive", bench.mirror.url())),
        ..NONE
    };
    bench.assert_had(&told, &format!("{}/{archived}", bench.mirror.url()));
}

#[test]
fn runs_at_the_same_time_share_the_store() {
    let bench = Bench::new();
    bench.mirror.serve(FILE, Answer::Whole(CONTENTS.into()));
    let stored = bench.path("store").join(digest(CONTENTS));
    std::thread::scope(|scope| {
        let run = || assert!(bench.search(&NONE, true).is_ok());
        let runs = [(); 4].map(|()| scope.spawn(run));
        // The store never shows a part of the file.
        while !runs.iter().all(ScopedJoinHandle::is_finished) {
            if let Ok(contents) = fs::read(&stored) {
                assert_eq!(contents, CONTENTS);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    bench.assert_had(&NONE, "the store");
}

/// Moves the set to `version` of the tool, which the pool may not serve.
fn moved(bench: &mut Bench, serves: bool) -> Vec<String> {
    bench.index(&[("2.0-1", OTHER, b"version two")]);
    if serves {
        let file = Answer::Whole(b"version two".into());
        bench.mirror.serve(OTHER, file);
    }
    let sets = [Set {
        name: "tools".into(),
        release: "bookworm".into(),
        wanted: Wanted::Packages(vec!["tool".into()], &["arm64"]),
    }];
    let mut lock = std::mem::take(&mut bench.lock);
    let run = |command: &mut Command| bench.run(command);
    let fetcher = bench.fetcher(&run, &NONE);
    let changes = update(&fetcher, &mut lock, &sets).unwrap().changes;
    bench.lock = lock;
    changes
}

#[test]
fn a_set_moves_to_what_the_index_lists() {
    let mut bench = Bench::new();
    let changes = moved(&mut bench, true);
    let expected = [
        "tools: - tool 1.0-1 (tool_1.0-1_arm64.deb)",
        "tools: + tool 2.0-1 (tool_2.0-1_arm64.deb)",
    ];
    assert_eq!(changes, expected);
    assert_eq!(bench.lock.pins[0].sha256, digest(b"version two"));
    assert!(moved(&mut bench, true).is_empty());
}

#[test]
fn a_set_that_the_pool_does_not_serve_stays() {
    let mut bench = Bench::new();
    let changes = moved(&mut bench, false);
    assert!(
        changes[0].starts_with("tools stays as it is: tool 2.0-1"),
        "{changes:?}"
    );
    assert_eq!(bench.lock.pins[0].version, "1.0-1");
}
