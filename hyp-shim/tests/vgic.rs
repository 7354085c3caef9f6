// SPDX-License-Identifier: MIT
//! Xen's own handling of traps and interrupts with the hooks in it, on the host: the
//! functions concerned are extracted from a Xen tree and compiled with the glue and the
//! real device, once with `CONFIG_VPL011_FAST_TRAP` and once without. A guest must see
//! the same in both builds.
//!
//! `VPL011_XEN_TREE` names the tree, which must have the hooks of this
//! repository: `cargo xtask xen check-traps` does. Without it the tests are ignored.

#[path = "support/glue_files.rs"]
mod glue_files;
#[path = "support/staticlib.rs"]
mod staticlib;
mod support;
#[path = "vgic/taken.rs"]
mod taken;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::LazyLock;

use libtest_mimic::{Arguments, Failed, Trial};

const TREE: &str = "VPL011_XEN_TREE";

/// The first of the guests' seeds, and how many.
const SEEDS: [&str; 2] = ["0", "200"];

/// Enough for most defects.
const FEW_SEEDS: [&str; 2] = ["0", "10"];

/// Possible defects of the hooks: a text of Xen with them, and its replacement. With
/// each, the guests' output differs or a case fails.
const DEFECTS: [(&str, &str, &str); 8] = [
    (
        "an injection does not leave the list registers behind",
        "    v->arch.lrs_behind = true;\n",
        "",
    ),
    (
        "nor does enabling an interrupt",
        "    v_target->arch.lrs_behind = true;\n",
        "",
    ),
    (
        "an interrupt is given a register before they are brought in",
        " && !current->arch.lrs_in )",
        " && false )",
    ),
    (
        "they count as brought in for ever",
        "    current->arch.lrs_in = false;\n",
        "",
    ),
    (
        "a trap that is no access does not bring them in",
        "        return;\n\n    vgic_sync_from_lrs(current);\n",
        "        return;\n",
    ),
    (
        "an interrupt of the host's does not bring them in",
        "        vgic_sync_from_lrs(current);\n\n    gic_interrupt(regs, 0);\n",
        "        (void)regs;\n\n    gic_interrupt(regs, 0);\n",
    ),
    (
        "an SError does not bring them in",
        "        vgic_sync_from_lrs(current);\n\n    __do_trap_serror(regs, true);\n",
        "        (void)regs;\n\n    __do_trap_serror(regs, true);\n",
    ),
    (
        "the device is called before there is a trap to handle",
        "        vgic_sync_from_lrs(v);\n}",
        "        vgic_sync_from_lrs(v);\n    vpl011_takes_trap(&emul.regs);\n}",
    ),
];

fn main() -> ExitCode {
    let is_there = std::env::var_os(TREE).is_some();
    let trials = [
        trial("sparing_changes_no_interrupt", || {
            for release in [false, true] {
                compare(release)?;
            }
            Ok(())
        }),
        trial("a_consumed_serror_leaves_no_trace", || each("serror")),
        trial("what_the_device_does_not_take_goes_stocks_way", || {
            each("stocks_way")
        }),
        trial("defects_of_the_hooks_are_detected", notice),
    ];
    let trials = trials
        .into_iter()
        .map(|trial| {
            if is_there {
                trial
            } else {
                trial
                    .with_kind(format!("needs {TREE}"))
                    .with_ignored_flag(true)
            }
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, run: fn() -> Result<(), Failed>) -> Trial {
    Trial::test(name, run)
}

/// The functions extracted from the tree.
static TAKEN: LazyLock<taken::Taken> = LazyLock::new(|| {
    let tree = PathBuf::from(std::env::var_os(TREE).expect("the tests run with a tree"));
    for file in glue_files::GLUE {
        assert!(
            fs::read(support::shim().join("glue").join(file)).ok()
                == fs::read(tree.join("xen/arch/arm/vpl011").join(file)).ok(),
            "{} has no hooks, or others than these",
            tree.display()
        );
    }
    taken::of(&tree.join("xen/arch/arm"))
});

/// The device, and a folder of headers that are empty here.
static PARTS: LazyLock<(PathBuf, PathBuf)> = LazyLock::new(|| {
    let include = support::scratch().join("vgic/include");
    for header in [
        "xen/errno.h",
        "xen/types.h",
        "public/hvm/params.h",
        "asm/vpl011-private.h",
    ] {
        let path = include.join(header);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("the folder can be made");
        fs::write(&path, "").expect("a header can be written");
    }
    fs::copy(
        support::shim().join("glue/vpl011-private.h"),
        include.join("asm/vpl011-private.h"),
    )
    .expect("the header can be copied");
    (staticlib::build(None), include)
});

/// How Xen and the guest are built.
#[derive(Clone, Copy)]
struct Build {
    name: &'static str,
    fast: bool,
    release: bool,
}

impl Build {
    /// Compiles the guest with these functions of Xen.
    fn make(self, taken: &taken::Taken) -> PathBuf {
        let shim = support::shim();
        let (device, include) = &*PARTS;
        let folder = support::scratch().join("vgic").join(self.name);
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(folder.join("taken.h"), &taken.declared).expect("what is taken can be written");
        fs::write(folder.join("taken.c"), &taken.defined).expect("what is taken can be written");
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu99", "-g", "-O1", "-fsanitize=address,undefined"]);
        cc.args(["-fno-sanitize-recover=all", "-Wall", "-Werror"]);
        // Xen builds without these warnings too.
        cc.args(["-Wno-unused-but-set-variable", "-Wno-unused-function"]);
        if !self.fast {
            cc.arg("-DEMUL_WITHOUT_FAST_TRAP");
        }
        if self.release {
            cc.arg("-DNDEBUG");
        }
        for searched in [
            &folder,
            include,
            &shim.join("include"),
            &shim.join("tests/glue"),
            &shim.join("tests/vgic"),
        ] {
            cc.arg("-I").arg(searched);
        }
        cc.arg(folder.join("taken.c"));
        cc.args(glue_files::GLUE.map(|file| shim.join("glue").join(file)));
        cc.arg(shim.join("tests/glue/emul.c"));
        cc.args(["machine.c", "guest.c"].map(|file| shim.join("tests/vgic").join(file)));
        let program = folder.join("guest");
        support::run(cc.arg(device).arg("-o").arg(&program));
        program
    }
}

fn output(program: &Path, words: &[&str]) -> Output {
    Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn succeeds(program: &Path, words: &[&str]) -> Result<Output, Failed> {
    let output = output(program, words);
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().next_back().unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {said}\nafter: {last}", program.display()).into())
}

/// Runs the same guests on both builds.
fn compare(release: bool) -> Result<(), Failed> {
    let name = |fast| match (fast, release) {
        (true, true) => "fast-release",
        (true, false) => "fast-debug",
        (false, true) => "plain-release",
        (false, false) => "plain-debug",
    };
    let run = |fast| {
        let build = Build {
            name: name(fast),
            fast,
            release,
        };
        succeeds(&build.make(&TAKEN), &SEEDS)
    };
    let (plain, fast) = (run(false)?, run(true)?);
    let lines = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let (plain_lines, fast_lines) = (lines(&plain), lines(&fast));
    let mut seed = "";
    for (one, other) in plain_lines.lines().zip(fast_lines.lines()) {
        if one.starts_with("seed") {
            seed = one;
        }
        if one != other {
            return Err(format!("{seed}:\nplain {one}\nfast  {other}").into());
        }
    }
    assert_eq!(plain_lines.len(), fast_lines.len());
    // Checks that the comparison covered enough.
    let figures = |output: &Output| -> Vec<u32> {
        let said = String::from_utf8_lossy(&output.stderr);
        said.split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    let [spared, accesses, evictions] = figures(&fast)[..] else {
        return Err("the guest printed no figures".into());
    };
    assert!(
        spared > accesses / 4 && evictions > 100,
        "{spared} of {accesses} spared, {evictions} evictions"
    );
    assert_eq!(figures(&plain)[0], 0);
    Ok(())
}

/// A case, with the fast path and without.
fn each(case: &str) -> Result<(), Failed> {
    for (name, fast) in [("fast-case", true), ("plain-case", false)] {
        let build = Build {
            name,
            fast,
            release: true,
        };
        succeeds(&build.make(&TAKEN), &[case])?;
    }
    Ok(())
}

/// The guests or a case must find every defect.
fn notice() -> Result<(), Failed> {
    let build = |name, fast| Build {
        name,
        fast,
        release: true,
    };
    let plain = build("plain-right", false).make(&TAKEN);
    let right = |seeds| Ok::<_, Failed>((seeds, succeeds(&plain, seeds)?.stdout));
    let right = [right(&FEW_SEEDS)?, right(&SEEDS)?];
    for (about, text, wrong) in DEFECTS {
        let taken = TAKEN.with(text, wrong);
        let program = build("fast-wrong", true).make(&taken);
        let is_noticed = !output(&program, &["serror"]).status.success()
            || right.iter().any(|(seeds, right)| {
                let guests = output(&program, seeds);
                guests.stdout != *right || !guests.status.success()
            });
        if !is_noticed {
            return Err(format!("nothing shows that {about}").into());
        }
    }
    Ok(())
}
