// SPDX-License-Identifier: MIT
//! The table in README.md that puts this PL011 beside three others: how many
//! cases of the conformance suite each passes, by docs/conformance.md, and what
//! an access costs, by docs/figures.json. Of OpenVMM's, which runs on neither,
//! stands there what its source says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The page, and what stands around the table.
const PAGE: &str = "README.md";
const BEGIN: &str =
    "<!-- made by `cargo xtask docs --write` from docs/conformance.md and docs/figures.json -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// The groups of cases, what each is about, and what OpenVMM's source (as of
/// 80dc392, `vm/devices/serial/serial_pl011/src/lib.rs`) says of it.
const GROUPS: [(&str, &str, &str); 10] = [
    (
        "registers",
        "registers: reset values, what reads back",
        "UARTRSR reads 0",
    ),
    (
        "widths",
        "accesses of each width, at any offset",
        "offsets of no register are refused",
    ),
    ("identity", "identification as r1p5", ""),
    (
        "transmit",
        "output: FIFO, flags, interrupt",
        "BUSY is never set",
    ),
    (
        "receive",
        "input: FIFO, levels, timeout",
        "the timeout cannot be cleared while there is data",
    ),
    ("interrupts", "the interrupt line as a level", ""),
    ("errors", "breaks, overruns and their flags", "no break"),
    (
        "loopback",
        "loopback of data, modem lines and breaks",
        "data only",
    ),
    ("drivers", "what published drivers do, access by access", ""),
    ("regressions", "defects that other PL011s had", ""),
];

/// The targets of docs/conformance.md that are shown: ours in Xen, stock's,
/// QEMU's.
const TARGETS: [&str; 3] = ["xen", "xen-stock", "qemu"];

/// What is shown of docs/figures.json.
const FIGURES: [(&str, &str); 3] = [
    (
        "dr_write",
        "a character written, in instructions, the trap and all",
    ),
    ("fr_read", "a flag read, in instructions, the trap and all"),
    (
        "polled_byte",
        "64 KiB by polling, instructions a byte, dom0's too",
    ),
];

/// What the others are, in words.
const WORDS: [[&str; 5]; 2] = [
    [
        "where it runs",
        "in Xen",
        "in Xen",
        "in QEMU's process",
        "in the VMM's process",
    ],
    [
        "saved state",
        "checked byte by byte when loaded; Xen on Arm saves none",
        "none",
        "yes",
        "yes, taken as it is",
    ],
];

/// Such a file as `cargo xtask bench --json` writes.
#[derive(Deserialize)]
struct Figures {
    stock: BTreeMap<String, f64>,
    ours: BTreeMap<String, f64>,
}

/// Puts the table into the page.
pub(crate) fn make(root: &Path) -> Result<()> {
    super::replace(&root.join(PAGE), BEGIN, &table(root)?, END)
}

fn table(root: &Path) -> Result<String> {
    let passed = passed(&fs::read_to_string(root.join("docs/conformance.md"))?)?;
    let figures: Figures =
        serde_json::from_str(&fs::read_to_string(root.join("docs/figures.json"))?)?;
    let mut table = String::from(
        "| | vpl011 in Xen | stock Xen 4.17 | QEMU, Debian 12's | OpenVMM |\n\
         |---|---|---|---|---|\n",
    );
    for (group, about, openvmm) in GROUPS {
        let cells = passed
            .get(group)
            .with_context(|| format!("no case of {group}"))?;
        let openvmm = if openvmm.is_empty() {
            "not measured"
        } else {
            openvmm
        };
        writeln!(table, "| {about} | {} | {openvmm} |", cells.join(" | "))?;
    }
    for (key, about) in FIGURES {
        let value = |found: &BTreeMap<String, f64>| {
            let value = found.get(key).with_context(|| format!("no figure {key}"))?;
            anyhow::Ok(format!("{value:.0}"))
        };
        let (ours, stock) = (value(&figures.ours)?, value(&figures.stock)?);
        writeln!(
            table,
            "| {about} | {ours} | {stock} | not measured | not measured |"
        )?;
    }
    for row in WORDS {
        writeln!(table, "| {} |", row.join(" | "))?;
    }
    Ok(table)
}

/// How many cases of each group each target passes, of those that it can be
/// asked.
fn passed(page: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let mut rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &str| -> Vec<String> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let heading = cells(rows.next().context("docs/conformance.md has no table")?);
    let columns: Vec<usize> = TARGETS
        .iter()
        .map(|target| {
            let column = heading.iter().position(|cell| cell == target);
            column.with_context(|| format!("docs/conformance.md has no column {target}"))
        })
        .collect::<Result<_>>()?;
    let mut counts: BTreeMap<String, [(u32, u32); TARGETS.len()]> = BTreeMap::new();
    for row in rows {
        let cells = cells(row);
        ensure!(cells.len() == heading.len(), "an uneven row: {row}");
        let Some((group, _)) = cells[0].split_once("::") else {
            bail!("no case: {row}");
        };
        ensure!(
            GROUPS.iter().any(|(known, ..)| *known == group),
            "README's table knows no group {group}"
        );
        let of_group = counts.entry(group.to_owned()).or_default();
        for ((passed, asked), &column) in of_group.iter_mut().zip(&columns) {
            *asked += u32::from(cells[column] != "n/a");
            *passed += u32::from(cells[column] == "pass");
        }
    }
    let words = |counts: [(u32, u32); TARGETS.len()]| {
        let words = |(passed, asked)| match passed {
            _ if asked == 0 => "cannot be asked".to_owned(),
            _ if passed == asked => format!("all {asked}"),
            _ => format!("{passed} of {asked}"),
        };
        counts.map(words).to_vec()
    };
    let all = counts.into_iter();
    Ok(all.map(|(group, counts)| (group, words(counts))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_readme_is_what_the_results_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join(PAGE)).unwrap();
        assert!(
            crate::docs::with_part(&page, BEGIN, &table(&root).unwrap(), END).unwrap() == page,
            "`cargo xtask docs --write` makes it anew"
        );
    }

    #[test]
    fn cases_are_counted_by_group_and_target() {
        let page = "| case | rests on | model | qemu | xen-stock | xen |\n|---|---|---|---|---|---|\n\
                    | errors::a | x | pass | n/a | FAIL | pass |\n\
                    | errors::b | x | pass | FAIL | pass | pass |\n";
        let passed = passed(page).unwrap();
        assert_eq!(passed["errors"], ["all 2", "1 of 2", "0 of 1"]);
    }
}
