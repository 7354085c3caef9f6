// SPDX-License-Identifier: MIT
//! `cargo xtask docs`: what people read. The pages as a book whose links lead
//! somewhere, what rustdoc makes of the sources, and the parts of the pages that
//! are made from other files.

mod book;
#[cfg(test)]
mod commands;
mod diagram;
pub(crate) mod features;

use std::process::Command;

use anyhow::Result;

use crate::debian::host;
use crate::debian::packages::Packages;
use crate::engine::dirs::cargo;
use crate::engine::step::Steps;

/// Build the book and the crates' documentation, and check every link
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Make those parts anew that come from sources and results, and no more
    #[arg(long)]
    write: bool,
}

impl Options {
    /// Builds and checks all of it, or writes what is made.
    pub(crate) fn run(&self, steps: &Steps) -> Result<()> {
        host::install(steps, "docs tools", &Packages::read().docs.packages)?;
        if self.write {
            return steps.always("docs parts", |cx| {
                diagram::make(cx)?;
                features::make(&cx.dirs.root)?;
                Ok(("diagram and table of features made".into(), ()))
            });
        }
        rustdoc(steps)?;
        examples(steps)?;
        let index = book::build(steps)?;
        println!("{}", index.display());
        Ok(())
    }
}

/// The crates' documentation, in which no link may be broken.
pub(crate) fn rustdoc(steps: &Steps) -> Result<()> {
    steps.always("rustdoc", |cx| {
        cx.run(
            Command::new(cargo())
                .args(["doc", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings")
                .current_dir(&cx.dirs.root),
        )?;
        Ok(("clean".into(), ()))
    })
}

/// The examples in it. `cargo xtask test` runs them with all other tests.
fn examples(steps: &Steps) -> Result<()> {
    steps.always("doc tests", |cx| {
        cx.run(
            Command::new(cargo())
                .args(["test", "--package", "vpl011", "--doc"])
                .current_dir(&cx.dirs.root),
        )?;
        Ok(("pass".into(), ()))
    })
}
