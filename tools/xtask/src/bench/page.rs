// SPDX-License-Identifier: MIT
//! The tables and charts of docs/evidence/performance.md, made from
//! docs/evidence/figures.json, which `cargo xtask bench --json` writes.

use std::path::Path;

use anyhow::{Context, Result};

use super::figures::{FIGURES, Figure, Found, Unit, table};
use super::{plot, xen};
use crate::docs;

const PAGE: &str = "docs/evidence/performance.md";
const FROM: &str = "docs/evidence/figures.json";
const CHARTS: &str = "docs/images";
const END: &str = "<!-- end of what is made -->";

/// Whether a figure belongs to the hypervisor's table; all others are in the table of
/// the daemon and of Linux's throughput.
fn is_of_the_hypervisor(figure: &Figure) -> bool {
    let beside_others = ["crowd_total", "crowd_spread_ratio", "beside_a_poller"];
    [Unit::Instructions, Unit::Bytes].contains(&figure.unit) || beside_others.contains(&figure.key)
}

/// The tables: the mark before each, and its figures.
type Part = (&'static str, fn(&Figure) -> bool);

const PARTS: [Part; 2] = [
    (
        "<!-- made by `cargo xtask docs --write` from docs/evidence/figures.json: hypervisor -->",
        is_of_the_hypervisor,
    ),
    (
        "<!-- made by `cargo xtask docs --write` from docs/evidence/figures.json: daemon and Linux -->",
        |figure| !is_of_the_hypervisor(figure),
    ),
];

/// The measured figures.
fn measured(ours: &Found) -> Vec<&'static Figure> {
    let figures = FIGURES.iter();
    figures
        .filter(|figure| ours.contains_key(figure.key))
        .collect()
}

/// Writes tables and charts.
pub(crate) fn document(root: &Path) -> Result<()> {
    let (stock, ours) = xen::read(&root.join(FROM))?;
    let figures = measured(&ours);
    for (begin, has) in PARTS {
        let part: Vec<_> = figures.iter().copied().filter(|one| has(one)).collect();
        let made = format!("\n{}", table(&part, &stock, &ours));
        docs::replace(&root.join(PAGE), begin, &made, END).with_context(|| PAGE.to_owned())?;
    }
    plot::draw(&root.join(CHARTS), &figures, &stock, &ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn tables_and_charts_are_of_the_figures() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let copy = tempfile::tempdir().unwrap();
        let read = |root: &Path, name: &str| fs::read_to_string(root.join(name)).unwrap();
        let charts = ["instructions", "time", "counts"];
        let charts = charts.map(|name| format!("{CHARTS}/{name}.svg"));
        for name in [PAGE, FROM] {
            let folder = Path::new(name).parent().unwrap();
            fs::create_dir_all(copy.path().join(folder)).unwrap();
            fs::write(copy.path().join(name), read(&root, name)).unwrap();
        }
        document(copy.path()).unwrap();
        for name in charts.iter().map(String::as_str).chain([PAGE]) {
            assert!(
                read(&root, name) == read(copy.path(), name),
                "{name}: `cargo xtask docs --write` makes it anew"
            );
        }
    }
}
