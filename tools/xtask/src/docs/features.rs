// SPDX-License-Identifier: MIT
//! The table in README.md that compares this PL011 with others: the cases of the
//! conformance suite that each passes, from docs/evidence/conformance.md, and the cost
//! of an access, from docs/evidence/figures.json. PL011s that no command of this
//! repository runs have results by hand and facts from their sources (README's notes).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The page, and the marks around the table.
const PAGE: &str = "README.md";
const BEGIN: &str = "<!-- made by `cargo xtask docs --write` from docs/evidence/conformance.md and docs/evidence/figures.json -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// An unknown result of one of the others.
const UNKNOWN: &str = "–";

/// A group of cases, its subject, and the known results of OpenVMM and
/// cloud-hypervisor.
type Group = (&'static str, &'static str, [&'static str; 2]);

const GROUPS: [Group; 10] = [
    (
        "registers",
        "registers: reset values, what reads back",
        ["UARTRSR reads 0", UNKNOWN],
    ),
    (
        "widths",
        "accesses of each width, at any offset",
        ["offsets of no register are refused", UNKNOWN],
    ),
    ("identity", "identification as r1p5", [UNKNOWN; 2]),
    (
        "transmit",
        "output: FIFO, flags, interrupt",
        ["BUSY is never set", "BUSY, TXFF are never set"],
    ),
    (
        "receive",
        "input: FIFO, levels, timeout",
        [
            "timeout not cleared while there is data",
            "no levels, no timeout",
        ],
    ),
    (
        "interrupts",
        "the interrupt line as a level",
        [UNKNOWN, "edges only"],
    ),
    (
        "errors",
        "breaks, overruns and their flags",
        ["no break", UNKNOWN],
    ),
    (
        "loopback",
        "loopback of data, modem lines and breaks",
        ["data only", UNKNOWN],
    ),
    (
        "drivers",
        "what published drivers do, access by access",
        [UNKNOWN; 2],
    ),
    ("regressions", "defects that other PL011s had", [UNKNOWN; 2]),
];

/// The number of cases that each of these two passed, in an earlier suite.
const BY_HAND: [&str; 2] = ["103 of 140 ¹", "70 ¹"];

/// The targets of docs/evidence/conformance.md that are shown: ours in Xen, stock's,
/// QEMU's, AMD's.
const TARGETS: [&str; 4] = ["xen", "xen-stock", "qemu", "amd"];

/// The figures of docs/evidence/figures.json that are shown.
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

/// The kind of each PL011, in words.
const WORDS: [[&str; 7]; 2] = [
    [
        "where it runs",
        "in Xen",
        "in Xen",
        "in QEMU's process",
        "in Xen",
        "in the VMM's process",
        "in the VMM's process",
    ],
    [
        "saved state",
        "checked byte by byte when loaded; Xen on Arm saves none",
        "none",
        "yes",
        UNKNOWN,
        "yes, taken as it is",
        "yes",
    ],
];

/// A file that `cargo xtask bench --json` writes.
#[derive(Deserialize)]
struct Figures {
    stock: BTreeMap<String, f64>,
    ours: BTreeMap<String, f64>,
}

/// Writes the table into the page.
pub(crate) fn make(root: &Path) -> Result<()> {
    super::replace(&root.join(PAGE), BEGIN, &table(root)?, END)
}

fn table(root: &Path) -> Result<String> {
    let counts = count(&fs::read_to_string(
        root.join("docs/evidence/conformance.md"),
    )?)?;
    let figures: Figures = serde_json::from_str(&fs::read_to_string(
        root.join("docs/evidence/figures.json"),
    )?)?;
    let mut table = String::from(
        "| | vpl011 in Xen | stock Xen 4.17 | QEMU 7.2 (Debian 12) | AMD's Xen | OpenVMM | cloud-hypervisor |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let mut row = |about: &str, counts: &Counts, others: [&str; 2]| {
        let ours = counts.map(words);
        writeln!(
            table,
            "| {about} | {} | {} |",
            ours.join(" | "),
            others.join(" | ")
        )
    };
    for (group, about, others) in GROUPS {
        let of_group = counts.get(group);
        row(
            about,
            of_group.with_context(|| format!("no case of {group}"))?,
            others,
        )?;
    }
    let mut all = Counts::default();
    for of_group in counts.values() {
        for (all, group) in all.iter_mut().zip(of_group) {
            *all = (all.0 + group.0, all.1 + group.1);
        }
    }
    row("**all cases**", &all, BY_HAND)?;
    for (key, about) in FIGURES {
        let value = |found: &BTreeMap<String, f64>| {
            let value = found.get(key).with_context(|| format!("no figure {key}"))?;
            anyhow::Ok(format!("{value:.0}"))
        };
        let (ours, stock) = (value(&figures.ours)?, value(&figures.stock)?);
        let others = [UNKNOWN; 4].join(" | ");
        writeln!(table, "| {about} | {ours} | {stock} | {others} |")?;
    }
    for row in WORDS {
        writeln!(table, "| {} |", row.join(" | "))?;
    }
    Ok(table)
}

/// Cases passed and cases that could run, by target.
type Counts = [(u32, u32); TARGETS.len()];

fn words((passed, asked): (u32, u32)) -> String {
    match passed {
        _ if asked == 0 => "cannot be run".to_owned(),
        _ if passed == asked => format!("all {asked}"),
        _ => format!("{passed} of {asked}"),
    }
}

/// The cases of each group.
fn count(page: &str) -> Result<BTreeMap<String, Counts>> {
    let mut rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &str| -> Vec<String> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let heading = cells(
        rows.next()
            .context("docs/evidence/conformance.md has no table")?,
    );
    let columns: Vec<usize> = TARGETS
        .iter()
        .map(|target| {
            let column = heading.iter().position(|cell| cell == target);
            column.with_context(|| format!("docs/evidence/conformance.md has no column {target}"))
        })
        .collect::<Result<_>>()?;
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for row in rows {
        let cells = cells(row);
        ensure!(cells.len() == heading.len(), "an uneven row: {row}");
        let Some((group, _)) = cells[0].split_once("::") else {
            bail!("no case: {row}");
        };
        ensure!(
            GROUPS.iter().any(|(known, ..)| *known == group),
            "README's table has no group {group}"
        );
        let of_group = counts.entry(group.to_owned()).or_default();
        for ((passed, asked), &column) in of_group.iter_mut().zip(&columns) {
            *asked += u32::from(cells[column] != "n/a");
            *passed += u32::from(cells[column] == "pass");
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_readme_matches_the_results() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join(PAGE)).unwrap();
        assert!(
            crate::docs::with_part(&page, BEGIN, &table(&root).unwrap(), END).unwrap() == page,
            "`cargo xtask docs --write` makes it anew"
        );
    }

    #[test]
    fn cases_are_counted_by_group_and_target() {
        let page = "| case | rests on | model | qemu | xen-stock | xen | amd |\n\
                    |---|---|---|---|---|---|---|\n\
                    | errors::a | x | pass | n/a | FAIL | pass | FAIL |\n\
                    | errors::b | x | pass | FAIL | pass | pass | FAIL |\n";
        let counts = count(page).unwrap();
        assert_eq!(
            counts["errors"].map(words),
            ["all 2", "1 of 2", "0 of 1", "0 of 2"]
        );
    }
}
