// SPDX-License-Identifier: MIT
//! Checks that Xen with our hooks, and both of their options off, equals Xen without
//! them: object by object, section by section.
//!
//! The other tree also has the room of three more parameters in each domain and the
//! fixed timer, which no option turns off, and blank lines in place of our hooks, as
//! objects contain line numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use goblin::elf::Elf;
use steps::Steps;

use super::fetch;
use super::hypervisor;
use super::tree::Tree;
use super::version::{Flavour, Version, Which};

/// Objects that contain the build time or the options.
const TELLING: [&str; 2] = ["common/version.o", "common/config_data.o"];

/// Objects that are linked from others.
const LINKED: [&str; 2] = ["built_in.o", "prelink.o"];

/// Sections only for the debugger or the linker.
const ASIDE: [&str; 6] = [
    ".debug",
    ".rela.debug",
    ".comment",
    ".symtab",
    ".strtab",
    ".shstrtab",
];

/// Builds both and compares them.
pub(crate) fn check(steps: &Steps, version: Version) -> Result<()> {
    let source = fetch::source(steps, version)?;
    let mut objects = Vec::new();
    for flavour in [Flavour::Room, Flavour::Off] {
        let tree = Tree::prepare(steps, &source, Which { version, flavour })?;
        hypervisor::build(steps, &tree)?;
        objects.push(objects_of(&tree.path.join("xen"))?);
    }
    let (stock, off) = (&objects[0], &objects[1]);
    steps.always(&version.step("options off"), |_| {
        let names = |of: &BTreeMap<PathBuf, Sections>| of.keys().cloned().collect::<Vec<_>>();
        ensure!(names(stock) == names(off), "there are other objects");
        for (name, sections) in stock {
            let differ = difference(sections, &off[name]);
            ensure!(
                differ.is_empty(),
                "{} differs in {differ:?}",
                name.display()
            );
        }
        let count: usize = stock.values().map(BTreeMap::len).sum();
        Ok(format!(
            "{} objects, {count} sections: as without hooks",
            stock.len()
        ))
    })
}

/// The contents of an object's sections.
type Sections = BTreeMap<String, Vec<u8>>;

/// Every object below a folder, by its path there.
fn objects_of(root: &Path) -> Result<BTreeMap<PathBuf, Sections>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(root)?;
            // Xen's build makes a link there to its own folder.
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if is_compared(name) {
                let bytes = fs::read(&path)?;
                let sections =
                    sections(&bytes).with_context(|| format!("reading {}", path.display()))?;
                found.insert(name.to_owned(), sections);
            }
        }
    }
    Ok(found)
}

/// Whether it is an object of Xen that depends only on its source.
fn is_compared(name: &Path) -> bool {
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    file.ends_with(".o")
        && !file.starts_with('.')
        && !LINKED.contains(&&*file)
        && !name.starts_with("tools")
        && !TELLING.iter().any(|telling| name == Path::new(telling))
}

fn sections(bytes: &[u8]) -> Result<Sections> {
    let elf = Elf::parse(bytes)?;
    let mut found = Sections::new();
    for header in &elf.section_headers {
        let name = elf.shdr_strtab.get_at(header.sh_name).unwrap_or_default();
        if !ASIDE.iter().any(|aside| name.starts_with(aside)) {
            let data = header.file_range().and_then(|range| bytes.get(range));
            // A section without contents in the file still has a size.
            let contents =
                data.map_or_else(|| header.sh_size.to_le_bytes().to_vec(), <[u8]>::to_vec);
            found.insert(name.to_owned(), contents);
        }
    }
    Ok(found)
}

/// The sections that differ.
fn difference(one: &Sections, other: &Sections) -> Vec<String> {
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| one.get(*name) != other.get(*name));
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_are_objects_of_a_source_each() {
        for name in ["arch/arm/traps.o", "common/sched/core.o"] {
            assert!(is_compared(Path::new(name)), "{name}");
        }
        for name in [
            "arch/arm/traps.c",
            "arch/arm/built_in.o",
            "prelink.o",
            ".xen-syms.0.o",
            "common/version.o",
            "tools/kconfig/conf.o",
        ] {
            assert!(!is_compared(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_section_more_or_another_is_a_difference() {
        let of = |sections: &[(&str, &[u8])]| -> Sections {
            let owned = |&(name, bytes): &(&str, &[u8])| (name.to_owned(), bytes.to_vec());
            sections.iter().map(owned).collect()
        };
        let one = of(&[(".text", b"a"), (".data", b"b")]);
        assert!(difference(&one, &one).is_empty());
        assert_eq!(difference(&one, &of(&[(".text", b"a")])), [".data"]);
        assert_eq!(
            difference(&one, &of(&[(".text", b"x"), (".data", b"b")])),
            [".text"]
        );
    }
}
