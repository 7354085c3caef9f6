// SPDX-License-Identifier: MIT
//! The ACPI tables in a guest's memory.

use anyhow::{Context, Result, bail};

use crate::guest::Config;
use crate::monitor::{Answer, Monitor};
use crate::report::Report;

/// libxl's address of the tables; the root pointer is first.
const TABLES: u64 = 0x2000_0000;

/// Size of that pointer, and of a table's header.
const POINTER: u64 = 36;
const HEADER: u64 = 36;

/// Words that are read per message to the guest: its line holds 1024 bytes.
const AT_ONCE: usize = 32;

/// The tables that libxl gives every ACPI guest.
const STOCK: [&str; 3] = ["APIC", "FACP", "GTDT"];

/// A guest with `pl011 = y` has its UART in the tables; other guests have none.
pub(crate) fn acpi(report: &mut Report) -> Result<()> {
    let acpi = |name| Config::monitor(name).with("acpi = 1");
    let guest = acpi("acpi").pl011().create()?;
    let tables = tables(&mut Monitor::open(&guest.name)?)?;
    report.check_eq(
        "tables with pl011 = y",
        &names(&tables),
        &[&STOCK[..], &["SPCR", "SSDT"]].concat(),
    );
    for (name, table) in &tables {
        let sum = sum(table);
        report.check_eq(format_args!("{name}: its bytes add up to"), &sum, &0);
    }
    report.check(
        "SPCR: a PL011 at 0x22000000, by 32 bits, interrupt 32 of a GIC",
        find(&tables, "SPCR").is_some_and(|table| {
            table.get(36) == Some(&3)
                && table.get(40..52) == Some(&[0, 32, 0, 3, 0, 0, 0, 0x22, 0, 0, 0, 0])
                && table.get(52..58) == Some(&[8, 0, 32, 0, 0, 0])
        }),
        format_args!("{:02x?}", find(&tables, "SPCR")),
    );
    report.check(
        "SSDT: ARMH0011 there, with that interrupt",
        find(&tables, "SSDT").is_some_and(|table| {
            let has = |part: &[u8]| table.windows(part.len()).any(|bytes| bytes == part);
            has(b"\x08_HID\x0dARMH0011\0")
                && has(&[0x86, 9, 0, 1, 0, 0, 0, 0x22, 0, 0x10, 0, 0])
                && has(&[0x89, 6, 0, 1, 1, 32, 0, 0, 0])
        }),
        format_args!("{:02x?}", find(&tables, "SSDT")),
    );
    guest.destroy()?;

    let guest = acpi("acpi-sbsa").sbsa().create()?;
    let tables = self::tables(&mut Monitor::open(&guest.name)?)?;
    report.check_eq(
        "tables with vuart = \"sbsa_uart\"",
        &names(&tables),
        &STOCK.to_vec(),
    );
    Ok(())
}

/// Tables with their names.
type Tables = Vec<(String, Vec<u8>)>;

/// All tables that the pointer leads to, sorted by name.
fn tables(monitor: &mut Monitor) -> Result<Tables> {
    let pointer = read(monitor, TABLES, POINTER)?;
    if !pointer.starts_with(b"RSD PTR ") || sum(&pointer) != 0 {
        bail!("no pointer to ACPI tables: {pointer:02x?}");
    }
    let list = table(monitor, number(&pointer[24..32]))?;
    let mut tables = Vec::new();
    for entry in list[36..].chunks_exact(8) {
        let table = table(monitor, number(entry))?;
        let name = String::from_utf8_lossy(&table[..4]).into_owned();
        tables.push((name, table));
    }
    tables.sort();
    Ok(tables)
}

/// The table at that address.
fn table(monitor: &mut Monitor, at: u64) -> Result<Vec<u8>> {
    let length = number(&read(monitor, at + 4, 4)?);
    if !(HEADER..4096).contains(&length) {
        bail!("the table at {at:#x} has {length} bytes");
    }
    read(monitor, at, length)
}

/// Reads the guest's memory, by words of 32 bits.
fn read(monitor: &mut Monitor, at: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let words: Vec<u64> = (at..at + length).step_by(4).collect();
    for words in words.chunks(AT_ONCE) {
        for (at, answer) in words.iter().zip(monitor.read_words(words)?) {
            match answer {
                Answer::Value(word) => bytes.extend(u32::try_from(word)?.to_le_bytes()),
                abort @ Answer::Abort { .. } => bail!("reading {at:#x}: {}", abort.word()),
            }
        }
    }
    bytes.truncate(usize::try_from(length).context("a length")?);
    Ok(bytes)
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |n, &byte| n << 8 | u64::from(byte))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

fn names(tables: &Tables) -> Vec<&str> {
    tables.iter().map(|(name, _)| &**name).collect()
}

fn find<'a>(tables: &'a Tables, name: &str) -> Option<&'a [u8]> {
    let mut all = tables.iter();
    all.find_map(|(other, table)| (other == name).then_some(&**table))
}
