// SPDX-License-Identifier: MIT
//! The picture of the crates, of the device's modules and of the daemon's folders, and
//! of their uses of each other, from cargo's metadata and the sources. Its text, for
//! Graphviz, is compared; the drawing differs between Graphviz's versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use cargo_metadata::{DependencyKind, MetadataCommand};
use steps::{Cx, files, write};

/// The text, and Graphviz's output.
const TEXT: &str = "docs/images/architecture.dot";
const DRAWN: &str = "docs/images/architecture.svg";

/// README's picture, whose text is written by hand.
const OVERVIEW: [&str; 2] = ["docs/images/overview.dot", "docs/images/overview.svg"];

/// The crate whose modules are shown.
const DEVICE: &str = "vpl011";

/// The crate whose rooms are shown, which are its top-level modules.
const DAEMON: &str = "vconsoled";

/// Files that only declare and re-export.
const FRONT_DOORS: [&str; 3] = ["lib", "ring/mod", "snapshot/mod"];

/// The folders of `src/`.
const FOLDERS: [&str; 2] = ["ring", "snapshot"];

/// The crates that may contain unsafe code.
const UNSAFE: [&str; 3] = ["hyp-shim", "xen-io", "bare-metal"];

/// Writes the text, and draws it and README's picture.
pub(super) fn make(cx: &Cx) -> Result<()> {
    let text = cx.dirs.root.join(TEXT);
    write(&text, source(&cx.dirs.root)?)?;
    // Arrows that follow from others are left out of the picture.
    let reduced = cx.output(Command::new("tred").arg(&text))?;
    let reduced_text = cx.dirs.target.join("tmp/architecture.dot");
    write(&reduced_text, reduced)?;
    draw(cx, &reduced_text, DRAWN)?;
    draw(cx, &cx.dirs.root.join(OVERVIEW[0]), OVERVIEW[1])
}

fn draw(cx: &Cx, text: &Path, drawn: &str) -> Result<()> {
    let svg = cx.output(Command::new("dot").arg("-Tsvg").arg(text))?;
    write(&cx.dirs.root.join(drawn), svg)
}

/// Each name with the names that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The text of the picture.
fn source(root: &Path) -> Result<String> {
    let (crates, modules, rooms) = (crates(root)?, modules(root)?, rooms(root)?);
    let mut text = String::from(
        "// SPDX-License-Identifier: MIT\n\
         // Made by `cargo xtask docs --write`.\n\
         digraph \"vpl011\" {\n\
         \x20 node [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\"];\n\
         \x20 subgraph \"cluster device\" {\n\
         \x20   label=\"src/\"; fontname=\"sans-serif\"; style=filled; fillcolor=\"#eef3fa\";\n",
    );
    nodes(&mut text, DEVICE, "src", &modules);
    text.push_str(
        "  }\n\
         \x20 subgraph \"cluster daemon\" {\n\
         \x20   label=\"tools/vconsoled/src/\"; fontname=\"sans-serif\"; style=filled; fillcolor=\"#eef7ee\";\n",
    );
    nodes(&mut text, DAEMON, DAEMON, &rooms);
    text.push_str("  }\n");
    let drawn = [DEVICE, DAEMON];
    for name in crates.keys().filter(|name| !drawn.contains(&name.as_str())) {
        let colour = if UNSAFE.contains(&name.as_str()) {
            " [fillcolor=\"#fbe3c8\"]"
        } else {
            ""
        };
        writeln!(text, "  \"{name}\"{colour};")?;
    }
    arrows(&mut text, "", &crates);
    for (name, prefix, parts) in [(DEVICE, "src/", &modules), (DAEMON, "vconsoled/", &rooms)] {
        arrows(&mut text, prefix, parts);
        for part in used_by_nobody(parts) {
            writeln!(text, "  \"{name}\" -> \"{prefix}{part}\";")?;
        }
    }
    text.push_str("}\n");
    Ok(text)
}

/// A crate and its parts.
fn nodes(text: &mut String, name: &str, prefix: &str, parts: &Uses) {
    let _ = writeln!(text, "    \"{name}\";");
    for part in parts.keys() {
        let _ = writeln!(text, "    \"{prefix}/{part}\" [label=\"{part}\"];");
    }
}

fn arrows(text: &mut String, prefix: &str, uses: &Uses) {
    for (user, used) in uses {
        for used in used {
            let _ = writeln!(text, "  \"{prefix}{user}\" -> \"{prefix}{used}\";");
        }
    }
}

/// The workspace's crates, and their uses of each other, without those of tests.
fn crates(root: &Path) -> Result<Uses> {
    let mut metadata = MetadataCommand::new();
    metadata.manifest_path(root.join("Cargo.toml")).no_deps();
    let mut found = Uses::new();
    for package in metadata.exec()?.packages {
        let used = package.dependencies.into_iter();
        let used = used.filter(|used| used.path.is_some() && used.kind == DependencyKind::Normal);
        found.insert(
            package.name.to_string(),
            used.map(|used| used.name).collect(),
        );
    }
    Ok(found)
}

/// The modules of `src/`, and their uses of each other.
fn modules(root: &Path) -> Result<Uses> {
    let mut found = Uses::new();
    for folder in [String::new()]
        .into_iter()
        .chain(FOLDERS.map(|folder| format!("{folder}/")))
    {
        for entry in fs::read_dir(root.join("src").join(&folder))? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|name| name.to_str());
            let (Some(name), true) = (name, path.extension().is_some_and(|e| e == "rs")) else {
                continue;
            };
            let module = format!("{folder}{name}");
            if !FRONT_DOORS.contains(&module.as_str()) {
                found.insert(module, used(&fs::read_to_string(&path)?, &folder));
            }
        }
    }
    Ok(found)
}

/// Modules that only the crate itself uses.
fn used_by_nobody(modules: &Uses) -> impl Iterator<Item = &String> {
    let used: BTreeSet<_> = modules.values().flatten().collect();
    modules.keys().filter(move |module| !used.contains(module))
}

/// The daemon's top-level modules, each with all modules below it, and their uses of
/// each other.
fn rooms(root: &Path) -> Result<Uses> {
    let source = root.join("tools").join(DAEMON).join("src");
    let mut found = Uses::new();
    for entry in fs::read_dir(&source)? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(name) = name.filter(|name| !["lib", "main"].contains(name)) else {
            continue;
        };
        let mut uses = BTreeSet::new();
        let files = if path.is_dir() {
            files::list(&path)?
        } else {
            vec![path.clone()]
        };
        for file in files {
            let named = used(&fs::read_to_string(file)?, "");
            uses.extend(
                named
                    .iter()
                    .filter_map(|one| one.split('/').next())
                    .map(str::to_owned),
            );
        }
        uses.remove(name);
        found.insert(name.to_owned(), uses);
    }
    let rooms: BTreeSet<String> = found.keys().cloned().collect();
    for uses in found.values_mut() {
        uses.retain(|one| rooms.contains(one));
    }
    Ok(found)
}

/// The modules that a source in `folder` names by `crate::` or by `super::`.
fn used(source: &str, folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code = source.lines().map(|line| line.split("//").next());
    for line in code.flatten() {
        for (at, _) in line.match_indices("::") {
            let (before, after) = (&line[..at], &line[at + 2..]);
            let name = |text: &str| -> String {
                let is_part = |c: &char| c.is_alphanumeric() || *c == '_';
                text.chars().take_while(is_part).collect()
            };
            let module = name(after);
            let last = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_');
            match (last.into_iter().next(), module.as_str()) {
                (Some("crate"), inside) if FOLDERS.contains(&inside) => {
                    let module_in_it = name(after[inside.len()..].trim_start_matches(':'));
                    found.insert(format!("{inside}/{module_in_it}"));
                }
                (Some("crate"), _) => {
                    found.insert(module);
                }
                (Some("super"), _) if !folder.is_empty() => {
                    found.insert(format!("{folder}{module}"));
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tests/architecture checks that its arrows are allowed.
    #[test]
    fn the_picture_is_of_what_there_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let committed = fs::read_to_string(root.join(TEXT)).unwrap();
        assert_eq!(
            committed,
            source(&root).unwrap(),
            "`cargo xtask docs --write` draws it anew"
        );
        assert!(root.join(DRAWN).is_file());
    }

    #[test]
    fn the_overview_is_drawn_from_its_text() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let [text, drawn] = OVERVIEW.map(|name| fs::read_to_string(root.join(name)).unwrap());
        let labels = text.split("label=\"").skip(1);
        let labels = labels.filter_map(|rest| rest.split('"').next());
        for line in labels.flat_map(|label| label.split("\\n")) {
            assert!(
                drawn.contains(&format!(">{line}</text>")),
                "{line}: `cargo xtask docs --write` draws it anew"
            );
        }
    }

    #[test]
    fn modules_are_found_in_code_alone() {
        let source = "use crate::fifo::Fifo;\n// crate::no\nlet a = super::memory::b(crate::ring::index::C);\n";
        let names = |found: BTreeSet<String>| found.into_iter().collect::<Vec<_>>();
        assert_eq!(names(used(source, "")), ["fifo", "ring/index"]);
        assert_eq!(
            names(used(source, "ring/")),
            ["fifo", "ring/index", "ring/memory"]
        );
    }
}
