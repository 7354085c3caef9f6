// SPDX-License-Identifier: MIT
//! The layer for Yocto (`tools/packaging/yocto`), which needs bitbake and so is not
//! parsed here: its recipes name files that are there, and have this version.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LAYER: &str = "tools/packaging/yocto";
const PACKAGING: &str = "tools/vconsoled/packaging";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of the layer.
fn files() -> Vec<PathBuf> {
    let mut folders = vec![root().join(LAYER)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

fn recipe() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let path = root()
        .join(LAYER)
        .join(format!("recipes-console/vconsoled/vconsoled_{version}.bb"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_recipe_has_this_version_and_licence() {
    let recipe = recipe();
    assert!(recipe.contains("LICENSE = \"MIT\""));
    let (_, sum) = recipe.split_once("LICENSES/MIT.txt;md5=").unwrap();
    let sum = sum.split('"').next().unwrap();
    let licence = std::process::Command::new("md5sum")
        .arg(root().join("LICENSES/MIT.txt"))
        .output()
        .unwrap();
    let licence = String::from_utf8(licence.stdout).unwrap();
    assert_eq!(Some(sum), licence.split(' ').next());
}

/// The variables of the packaging's folder, and of the programs, which cargo makes.
#[test]
fn the_recipe_installs_what_is_there() {
    let recipe = recipe();
    let mut named = BTreeSet::new();
    for word in recipe.split_whitespace() {
        if let Some(name) = word.strip_prefix("${PACKAGING}/") {
            let path = root().join(PACKAGING).join(name);
            assert!(path.is_file(), "{}", path.display());
            named.insert(name);
        }
    }
    let expected = ["vconsoled.service", "vconsoled.toml", "xenconsoled-start"];
    assert_eq!(named, BTreeSet::from(expected));
    assert!(recipe.contains(&format!("PACKAGING = \"${{S}}/{PACKAGING}\"")));
    for program in ["vconsoled", "vconsole"] {
        assert!(recipe.contains(&format!("--package {program}")));
        assert!(recipe.contains(&format!("$built/{program} ")));
        assert!(root().join("tools").join(program).is_dir());
    }
}

/// Files of the layer that its recipes name, except for those that are made for each
/// build: the patches and the object.
#[test]
fn what_recipes_of_the_layer_name_is_in_it() {
    let files = files();
    let is_there = |name: &str| {
        let mut names = files.iter().filter_map(|path| path.file_name()?.to_str());
        names.any(|there| there == name)
    };
    let mut seen = 0;
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let mut words = text.split(['"', ' ', '\n']).peekable();
        while let Some(word) = words.next() {
            let named = if word == "require" {
                words.peek().copied()
            } else {
                word.strip_prefix("file://")
            };
            let Some(name) = named else { continue };
            let is_made = name == "core.o" || name.starts_with('%');
            let is_of_source = name.starts_with("LICENSES/");
            if !is_made && !is_of_source {
                assert!(is_there(name), "{}: {name}", file.display());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3, "the patches' file twice, and the configuration");
    assert!(is_there("vpl011-crates.bbclass"));
}

/// The layer finds the clone that it is in, and Xen finds the object where its Makefile
/// takes it from.
#[test]
fn paths_between_the_layer_and_the_clone_hold() {
    let up = root().join(LAYER).join("../../..");
    assert_eq!(up.canonicalize().unwrap(), root().canonicalize().unwrap());
    let read = |name: &str| fs::read_to_string(root().join(LAYER).join(name)).unwrap();
    assert!(read("conf/layer.conf").contains("'${LAYERDIR}/../../..'"));
    let append = read("recipes-extended/xen/xen_%.bbappend");
    assert!(append.contains("/xen/arch/arm/vpl011/core.o_shipped"));
    let page = fs::read_to_string(root().join("docs/start/own-tree.md")).unwrap();
    assert!(page.contains("DIR/xen/arch/arm/vpl011/core.o_shipped"));
    let option = read("recipes-extended/xen/files/vpl011.cfg");
    assert!(option.contains("CONFIG_VPL011_RUST=y"));
}
