// SPDX-License-Identifier: MIT
//! The tables that libxl adds for an ACPI guest: compiled for the host, and compared
//! with the output of ACPICA's compiler for `acpi/ssdt.asl` and `acpi/spcr.asl`.
//! Without that compiler the tests are ignored.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// The source that makes the tables, in `hyp-shim`.
const SOURCE: &str = "toolstack/libxl_pl011_acpi.c";

/// The guest address of the tables in the program of `acpi/tables.c`.
const ADDRESS: u64 = 0x2000_0a00;

/// Bytes of a table's header, and of one entry of the XSDT.
const HEADER: usize = 36;
const ENTRY: usize = 8;

/// The types of vuart: none, `sbsa_uart`, `pl011`.
const OTHERS: [&str; 2] = ["0", "1"];
const PL011: &str = "2";

/// Possible defects of the source: a text of it, and its replacement. The tests find
/// each.
const DEFECTS: [(&str, &str); 12] = [
    ("#define ARM_PL011           3", "#define ARM_PL011 14"),
    ("#define BY_32_BITS          3", "#define BY_32_BITS 1"),
    (".interrupt = GUEST_VPL011_SPI", ".interrupt = 0"),
    (".stop_bits = 1,", ""),
    ("    uint8_t language;\n", ""),
    (
        "'A', 'R', 'M', 'H', '0', '0', '1', '1'",
        "'A', 'R', 'M', 'H', '0', '0', '1', '2'",
    ),
    ("0x5b, 0x82, 0x3a", "0x5b, 0x82, 0x3b"),
    ("0x89, 6, 0, 0x01", "0x89, 6, 0, 0x03"),
    ("sum += bytes[i];", "sum ^= bytes[i];"),
    ("header->length = length;", "header->length = length - 1;"),
    (
        "address + offsetof(struct tables, ssdt)",
        "address + sizeof(struct spcr) - 8",
    ),
    ("? 2 * sizeof(uint64_t) : 0", "? sizeof(uint64_t) : 0"),
];

fn main() -> ExitCode {
    let is_there = iasl().exists();
    let trials = [
        Trial::test("tables_are_what_their_sources_say", || {
            tables(&program("as-is", None))
        }),
        Trial::test("no_other_guest_has_them", || {
            others(&program("others", None))
        }),
        Trial::test("defects_are_noticed", defects),
    ];
    let trials = trials
        .into_iter()
        .map(|trial| {
            if is_there {
                trial
            } else {
                trial.with_kind("needs iasl").with_ignored_flag(true)
            }
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Debian 12's compiler, which `cargo xtask programs` unpacks: later ones require
/// fields that an SPCR of revision 2 does not have.
fn iasl() -> PathBuf {
    let programs = support::scratch().with_file_name("programs");
    programs.join("usr/bin/iasl")
}

fn folder(name: &str) -> PathBuf {
    let folder = support::scratch().join("acpi").join(name);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// The compiled source, with or without a defect.
fn program(name: &str, defect: Option<(&str, &str)>) -> PathBuf {
    let shim = support::shim();
    let folder = folder(name);
    let mut text = fs::read_to_string(shim.join(SOURCE)).expect("the source can be read");
    if let Some((from, to)) = defect {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    let source = folder.join("source.c");
    fs::write(&source, text).expect("the source can be written");
    let program = folder.join("tables");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu99", "-g", "-O1", "-fsanitize=address,undefined"]);
    cc.args(["-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"]);
    // Xen's tools build without this warning too.
    cc.arg("-Wno-missing-field-initializers");
    cc.arg("-I").arg(shim.join("tests/acpi"));
    cc.arg("-I").arg(shim.join("toolstack"));
    cc.arg(source).arg(shim.join("tests/acpi/tables.c"));
    support::run(cc.arg("-o").arg(&program));
    program
}

/// The program's output for this type of vuart.
fn output(program: &Path, vuart: &str) -> Result<Vec<u8>, Failed> {
    let output = Command::new(program).arg(vuart).output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}

/// The compiler's output for a source in `tests/acpi`.
fn compiled(name: &str, into: &Path) -> Result<Vec<u8>, Failed> {
    let at = into.join(name);
    support::run(
        Command::new(iasl()).arg("-p").arg(&at).arg(
            support::shim()
                .join("tests/acpi")
                .join(name)
                .with_extension("asl"),
        ),
    );
    Ok(fs::read(at.with_extension("aml"))?)
}

fn tables(program: &Path) -> Result<(), Failed> {
    let bytes = output(program, PL011)?;
    let (entries, tables) = bytes.split_at_checked(2 * ENTRY).ok_or("no two entries")?;
    for (entry, name) in entries.chunks_exact(ENTRY).zip(["spcr", "ssdt"]) {
        let at = u64::from_le_bytes(entry.try_into()?) - ADDRESS;
        let table = tables
            .get(usize::try_from(at)?..)
            .ok_or("an entry points behind the tables")?;
        let of = compiled(name, program.parent().expect("in a folder"))?;
        same(table, &of).map_err(|what| format!("{name}: {what}"))?;
    }
    Ok(())
}

/// Checks that a table begins here which differs from `wanted` only in its creator
/// fields.
fn same(table: &[u8], wanted: &[u8]) -> Result<(), String> {
    let length = table.get(4..8).ok_or("no header")?;
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    let table = table.get(..length).ok_or("it is longer than its place")?;
    if table.len() != wanted.len()
        || table[..9] != wanted[..9]
        || table[HEADER..] != wanted[HEADER..]
    {
        return Err(format!("{table:02x?}, not {wanted:02x?}"));
    }
    match table
        .iter()
        .fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
    {
        0 => Ok(()),
        sum => Err(format!("its bytes add up to {sum}")),
    }
}

fn others(program: &Path) -> Result<(), Failed> {
    for vuart in OTHERS {
        let bytes = output(program, vuart)?;
        if !bytes.is_empty() {
            return Err(format!("vuart {vuart} has {bytes:02x?}").into());
        }
    }
    Ok(())
}

fn defects() -> Result<(), Failed> {
    for (number, defect) in DEFECTS.into_iter().enumerate() {
        if tables(&program(&format!("defect-{number}"), Some(defect))).is_ok() {
            return Err(format!("{} in place of {} is not detected", defect.1, defect.0).into());
        }
    }
    Ok(())
}
