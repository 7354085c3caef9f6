// SPDX-License-Identifier: MIT
//! The device's size: the object as it is linked into Xen, built and folded as
//! `README.md` describes.

#[path = "support/staticlib.rs"]
mod staticlib;
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use hyp_shim::abi::vpl011_state;

/// Bytes of code allowed in the hypervisor.
const TEXT: u64 = 8 * 1024;
/// Bytes of state allowed for a domain.
const STATE: usize = 512;
/// The longest symbol name that Xen has room for (`KSYM_NAME_LEN`), on the stack of the
/// code that looks one up.
const NAME: usize = 127;

static OBJECT: LazyLock<PathBuf> = LazyLock::new(|| {
    let object = support::scratch().join("core.o");
    support::run(
        Command::new(support::shim().join("link-object.sh"))
            .arg(staticlib::build(Some("aarch64-unknown-none-softfloat")))
            .arg(&object),
    );
    object
});

/// Name and size of each section that takes memory.
fn sections() -> Vec<(String, u64)> {
    let listing = support::run(
        Command::new("aarch64-linux-gnu-size")
            .arg("-A")
            .arg(&*OBJECT),
    );
    listing
        .lines()
        .filter(|line| line.starts_with('.'))
        .map(|line| {
            let mut columns = line.split_whitespace();
            let name = columns.next().unwrap().to_owned();
            (name, columns.next().unwrap().parse().unwrap())
        })
        .filter(|(_, size)| *size > 0)
        .collect()
}

/// Symbols with their kind, a letter of `nm`.
fn symbols() -> Vec<(char, String)> {
    let listing = support::run(Command::new("aarch64-linux-gnu-nm").arg(&*OBJECT));
    listing
        .lines()
        .map(|line| {
            let mut columns = line.split_whitespace().rev();
            let name = columns.next().unwrap().to_owned();
            (columns.next().unwrap().chars().next().unwrap(), name)
        })
        .collect()
}

#[test]
fn text_and_state_are_within_budget() {
    let sections = sections();
    let text = sections
        .iter()
        .find(|(name, _)| name == ".text")
        .expect("a .text")
        .1;
    println!(
        "text {text} of {TEXT}, state {} of {STATE}, {sections:?}",
        size_of::<vpl011_state>()
    );
    assert!(text <= TEXT, "{text} bytes of text");
    assert!(size_of::<vpl011_state>() <= STATE);
}

#[test]
fn only_sections_that_xen_links_are_left() {
    for (name, size) in sections() {
        assert!(
            [".text", ".rodata"].contains(&name.as_str()),
            "{name} has {size} bytes"
        );
    }
}

#[test]
fn nothing_is_needed_but_the_panic_handler() {
    let needed: Vec<_> = symbols()
        .into_iter()
        .filter(|(kind, _)| *kind == 'U')
        .collect();
    assert_eq!(needed, [('U', "vpl011_panic".to_owned())]);
}

/// Global names are those that Xen links against and lists in its symbol table.
#[test]
fn only_names_of_c_are_global() {
    for (kind, name) in symbols() {
        let of_c = name.starts_with("vpl011_") || name.starts_with("mem");
        assert!(of_c || kind.is_lowercase(), "{kind} {name}");
    }
}

/// Xen prefixes a local symbol with the name of its file.
#[test]
fn names_fit_xens_buffers() {
    let listing = support::run(
        Command::new("aarch64-linux-gnu-readelf")
            .args(["--syms", "--wide"])
            .arg(&*OBJECT),
    );
    let named = |kind: &str| -> Vec<&str> {
        let rows = listing.lines().map(|row| row.split_whitespace().collect());
        rows.filter_map(|row: Vec<&str>| {
            let [_, _, _, of, "LOCAL", _, _, name] = row[..] else {
                return None;
            };
            (of == kind).then_some(name)
        })
        .collect()
    };
    let file = named("FILE").into_iter().max_by_key(|name| name.len());
    let file = file.expect("a file's name");
    let mut all = [named("FUNC"), named("OBJECT"), named("NOTYPE")].concat();
    let longest = all.iter().max_by_key(|name| name.len());
    let whole = format!("{file}#{}", longest.expect("local names"));
    println!("the longest name: {} characters of {NAME}", whole.len());
    assert!(whole.len() <= NAME, "{} characters: {whole}", whole.len());
    // $x and $d mark code and data.
    all.retain(|name| !name.starts_with('$'));
    all.sort_unstable();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "two symbols of one name");
}

#[test]
fn the_hypervisors_memory_functions_replace_ours() {
    for (kind, name) in symbols() {
        if ["memcpy", "memmove", "memset", "memcmp", "bcmp"].contains(&name.as_str()) {
            assert_eq!(kind, 'W', "{name} would clash with Xen's");
        }
    }
}

#[test]
fn no_instruction_touches_floating_point() {
    let code = support::run(
        Command::new("aarch64-linux-gnu-objdump")
            .args(["-d", "--no-show-raw-insn"])
            .arg(&*OBJECT),
    );
    for line in code.lines() {
        // Address, mnemonic, operands.
        let operands = line.split('\t').nth(2).unwrap_or("");
        assert!(!operands.split(',').any(is_vector_register), "{line}");
    }
}

/// Whether an operand is a register of the vector file: v0.16b, q0, d0, ...
fn is_vector_register(operand: &str) -> bool {
    let name = operand
        .trim_matches([' ', '{', '}', '[', ']'])
        .split('.')
        .next()
        .unwrap();
    name.split_at_checked(1).is_some_and(|(bank, number)| {
        "vqdshb".contains(bank) && number.parse::<u8>().is_ok_and(|number| number < 32)
    })
}

#[test]
fn vector_registers_are_recognised() {
    for operand in ["v31.16b", " q0", "d2", "{v1.4s", "s9", "h0", "b7"] {
        assert!(is_vector_register(operand), "{operand}");
    }
    for operand in ["x0", "w31", "d24 <f>", "[sp", "sp", "#16", "b", "", "v32"] {
        assert!(!is_vector_register(operand), "{operand}");
    }
}
