// SPDX-License-Identifier: MIT
//! Checks the arrows of docs/design/architecture.md.

mod circles;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};
use proc_macro2::{TokenStream, TokenTree};

/// The modules of `src/` that each may use. Every module is listed after those that
/// it uses, so there is no circle.
const LAYERS: [(&str, &[&str]); 25] = [
    ("access", &[]),
    ("trap", &["access"]),
    ("interrupt", &[]),
    ("fifo", &[]),
    ("registers", &["access", "fifo"]),
    ("modem", &["interrupt", "registers"]),
    ("receiver", &["fifo", "interrupt"]),
    ("transmitter", &["fifo"]),
    ("glance", &["access", "interrupt", "registers"]),
    ("outcome", &["glance", "interrupt"]),
    ("backend", &[]),
    (
        "device",
        &[
            "access",
            "backend",
            "fifo",
            "glance",
            "interrupt",
            "modem",
            "outcome",
            "receiver",
            "registers",
            "transmitter",
        ],
    ),
    ("ring/layout", &[]),
    ("ring/index", &[]),
    ("ring/memory", &[]),
    ("ring/fake", &["ring/layout", "ring/memory"]),
    (
        "ring/port",
        &["backend", "ring/index", "ring/layout", "ring/memory"],
    ),
    ("ring/peer", &["ring/index", "ring/layout", "ring/memory"]),
    (
        "uart",
        &[
            "access",
            "backend",
            "device",
            "interrupt",
            "outcome",
            "receiver",
            "registers",
        ],
    ),
    ("vm_device", &["backend", "outcome", "uart"]),
    ("snapshot/invalid", &[]),
    (
        "snapshot/layout",
        &[
            "access",
            "device",
            "fifo",
            "interrupt",
            "receiver",
            "registers",
            "snapshot/invalid",
            "transmitter",
        ],
    ),
    (
        "snapshot/older",
        &[
            "device",
            "fifo",
            "interrupt",
            "snapshot/invalid",
            "snapshot/layout",
        ],
    ),
    (
        "snapshot/persistent",
        &[
            "backend",
            "snapshot/invalid",
            "snapshot/layout",
            "snapshot/older",
            "uart",
        ],
    ),
    (
        "snapshot/ring",
        &[
            "ring/index",
            "ring/layout",
            "ring/memory",
            "ring/port",
            "snapshot/invalid",
            "snapshot/persistent",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The existing files under version control, by path from the root.
fn files() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached"])
        .current_dir(root())
        .output()
        .expect("git lists what is committed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    names
        .split_terminator('\0')
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All tokens except delimiters, in order, without comments.
fn tokens(source: &str) -> Vec<TokenTree> {
    fn flatten(stream: TokenStream, into: &mut Vec<TokenTree>) {
        for token in stream {
            match token {
                TokenTree::Group(group) => flatten(group.stream(), into),
                other => into.push(other),
            }
        }
    }
    let mut flat = Vec::new();
    flatten(source.parse().expect("Rust source"), &mut flat);
    flat
}

/// The folders of `src/`.
const FOLDERS: [&str; 2] = ["ring", "snapshot"];

/// The modules of `src/` that a file names by `crate::` or, in a folder, by
/// `super::`.
fn uses(name: &str) -> BTreeSet<String> {
    let flat = tokens(&text(&format!("src/{name}.rs")));
    let path: Vec<String> = flat.iter().map(ToString::to_string).collect();
    let mut found = BTreeSet::new();
    for (at, token) in path.iter().enumerate() {
        let after = |steps: usize| path.get(at + 3 * steps).map_or("", String::as_str);
        let follows = path.get(at + 1).is_some_and(|colon| colon == ":");
        match (token.as_str(), name.split_once('/')) {
            ("crate", _) if follows && FOLDERS.contains(&after(1)) => {
                found.insert(format!("{}/{}", after(1), after(2)))
            }
            ("crate", _) if follows => found.insert(after(1).to_owned()),
            ("super", Some((folder, _))) if follows => {
                found.insert(format!("{folder}/{}", after(1)))
            }
            _ => false,
        };
    }
    found
}

#[test]
fn modules_use_only_what_is_below_them() {
    let mut below = BTreeSet::new();
    for (module, may_use) in LAYERS {
        let may_use: BTreeSet<_> = may_use.iter().map(|&name| name.to_owned()).collect();
        assert!(
            may_use.is_subset(&below),
            "the layers of {module} are out of order"
        );
        let used = uses(module);
        assert_eq!(
            used, may_use,
            "what src/{module}.rs uses, and what LAYERS lists"
        );
        below.insert(module.to_owned());
    }
}

#[test]
fn every_module_has_its_layer() {
    let mut modules: BTreeSet<_> = files()
        .iter()
        .filter_map(|name| name.strip_prefix("src/")?.strip_suffix(".rs"))
        .map(str::to_owned)
        .collect();
    for front_door in ["lib", "ring/mod", "snapshot/mod"] {
        assert!(
            modules.remove(front_door),
            "{front_door} only declares and re-exports"
        );
    }
    assert_eq!(
        modules,
        LAYERS
            .iter()
            .map(|(module, _)| (*module).to_owned())
            .collect()
    );
}

/// The workspace's crates that each depends on, for any purpose; the root's tests
/// count as another crate than the root.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("the workspace's metadata");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let is_of_tests =
                package.name == "vpl011" && dependency.kind == DependencyKind::Development;
            let name = if is_of_tests {
                "tests"
            } else {
                package.name.as_str()
            };
            let used = found.entry(name.to_owned()).or_default();
            if dependency.path.is_some() {
                used.insert(dependency.name.clone());
            }
        }
    }
    found
}

#[test]
fn crates_depend_downwards() {
    let crates = dependencies();
    assert!(crates.len() > 5, "found only {crates:?}");
    for (name, used) in crates {
        for dependency in used {
            assert!(
                may_use(&name).contains(&dependency.as_str()),
                "{name} depends on {dependency}"
            );
        }
    }
}

/// The crates of the workspace that each may depend on.
fn may_use(name: &str) -> &'static [&'static str] {
    match name {
        "vpl011" | "conformance" | "console-proto" | "terminal" | "text-filter" | "pins"
        | "qemu" | "xen-hooks" => &[],
        "tests" => &["conformance", "terminal"],
        "hyp-shim" | "xen-io" | "bare-metal" => &["vpl011"],
        // The images for bare metal.
        "firmware" => &["bare-metal", "conformance"],
        "e2e" => &["vpl011", "xen-io", "conformance", "terminal"],
        "qtest" => &["vpl011", "conformance"],
        "viewers" => &["vpl011", "xen-io", "vconsoled", "terminal"],
        "steps" => &["pins"],
        "xtask" => &[
            "vpl011",
            "e2e",
            "conformance",
            "terminal",
            "pins",
            "qemu",
            "steps",
            "xen-hooks",
        ],
        "vconsoled" | "vconsole" => &[
            "vpl011",
            "xen-io",
            "console-proto",
            "text-filter",
            "terminal",
        ],
        // Crates below the daemon: the daemon's measurement runs here with viewers.
        "vconsole-web" => &[
            "console-proto",
            "terminal",
            "text-filter",
            "vconsoled",
            "viewers",
            "vpl011",
            "xen-io",
        ],
        _ => &["vpl011", "xen-io"],
    }
}

/// The picture in docs/design/architecture.md shows exactly these arrows.
#[test]
fn the_picture_shows_the_arrows() {
    let picture = text("docs/images/architecture.dot");
    let mut modules = BTreeSet::new();
    let mut crates = 0;
    for line in picture.lines() {
        let Some((from, to)) = line.trim().split_once(" -> ") else {
            continue;
        };
        let name = |node: &str| node.trim_end_matches(';').trim_matches('"').to_owned();
        let (from, to) = (name(from), name(to));
        // The arrows among the daemon's folders: circles.rs checks them.
        if to.starts_with("vconsoled/") {
            assert!(from.split('/').next() == Some("vconsoled"), "{line}");
            continue;
        }
        match (from.strip_prefix("src/"), to.strip_prefix("src/")) {
            (Some(from), Some(to)) => {
                modules.insert((from.to_owned(), to.to_owned()));
            }
            (None, None) => {
                assert!(may_use(&from).contains(&to.as_str()), "{line}");
                crates += 1;
            }
            // The crate itself, and the modules that no other uses.
            _ => assert_eq!(from, "vpl011", "{line}"),
        }
    }
    let layers = LAYERS.iter().flat_map(|(module, used)| {
        let arrow = |used: &&str| ((*module).to_owned(), (*used).to_owned());
        used.iter().map(arrow)
    });
    assert_eq!(modules, layers.collect());
    assert!(crates > 10, "only {crates} arrows between crates");
}
