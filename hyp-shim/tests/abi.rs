// SPDX-License-Identifier: MIT
//! The ABI check: `include/vpl011.h` against the Rust side, by two compilers.
//!
//! From rustc's view of the Rust side (the types of the entry points, sizes, offsets,
//! constants) this writes a C file that declares the same after including the header,
//! and has `cc` compile it for the host and for the hypervisor: a function declared
//! with another type, a wrong size or value is an error. The census fails if the header
//! declares more.

mod support;

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::fmt::Write as _;
use std::fs;
use std::mem::offset_of;
use std::process::Command;
use std::sync::atomic::AtomicU64;

use hyp_shim::abi::{
    VPL011_ABORT, VPL011_DOORBELL, VPL011_GLANCE_EMPTY, VPL011_OUTPUT, VPL011_POLLED,
    VPL011_PROFILE_PL011, VPL011_PROFILE_SBSA, VPL011_RING_SIZE, VPL011_STALLED,
    VPL011_STATE_ALIGN, VPL011_STATE_SIZE, VPL011_UNSEEN, vpl011_counters, vpl011_outcome,
    vpl011_state,
};
use hyp_shim::snapshot::{
    VPL011_DONE, VPL011_NO_RING, VPL011_NO_SNAPSHOT, VPL011_SNAPSHOT_SIZE, VPL011_WRONG_FIELD,
    VPL011_WRONG_VERSION, vpl011_snapshot,
};
use hyp_shim::{entry, snapshot};

/// A type that crosses the ABI, by its name in C.
trait InC {
    const NAME: &str;
}

macro_rules! in_c {
    ($($rust:ty => $c:literal)*) => {
        $(impl InC for $rust {
            const NAME: &str = $c;
        })*
    };
}

in_c! {
    () => "void"
    u8 => "uint8_t"
    u32 => "uint32_t"
    u64 => "uint64_t"
    usize => "size_t"
    *const u8 => "const char *"
    &'static AtomicU64 => "uint64_t *"
    *mut u16 => "uint16_t *"
    *mut c_void => "void *"
    *mut vpl011_state => "struct vpl011_state *"
    *mut vpl011_snapshot => "struct vpl011_snapshot *"
    *const vpl011_snapshot => "const struct vpl011_snapshot *"
    vpl011_outcome => "struct vpl011_outcome"
    vpl011_counters => "struct vpl011_counters"
}

/// A function, as a C declaration of it.
trait Declare {
    fn declare(self, name: &str) -> String;
}

macro_rules! declare {
    ($($argument:ident)*) => {
        impl<R: InC, $($argument: InC),*> Declare for unsafe extern "C" fn($($argument),*) -> R {
            fn declare(self, name: &str) -> String {
                format!("{} {name}({});\n", R::NAME, [$($argument::NAME),*].join(", "))
            }
        }
    };
}

declare!(A);
declare!(A B);
declare!(A B C);
declare!(A B C D);

/// The Rust side as C, and the names that it covers.
#[derive(Default)]
struct Mirror {
    code: String,
    names: BTreeSet<String>,
}

impl Mirror {
    fn assert(&mut self, condition: &str) {
        writeln!(self.code, "_Static_assert({condition}, \"{condition}\");").unwrap();
    }

    fn function(&mut self, name: &str, function: impl Declare) {
        self.names.insert(format!("{name}()"));
        self.code += &function.declare(name);
    }

    fn constant(&mut self, name: &str, value: usize) {
        self.names.insert(name.into());
        self.assert(&format!("{name} == {value:#x}"));
    }

    fn structure<T: InC>(&mut self, fields: &[(&str, &str, usize)]) {
        let name = T::NAME;
        self.names.insert(name.into());
        self.assert(&format!("sizeof({name}) == {}", size_of::<T>()));
        self.assert(&format!("_Alignof({name}) == {}", align_of::<T>()));
        for (field, kind, offset) in fields {
            self.names.insert(format!("{name}.{field}"));
            self.assert(&format!("offsetof({name}, {field}) == {offset}"));
            self.assert(&format!(
                "_Generic((({name} *)0)->{field}, {kind}: 1, default: 0)"
            ));
        }
    }
}

/// The field of a Rust structure: its name, its type in C, its offset.
macro_rules! fields {
    ($structure:ident { $($field:ident: $kind:ty),* }) => {{
        let _ = |it: &$structure| {
            $(let _: $kind = it.$field;)*
        };
        &[$((stringify!($field), <$kind as InC>::NAME, offset_of!($structure, $field))),*]
    }};
}

impl InC for u16 {
    const NAME: &str = "uint16_t";
}

impl InC for vpl011_state {
    const NAME: &str = "struct vpl011_state";
}

impl InC for vpl011_snapshot {
    const NAME: &str = "struct vpl011_snapshot";
}

/// The Rust side of the whole header.
fn mirror() -> Mirror {
    let mut mirror = Mirror::default();

    mirror.constant("VPL011_STATE_SIZE", VPL011_STATE_SIZE);
    mirror.constant("VPL011_STATE_ALIGN", VPL011_STATE_ALIGN);
    mirror.constant("VPL011_RING_SIZE", VPL011_RING_SIZE);
    mirror.constant("VPL011_PROFILE_PL011", VPL011_PROFILE_PL011.into());
    mirror.constant("VPL011_PROFILE_SBSA", VPL011_PROFILE_SBSA.into());
    mirror.constant("VPL011_DOORBELL", VPL011_DOORBELL.into());
    mirror.constant("VPL011_OUTPUT", VPL011_OUTPUT.into());
    mirror.constant("VPL011_ABORT", VPL011_ABORT.into());
    mirror.constant("VPL011_STALLED", VPL011_STALLED.into());
    mirror.constant("VPL011_POLLED", usize::try_from(VPL011_POLLED).unwrap());
    mirror.constant("VPL011_UNSEEN", usize::try_from(VPL011_UNSEEN).unwrap());
    let empty = usize::try_from(VPL011_GLANCE_EMPTY).unwrap();
    mirror.constant("VPL011_GLANCE_EMPTY", empty);

    // Opaque: its field exists only in C.
    mirror.structure::<vpl011_state>(&[]);
    mirror.names.insert("struct vpl011_state.opaque".into());
    mirror.structure::<vpl011_outcome>(fields!(vpl011_outcome {
        value: u32,
        pending: u16,
        flags: u8,
        output: u8,
        glance: u64
    }));
    mirror.structure::<vpl011_counters>(fields!(vpl011_counters {
        bytes_out: u64,
        bytes_in: u64,
        doorbells: u64,
        resyncs: u64,
        dropped: u64,
        overruns: u64
    }));

    mirror.function(
        "vpl011_init",
        entry::vpl011_init as unsafe extern "C" fn(*mut vpl011_state, *mut c_void, u8),
    );
    mirror.function(
        "vpl011_access",
        entry::vpl011_access
            as unsafe extern "C" fn(*mut vpl011_state, u64, u64, u64) -> vpl011_outcome,
    );
    mirror.function(
        "vpl011_send",
        entry::vpl011_send as unsafe extern "C" fn(*mut vpl011_state, u64) -> vpl011_outcome,
    );
    mirror.function(
        "vpl011_peek",
        entry::vpl011_peek as unsafe extern "C" fn(&'static AtomicU64, u64, u64, u64) -> u64,
    );
    mirror.function(
        "vpl011_ring_event",
        entry::vpl011_ring_event as unsafe extern "C" fn(*mut vpl011_state) -> vpl011_outcome,
    );
    mirror.function(
        "vpl011_receive",
        entry::vpl011_receive as unsafe extern "C" fn(*mut vpl011_state, u8) -> vpl011_outcome,
    );
    mirror.function(
        "vpl011_break",
        entry::vpl011_break as unsafe extern "C" fn(*mut vpl011_state) -> vpl011_outcome,
    );
    mirror.function(
        "vpl011_counters",
        entry::vpl011_counters as unsafe extern "C" fn(*mut vpl011_state) -> vpl011_counters,
    );
    mirror.constant("VPL011_SNAPSHOT_SIZE", VPL011_SNAPSHOT_SIZE);
    mirror.constant("VPL011_DONE", VPL011_DONE.into());
    mirror.constant("VPL011_NO_RING", VPL011_NO_RING.into());
    mirror.constant("VPL011_NO_SNAPSHOT", VPL011_NO_SNAPSHOT.into());
    mirror.constant("VPL011_WRONG_VERSION", VPL011_WRONG_VERSION.into());
    mirror.constant("VPL011_WRONG_FIELD", VPL011_WRONG_FIELD.into());
    mirror.structure::<vpl011_snapshot>(&[("bytes", "uint8_t *", 0)]);
    mirror.function(
        "vpl011_save",
        snapshot::vpl011_save
            as unsafe extern "C" fn(*mut vpl011_state, *mut vpl011_snapshot) -> u8,
    );
    mirror.function(
        "vpl011_restore",
        snapshot::vpl011_restore
            as unsafe extern "C" fn(
                *mut vpl011_state,
                *mut c_void,
                *const vpl011_snapshot,
                *mut u16,
            ) -> u8,
    );
    // Imported, and only without a standard library: src/panic.rs.
    mirror.names.insert("vpl011_panic()".into());
    mirror.code += &PANIC.declare("vpl011_panic");

    mirror
}

/// As `src/panic.rs` declares it; a type in C does not include that it never returns.
const PANIC: unsafe extern "C" fn(*const u8, usize, u32) = {
    unsafe extern "C" fn panic(_: *const u8, _: usize, _: u32) {}
    panic
};

fn header() -> String {
    fs::read_to_string(support::shim().join("include/vpl011.h")).unwrap()
}

#[test]
fn header_and_rust_agree() {
    let source = support::scratch().join("abi.c");
    let code = mirror().code;
    fs::write(
        &source,
        format!("#include <stddef.h>\n#include \"vpl011.h\"\n{code}"),
    )
    .unwrap();
    for cc in ["cc", "aarch64-linux-gnu-gcc"] {
        support::run(
            // Freestanding: the compiler's own headers only.
            Command::new(cc)
                .args([
                    "-std=c11",
                    "-ffreestanding",
                    "-fsyntax-only",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                ])
                .arg("-I")
                .arg(support::shim().join("include"))
                .arg(&source),
        );
    }
}

#[test]
fn header_declares_nothing_else() {
    assert_eq!(declared(&header()), mirror().names);
}

#[test]
fn the_panic_handler_is_imported_as_declared() {
    let panic = fs::read_to_string(support::shim().join("src/panic.rs")).unwrap();
    let import = "fn vpl011_panic(file: *const u8, length: usize, line: u32) -> !;";
    assert!(
        panic.contains(import),
        "the import in src/panic.rs is not: {import}"
    );
}

/// In the library but not in the hypervisor, where nothing calls them.
const ON_DEMAND: [&str; 2] = ["vpl011_save", "vpl011_restore"];

#[test]
fn every_entry_point_is_a_root_of_the_link() {
    let script = fs::read_to_string(support::shim().join("fold-sections.lds")).unwrap();
    let (roots, _) = script.split_once("SECTIONS").unwrap();
    let roots: BTreeSet<_> = words(roots)
        .filter(|word| word.starts_with("vpl011_"))
        .collect();
    let names = mirror().names;
    let entries: BTreeSet<_> = names
        .iter()
        .filter_map(|n| n.strip_suffix("()"))
        .filter(|n| *n != "vpl011_panic" && !ON_DEMAND.contains(n))
        .collect();
    assert_eq!(roots, entries);
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
}

/// The declarations in a header of this plain style: macros with a value, functions as
/// `name()`, structures, and their fields as `struct S.field`.
fn declared(header: &str) -> BTreeSet<String> {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code += before;
        rest = comment.split_once("*/").expect("comments end").1;
    }
    code += rest;

    let mut names = BTreeSet::new();
    let mut plain = String::new();
    for line in code.lines() {
        match line.strip_prefix("#define ") {
            Some(definition) => {
                let mut parts = words(definition);
                let name = parts.next().unwrap();
                if parts.next().is_some() {
                    names.insert(name.to_owned());
                }
            }
            None if line.starts_with('#') => {}
            None => plain = plain + line + "\n",
        }
    }

    let mut structure = None;
    for statement in plain.split_inclusive([';', '{', '}']) {
        let at_end = statement.chars().last();
        match (&structure, at_end) {
            (None, Some('{')) => {
                let name = words(statement).last().unwrap();
                let name = format!("struct {name}");
                names.insert(name.clone());
                structure = Some(name);
            }
            (Some(_), Some('}')) => structure = None,
            (Some(within), Some(';')) => {
                let name = words(statement.split('[').next().unwrap()).last().unwrap();
                names.insert(format!("{within}.{name}"));
            }
            (None, Some(';')) => {
                if let Some((head, _)) = statement.split_once('(') {
                    names.insert(format!("{}()", words(head).last().unwrap()));
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn every_kind_of_declaration_is_counted() {
    let header = "#ifndef GUARD\n#define GUARD\n#define N 1 /* #define NO 2 */\n\
                  struct s {\n    int a; /* b; */\n    int c[2];\n};\nint f(struct s *s, int x);\n";
    let expected = ["N", "struct s", "struct s.a", "struct s.c", "f()"].map(String::from);
    assert_eq!(declared(header), BTreeSet::from(expected));
}
