// SPDX-License-Identifier: MIT
//! `cargo xtask misra`: the C glue as Xen compiles it, checked by Debian's cppcheck
//! with its addon for MISRA C. Every rule of the addon applies except those listed here
//! and in docs/design/upstreaming.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Steps, files, write};

use crate::debian::host;
use crate::debian::packages::Packages;
use crate::xen::{self, Flavour, Which};

/// Check the C glue against MISRA C, as far as cppcheck can
#[derive(clap::Args)]
pub(crate) struct Options;

/// The files of the glue, without extensions.
const GLUE: [&str; 8] = [
    "console",
    "device",
    "dump",
    "fdt",
    "lifecycle",
    "line",
    "private",
    "rest",
];

/// Their folder in Xen's half of a tree.
const FOLDER: &str = "arch/arm/vpl011";
const HEADER: &str = "arch/arm/include/asm/vpl011-private.h";

/// Rules that are left out, and why. "Not adopted" is a rule that is not in Xen's
/// docs/misra/rules.rst.
const DEVIATIONS: [(&str, &str); 19] = [
    (
        "2.7",
        "not adopted: function types have parameters that not all functions use",
    ),
    ("5.9", "not adopted: inline functions of a header"),
    ("8.7", "not adopted: the addon analyses only the glue"),
    ("9.2", "the addon counts `{ }`, which Xen uses"),
    (
        "10.1",
        "the addon counts a bit field as a condition, which Xen allows",
    ),
    (
        "10.4",
        "adopted as an aim; constants without `U`, as all around",
    ),
    ("10.8", "not adopted: Xen's macros"),
    ("11.5", "not adopted: memory from an allocator"),
    ("12.1", "not adopted"),
    ("12.3", "not adopted"),
    ("13.3", "not adopted"),
    ("13.4", "not adopted: Xen's macros"),
    (
        "14.4",
        "integers and pointers as conditions, which Xen allows",
    ),
    ("15.1", "not adopted: one exit path, as in Xen's style"),
    ("15.5", "not adopted: an early return"),
    (
        "15.6",
        "not adopted: Xen's style has no braces around one statement",
    ),
    ("15.7", "not adopted"),
    ("19.2", "not adopted: unions of Xen's own"),
    (
        "20.13",
        "the addon counts the lines that name files in preprocessed text",
    ),
];

/// Preprocesses the glue and checks it.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    host::install(steps, "misra tools", &Packages::read().misra.packages)?;
    let which = Which::from(Flavour::Ours);
    xen::hypervisor(steps, which)?;
    let tree = steps.dirs.target.join("xen").join(which.tree()).join("xen");
    steps.always("misra", |cx| {
        let work = cx.dirs.target.join("tmp/misra");
        files::empty(&work)?;
        let glue = work.join("glue.c");
        preprocess(cx, &tree, &glue)?;
        let found = work.join("found");
        cx.run(
            Command::new("cppcheck")
                .args(["--addon=misra", "--std=c99", "--platform=unix64", "--quiet"])
                .arg("--template={file}:{line} {id}")
                .arg(format!("--output-file={}", found.display()))
                .arg(&glue),
        )?;
        let breaches = breaches(&fs::read_to_string(&found)?);
        ensure!(
            breaches.is_empty(),
            "rules that are not deviated from:\n{}",
            breaches.join("\n")
        );
        let (files, rules) = (GLUE.len(), DEVIATIONS.len());
        Ok(format!("{files} files clean, {rules} rules left out"))
    })
}

/// Has Xen's build preprocess the glue as one file, whose headers are then analysed
/// once, and converts its line markers to the standard's form, which cppcheck reads.
fn preprocess(cx: &Cx, tree: &Path, to: &Path) -> Result<()> {
    let whole = tree.join(FOLDER).join("whole.c");
    let made = whole.with_extension("i");
    write(
        &whole,
        GLUE.map(|file| format!("#include \"{file}.c\"\n")).concat(),
    )?;
    let ran = cx.run(
        Command::new("make")
            .arg("-C")
            .arg(tree)
            .args(["XEN_TARGET_ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"])
            // With the one option that is off in the tree.
            .arg("EXTRA_CFLAGS_XEN_CORE=-DCONFIG_VPL011_TRACE=1")
            .arg(made.strip_prefix(tree)?),
    );
    fs::remove_file(&whole)?;
    ran?;
    let text = fs::read_to_string(&made).with_context(|| made.display().to_string())?;
    fs::remove_file(&made)?;
    write(to, numbered(&text))
}

/// `# 7 "file" 2` as `#line 7 "file"`.
fn numbered(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("# ").and_then(|at| at.rsplit_once('"')) {
        Some((at, _flags)) => format!("#line {at}\"\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The findings in our files that are no deviations.
fn breaches(found: &str) -> Vec<String> {
    let ours = |line: &&str| line.contains(&format!("{FOLDER}/")) || line.contains(HEADER);
    let deviated = |line: &&str| {
        DEVIATIONS
            .iter()
            .any(|(rule, _)| line.ends_with(&format!(" misra-c2012-{rule}")))
    };
    let lines: BTreeSet<&str> = found
        .lines()
        .filter(ours)
        .filter(|line| !deviated(line))
        .collect();
    lines.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_as_the_standard_has_it() {
        let text = "# 1 \"a.c\"\n# 7 \"b.h\" 1 3 4\nint b;\n#pragma pack(1)\n";
        let wanted = "#line 1 \"a.c\"\n#line 7 \"b.h\"\nint b;\n#pragma pack(1)\n";
        assert_eq!(numbered(text), wanted);
    }

    #[test]
    fn what_is_ours_and_no_deviation_is_a_breach() {
        let found = "arch/arm/vpl011/line.c:3 misra-c2012-17.4\n\
                     arch/arm/vpl011/line.c:3 misra-c2012-17.4\n\
                     arch/arm/vpl011/line.c:4 misra-c2012-15.5\n\
                     ./include/xen/list.h:5 misra-c2012-17.4\n";
        assert_eq!(
            breaches(found),
            ["arch/arm/vpl011/line.c:3 misra-c2012-17.4"]
        );
    }

    #[test]
    fn the_page_has_each_rule_with_its_reason() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join("docs/design/upstreaming.md")).unwrap();
        for (rule, why) in DEVIATIONS {
            assert!(page.contains(&format!("| {rule} | {why} |")), "{rule}");
        }
    }
}
