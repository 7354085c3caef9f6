// SPDX-License-Identifier: MIT
//! The tables of docs/evidence/reliability.md, made from recorded results.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

const PAGE: &str = "docs/evidence/reliability.md";
const FROM: &str = "docs/evidence/reliability.toml";
const END: &str = "<!-- end of what is made -->";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    table: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The name in the page's mark.
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn begin(&self) -> String {
        format!(
            "<!-- made by `cargo xtask docs --write` from {FROM}: {} -->",
            self.name
        )
    }

    fn text(&self) -> Result<String> {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut text = format!(
            "\n{}{}|\n",
            line(&self.columns),
            "|---".repeat(self.columns.len())
        );
        for row in &self.rows {
            ensure!(
                row.len() == self.columns.len(),
                "{FROM}: {}: {} cells in the row of {:?}",
                self.name,
                row.len(),
                row.first()
            );
            text += &line(row);
        }
        Ok(text)
    }
}

/// Writes the tables.
pub(super) fn make(root: &Path) -> Result<()> {
    let seen: Seen = toml::from_str(&fs::read_to_string(root.join(FROM))?).context(FROM)?;
    for table in &seen.table {
        super::replace(&root.join(PAGE), &table.begin(), &table.text()?, END).context(PAGE)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_match_their_data() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir_all(copy.path().join(PAGE).parent().unwrap()).unwrap();
        for name in [PAGE, FROM] {
            fs::copy(root.join(name), copy.path().join(name)).unwrap();
        }
        make(copy.path()).unwrap();
        let [page, made] =
            [&root, copy.path()].map(|at| fs::read_to_string(at.join(PAGE)).unwrap());
        assert!(page == made, "`cargo xtask docs --write` makes it anew");
        let marks = page.matches(&format!("from {FROM}: ")).count();
        let seen: Seen = toml::from_str(&fs::read_to_string(root.join(FROM)).unwrap()).unwrap();
        assert_eq!(marks, seen.table.len(), "a mark for each table");
    }
}
