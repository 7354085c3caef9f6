// SPDX-License-Identifier: MIT
//! Functions of Xen, extracted by name from its sources.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The functions concerned, file by file.
const FUNCTIONS: [(&str, &[&str]); 3] = [
    (
        "traps.c",
        &[
            "advance_pc",
            "enter_hypervisor_from_guest",
            "do_trap_guest_sync",
            "do_trap_guest_serror",
            "do_trap_irq",
            "do_trap_fiq",
        ],
    ),
    (
        "gic-vgic.c",
        &[
            "gic_set_lr",
            "gic_add_to_lr_pending",
            "gic_remove_from_lr_pending",
            "gic_raise_inflight_irq",
            "gic_find_unused_lr",
            "gic_raise_guest_irq",
            "gic_update_one_lr",
            "vgic_sync_from_lrs",
            "gic_restore_pending_irqs",
            "vgic_sync_to_lrs",
        ],
    ),
    (
        "vgic.c",
        &["vgic_disable_irqs", "vgic_enable_irqs", "vgic_inject_irq"],
    ),
];

/// A macro that one of them uses.
const MACRO: (&str, &str) = ("gic-vgic.c", "lr_all_full");

/// The extracted functions, as C.
pub(crate) struct Taken {
    pub(crate) declared: String,
    pub(crate) defined: String,
}

/// Extracts from the sources in a folder.
pub(crate) fn of(folder: &Path) -> Taken {
    let source = |file: &str| {
        let path = folder.join(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let mut declared = String::new();
    let mut local = String::new();
    let mut defined = String::new();
    for (file, names) in FUNCTIONS {
        let source = source(file);
        for name in names {
            let function =
                function(&source, name).unwrap_or_else(|| panic!("{file} has no {name}()"));
            let head = function.split("\n{").next().unwrap_or_default();
            let to = if head.starts_with("static") {
                &mut local
            } else {
                &mut declared
            };
            writeln!(to, "{head};").expect("a String takes it");
            writeln!(defined, "{function}\n").expect("a String takes it");
        }
    }
    let (file, name) = MACRO;
    let all = source(file);
    let text = definition(&all, name).unwrap_or_else(|| panic!("{file} has no {name}()"));
    Taken {
        declared,
        defined: format!("#include \"xen.h\"\n\n{text}\n\n{local}\n{defined}"),
    }
}

impl Taken {
    /// The same with one text replaced.
    pub(crate) fn with(&self, text: &str, other: &str) -> Self {
        assert_eq!(self.defined.matches(text).count(), 1, "{text}");
        Self {
            declared: self.declared.clone(),
            defined: self.defined.replace(text, other),
        }
    }
}

/// A function's definition: from the line with its name to the brace that closes it,
/// both in the first column.
fn function<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let called = format!("{name}(");
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let rest = &source[at..];
        at += line.len();
        let is_head = line.starts_with(|c: char| c.is_ascii_alphabetic())
            && line
                .find(&called)
                .is_some_and(|found| line[..found].ends_with([' ', '*']));
        // A declaration ends before any brace.
        let body = rest.find("\n{");
        let is_body = body.is_some_and(|body| !rest[..body].contains(';'));
        if is_head && is_body {
            return rest.find("\n}\n").map(|end| &rest[..end + 2]);
        }
    }
    None
}

/// A macro's definition, with its continuation lines.
fn definition<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let start = source.find(&format!("#define {name}("))?;
    let mut end = start;
    for line in source[start..].split_inclusive('\n') {
        end += line.len();
        if !line.ends_with("\\\n") {
            break;
        }
    }
    Some(&source[start..end])
}
