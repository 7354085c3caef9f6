// SPDX-License-Identifier: MIT
//! The arrows of docs/architecture.md, the places where `unsafe` may stand, and
//! the licence line of every file.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// Which modules of `src/` each may use. Every one stands below those it uses,
/// so no chain of uses comes back.
const LAYERS: [(&str, &[&str]); 18] = [
    ("trap", &[]),
    ("interrupt", &[]),
    ("fifo", &[]),
    ("registers", &["trap"]),
    ("receiver", &["fifo", "interrupt"]),
    ("transmitter", &["fifo", "interrupt"]),
    ("glance", &["interrupt", "registers", "trap"]),
    (
        "device",
        &[
            "fifo",
            "glance",
            "interrupt",
            "receiver",
            "registers",
            "transmitter",
            "trap",
        ],
    ),
    ("outcome", &["glance", "interrupt"]),
    ("backend", &[]),
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
            "backend",
            "device",
            "glance",
            "interrupt",
            "outcome",
            "registers",
            "trap",
        ],
    ),
    (
        "snapshot",
        &[
            "backend",
            "device",
            "fifo",
            "interrupt",
            "receiver",
            "registers",
            "ring/index",
            "ring/layout",
            "ring/memory",
            "ring/port",
            "transmitter",
            "trap",
            "uart",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files under version control that are there, by name from the root.
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

fn extension(name: &str) -> &str {
    Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

/// All tokens but delimiters, in order. Comments are none of them.
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

fn ident(token: &TokenTree) -> Option<&Ident> {
    if let TokenTree::Ident(ident) = token {
        Some(ident)
    } else {
        None
    }
}

/// The modules of `src/` that a file names by `crate::` or, in `ring/`, by
/// `super::`.
fn uses(name: &str) -> BTreeSet<String> {
    let flat = tokens(&text(&format!("src/{name}.rs")));
    let path: Vec<String> = flat.iter().map(ToString::to_string).collect();
    let mut found = BTreeSet::new();
    for (at, token) in path.iter().enumerate() {
        let after = |steps: usize| path.get(at + 3 * steps).map_or("", String::as_str);
        let follows = path.get(at + 1).is_some_and(|colon| colon == ":");
        match token.as_str() {
            "crate" if follows && after(1) == "ring" => found.insert(format!("ring/{}", after(2))),
            "crate" if follows => found.insert(after(1).to_owned()),
            "super" if follows && name.starts_with("ring/") => {
                found.insert(format!("ring/{}", after(1)))
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
            "what src/{module}.rs uses, and what LAYERS says"
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
    for front_door in ["lib", "ring/mod"] {
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

/// Crates whose modules use one another without a circle.
const WITHOUT_CIRCLE: [&str; 2] = ["console-proto", "vconsoled"];

/// A module's place in its crate.
type Module = Vec<String>;

/// The modules of a tool, by place, and their files. The root and `main.rs`
/// declare and join.
fn tool_modules(tool: &str) -> BTreeMap<Module, String> {
    let source = format!("tools/{tool}/src/");
    let places = files().into_iter().filter_map(|file| {
        let place = file.strip_prefix(&source)?.strip_suffix(".rs")?;
        let place = place.strip_suffix("/mod").unwrap_or(place);
        let place = place.split('/').map(str::to_owned).collect();
        Some((place, file))
    });
    let mut modules: BTreeMap<Module, String> = places.collect();
    for root in ["lib", "main"] {
        modules.remove(&vec![root.to_owned()]);
    }
    modules
}

/// The paths that a stream of tokens names by `crate` or `super`, from the
/// crate's root. `here` is the module that it stands in.
fn named_paths(stream: TokenStream, here: &[String], found: &mut BTreeSet<Module>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match (token, ident(token).map(ToString::to_string).as_deref()) {
            (_, Some("crate")) => path_from(&tokens, &mut at, Vec::new(), found),
            (_, Some("super")) => {
                let above = here.split_last().map_or(&[][..], |(_, above)| above);
                path_from(&tokens, &mut at, above.to_vec(), found);
            }
            (TokenTree::Group(group), _) => {
                // A module within the file is below it.
                let within = match &tokens[at.saturating_sub(3)..at] {
                    [first, second, _]
                        if group.delimiter() == Delimiter::Brace
                            && ident(first).is_some_and(|word| word == "mod") =>
                    {
                        ident(second).map(ToString::to_string)
                    }
                    _ => None,
                };
                let here = here.iter().cloned().chain(within).collect::<Module>();
                named_paths(group.stream(), &here, found);
            }
            _ => {}
        }
    }
}

/// Follows a path, which goes on at `at` after `prefix`, along all its branches.
fn path_from(
    tokens: &[TokenTree],
    at: &mut usize,
    mut prefix: Module,
    found: &mut BTreeSet<Module>,
) {
    let is_colon = |at: usize| tokens.get(at).is_some_and(|token| token.to_string() == ":");
    while is_colon(*at) && is_colon(*at + 1) {
        *at += 2;
        match tokens.get(*at) {
            Some(TokenTree::Ident(word)) if word == "super" => drop(prefix.pop()),
            Some(TokenTree::Ident(word)) => prefix.push(word.to_string()),
            Some(TokenTree::Group(group)) => {
                let branches: Vec<TokenTree> = group.stream().into_iter().collect();
                for branch in branches.split(|token| token.to_string() == ",") {
                    let mut path = prefix.clone();
                    path.extend(branch.first().and_then(ident).map(ToString::to_string));
                    path_from(branch, &mut 1, path, found);
                }
            }
            _ => {}
        }
        *at += 1;
    }
    found.insert(prefix);
}

/// Of the modules of every folder, each with all that is below it, which uses
/// which.
fn uses_among_siblings(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut uses: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (here, file) in modules {
        let mut named = BTreeSet::new();
        let stream = text(file).parse().expect("Rust source");
        named_paths(stream, here, &mut named);
        for path in named {
            let there = (1..=path.len()).rev().map(|length| &path[..length]);
            let Some(there) = there.into_iter().find(|path| modules.contains_key(*path)) else {
                continue;
            };
            let common = here.iter().zip(there).take_while(|(a, b)| a == b).count();
            // One is not above the other.
            if common < here.len() && common < there.len() {
                let user = here[..=common].to_vec();
                uses.entry(user)
                    .or_default()
                    .insert(there[..=common].to_vec());
            }
        }
    }
    uses
}

#[test]
fn no_circle_among_modules() {
    for tool in WITHOUT_CIRCLE {
        let modules = tool_modules(tool);
        assert!(modules.len() > 3, "{tool}: only {modules:?}");
        let mut uses = uses_among_siblings(&modules);
        assert!(!uses.is_empty(), "{tool}: no module uses another");
        // Whoever uses nobody that is left stands in no circle.
        loop {
            let left: BTreeSet<Module> = uses.keys().cloned().collect();
            let before = uses.len();
            uses.retain(|_, used| {
                used.retain(|one| left.contains(one));
                !used.is_empty()
            });
            if uses.len() == before {
                break;
            }
        }
        let circles: Vec<String> = uses
            .iter()
            .map(|(user, used)| {
                let used: Vec<String> = used.iter().map(|one| one.join("/")).collect();
                format!("{} uses {}", user.join("/"), used.join(", "))
            })
            .collect();
        assert!(circles.is_empty(), "{tool}: a circle in {circles:#?}");
    }
}

/// The names of the workspace's crates that each depends on, for whatever
/// purpose; the root's tests are another crate than the root.
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

/// Which crates of the workspace each may depend on.
fn may_use(name: &str) -> &'static [&'static str] {
    match name {
        "vpl011" | "conformance" | "console-proto" => &[],
        "tests" => &["conformance"],
        "hyp-shim" | "xen-io" | "bare-metal" => &["vpl011"],
        // What runs on bare metal.
        "firmware" => &["bare-metal", "conformance"],
        "e2e" => &["vpl011", "xen-io", "conformance"],
        "viewers" => &["vpl011", "xen-io", "vconsoled"],
        "xtask" => &["vpl011", "xen-io", "e2e", "conformance"],
        "vconsoled" | "vconsole" => &["vpl011", "xen-io", "console-proto"],
        _ => &["vpl011", "xen-io"],
    }
}

/// The picture in docs/architecture.md shows these arrows and no others.
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
        // Those of the daemon's rooms: `no_circle_among_modules` holds them.
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
            // The crate as such, and the modules that no other uses.
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

#[test]
fn unsafe_stands_in_its_places_only() {
    let places = ["hyp-shim/", "tools/xen-io/"];
    for name in files() {
        if extension(&name) != "rs" || places.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        let flat = tokens(&text(&name));
        if let Some(token) = flat
            .iter()
            .filter_map(ident)
            .find(|ident| *ident == "unsafe")
        {
            panic!("{name}:{}: unsafe", token.span().start().line);
        }
    }
}

/// docs/unsafe.md speaks of each file with unsafe code, and knows how often it
/// says so: what is added or goes must be looked at there.
#[test]
fn every_unsafe_is_reviewed() {
    let mut there = BTreeMap::new();
    for name in files().into_iter().filter(|name| extension(name) == "rs") {
        let flat = tokens(&text(&name));
        let idents = flat.iter().filter_map(ident);
        let count = idents.filter(|ident| *ident == "unsafe").count();
        if count > 0 {
            there.insert(name, count);
        }
    }
    let reviewed: BTreeMap<String, usize> = text("docs/unsafe.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name, rest.split(" |").next()?.parse().ok()?)))
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    assert_eq!(
        there, reviewed,
        "what there is, and what docs/unsafe.md has"
    );
}

/// A crate without unsafe says so, for the compiler to hold it to that.
#[test]
fn crates_without_unsafe_forbid_it() {
    let crate_roots = ["src/lib.rs", "src/main.rs"];
    let places = ["hyp-shim/", "tools/xen-io/"];
    for name in files() {
        let is_root = crate_roots.iter().any(|root| {
            name.strip_suffix(root)
                .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
        });
        if is_root && !places.iter().any(|place| name.starts_with(place)) {
            assert!(text(&name).contains("#![forbid(unsafe_code)]"), "{name}");
        }
    }
}

#[test]
fn every_source_file_names_its_licence() {
    for name in files() {
        let expected = match extension(&name) {
            "rs" => "SPDX-License-Identifier: MIT",
            "c" | "h" | "S" | "toml" | "sh" | "lds" => "SPDX-License-Identifier: ",
            _ => continue,
        };
        let head: Vec<_> = text(&name).lines().take(2).map(str::to_owned).collect();
        assert!(
            head.iter().any(|line| line.contains(expected)),
            "{name}: no `{expected}`"
        );
    }
}
