// SPDX-License-Identifier: MIT
//! `cargo xtask docs`: the pages as a book with checked links, rustdoc, and the
//! generated parts of pages.

mod book;
#[cfg(test)]
mod commands;
mod diagram;
pub(crate) mod features;
mod reliability;
mod render;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use steps::{Steps, cargo, write};

pub(crate) use self::words::spelling;
use crate::debian::host;
use crate::debian::packages::Packages;

/// Build the book and the crates' documentation, and check every link
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only update the parts of pages that are made from sources and results
    #[arg(long)]
    write: bool,
}

impl Options {
    /// Builds and checks all of it, or writes the generated parts: those of this
    /// module, and those of `others`.
    pub(crate) fn run(&self, steps: &Steps, others: &[fn(&Path) -> Result<()>]) -> Result<()> {
        host::install(steps, "docs tools", &Packages::read().docs.packages)?;
        if self.write {
            return steps.always("docs parts", |cx| {
                diagram::make(cx)?;
                features::make(&cx.dirs.root)?;
                reliability::make(&cx.dirs.root)?;
                for write in others {
                    write(&cx.dirs.root)?;
                }
                Ok("pictures, tables and lists made".into())
            });
        }
        rustdoc(steps)?;
        examples(steps)?;
        let index = book::build(steps)?;
        println!("{}", index.display());
        Ok(())
    }
}

/// Writes a generated part into its place in a page.
pub(crate) fn replace(page: &Path, begin: &str, part: &str, end: &str) -> Result<()> {
    let text = fs::read_to_string(page)?;
    write(page, with_part(&text, begin, part, end)?)
}

/// A page with the text between its marks replaced by this part.
fn with_part(page: &str, begin: &str, part: &str, end: &str) -> Result<String> {
    let (before, rest) = page
        .split_once(begin)
        .with_context(|| format!("the page has no line {begin}"))?;
    let (_, after) = rest
        .split_once(end)
        .with_context(|| format!("the page has no end of {begin}"))?;
    Ok(format!("{before}{begin}\n{part}\n{end}{after}"))
}

/// The crates' documentation, in which no link may be broken.
pub(crate) fn rustdoc(steps: &Steps) -> Result<()> {
    steps.always("rustdoc", |cx| {
        cx.run(
            cargo::locked("doc")
                .args(["--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings")
                .current_dir(&cx.dirs.root),
        )?;
        Ok("clean".into())
    })
}

/// The examples in the documentation. `cargo xtask test` runs them with all other
/// tests.
fn examples(steps: &Steps) -> Result<()> {
    steps.always("doc tests", |cx| {
        cx.run(
            cargo::locked("test")
                .args(["--package", "vpl011", "--doc"])
                .current_dir(&cx.dirs.root),
        )?;
        Ok("pass".into())
    })
}
