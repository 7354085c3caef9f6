// SPDX-License-Identifier: MIT
//! `cargo xtask`: the one front door for people.
#![forbid(unsafe_code)]

mod apt;
mod bench;
mod boot;
mod checks;
mod conformance;
mod demo;
mod dirs;
mod docs;
mod doctor;
mod domu;
mod fuzz;
mod host;
mod image;
mod machine;
mod outside;
mod package;
mod packages;
mod process;
mod programs;
mod progress;
mod scenarios;
mod soak;
mod step;
mod test;
mod xen;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use self::dirs::Dirs;
use self::step::Steps;

/// Build, run and test vpl011
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
struct Options {
    /// Do every step again, even if nothing changed
    #[arg(long, global = true)]
    force: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Boot(boot::Boot),
    Conformance(conformance::Options),
    Demo(demo::Options),
    Test(test::Options),
    E2e(scenarios::Options),
    Soak(soak::Options),
    Package(package::Options),
    Programs(programs::Options),
    Bench(bench::Options),
    Fuzz(fuzz::Options),
    Miri(checks::miri::Options),
    Coverage(checks::coverage::Options),
    Mutants(checks::mutants::Options),
    Audit(checks::audit::Options),
    Crate(checks::published::Options),
    Docs(docs::Options),
    Doctor(doctor::Options),
    /// Fetch, build or change a Xen tree
    #[command(subcommand)]
    Xen(xen::Command),
}

fn main() -> ExitCode {
    let options = Options::parse();
    // Nothing we started may outlive us, however we end.
    let family = process::Family;
    let result = run(&options);
    drop(family);
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that was asked for holds.
fn run(options: &Options) -> Result<bool> {
    process::end_children_on_signals(boot::restore)?;
    let steps = Steps {
        dirs: Dirs::find()?,
        force: options.force,
    };
    match &options.command {
        Command::Boot(boot) => boot.run(&steps).map(|()| true),
        Command::Conformance(options) => options.run(&steps),
        Command::Demo(options) => options.run(&steps),
        Command::Doctor(options) => options.run(&steps),
        Command::Test(options) => options.run(&steps),
        Command::E2e(options) => options.run(&steps),
        Command::Soak(options) => options.run(&steps),
        Command::Package(package::Options) => package::run(&steps).map(|()| true),
        Command::Programs(programs::Options) => programs::run(&steps).map(|()| true),
        Command::Bench(options) => options.run(&steps),
        Command::Fuzz(options) => options.run(&steps),
        Command::Miri(checks::miri::Options) => checks::miri::run(&steps).map(|()| true),
        Command::Coverage(checks::coverage::Options) => checks::coverage::run(&steps),
        Command::Mutants(options) => options.run(&steps),
        Command::Audit(checks::audit::Options) => checks::audit::run(&steps),
        Command::Crate(checks::published::Options) => checks::published::run(&steps).map(|()| true),
        Command::Docs(options) => options.run(&steps).map(|()| true),
        Command::Xen(command) => command.run(&steps).map(|()| true),
    }
}
