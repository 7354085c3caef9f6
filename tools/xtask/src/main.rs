// SPDX-License-Identifier: MIT
//! `cargo xtask`: the commands of this repository.
#![forbid(unsafe_code)]

mod bench;
mod check;
mod debian;
mod docs;
mod doctor;
mod edk2;
mod image;
mod libvirt;
mod package;
mod rig;
mod run;
mod xen;
mod xterm;

use std::process::ExitCode;

use ::pins::Origins;
use anyhow::Result;
use clap::Parser;
use steps::{Busy, Dirs, Steps, process};

use self::check::{audit, coverage, fuzz, hosts, miri, misra, mutants, published, table, test};
use self::debian::{pins, programs};
use self::run::{boot, conformance, demo, e2e, soak};

/// Build, run and test vpl011
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
struct Options {
    /// Do every step again, even if nothing changed
    #[arg(long, global = true)]
    force: bool,
    #[command(flatten)]
    origins: Origins,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Boot(boot::Boot),
    Conformance(conformance::Options),
    Demo(demo::Options),
    Test(test::Options),
    E2e(e2e::Options),
    Soak(soak::Options),
    Package(package::Options),
    Programs(programs::Options),
    Bench(bench::Options),
    Fuzz(fuzz::Options),
    Hosts(hosts::Options),
    Miri(miri::Options),
    Misra(misra::Options),
    Coverage(coverage::Options),
    Mutants(mutants::Options),
    Audit(audit::Options),
    Crate(published::Options),
    Docs(docs::Options),
    Doctor(doctor::Options),
    /// Check or update pinned files
    #[command(subcommand)]
    Pins(pins::Command),
    /// Fetch, build or change a Xen tree
    #[command(subcommand)]
    Xen(xen::Command),
    /// Change a libvirt tree, or try what was built of one
    #[command(subcommand)]
    Libvirt(libvirt::Command),
}

fn main() -> ExitCode {
    let options = Options::parse();
    // No process that we start may outlive us, however we end.
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

/// Runs the command. Returns whether it succeeded.
fn run(options: &Options) -> Result<bool> {
    process::end_children_on_signals(boot::restore)?;
    let dirs = Dirs::find()?;
    let steps = Steps {
        lock: dirs.root.join(pins::LOCK),
        dirs,
        force: options.force,
        origins: options.origins.clone(),
        busy: Busy::default(),
    };
    match &options.command {
        Command::Boot(boot) => boot.run(&steps).map(|()| true),
        Command::Conformance(options) => options.run(&steps),
        Command::Demo(options) => options.run(&steps),
        Command::Doctor(options) => options.run(&steps),
        Command::Pins(command) => command.run(&steps),
        Command::Test(options) => options.run(&steps),
        Command::E2e(options) => options.run(&steps),
        Command::Soak(options) => options.run(&steps),
        Command::Package(options) => options.run(&steps).map(|()| true),
        Command::Programs(programs::Options) => programs::run(&steps).map(|()| true),
        Command::Bench(options) => options.run(&steps),
        Command::Fuzz(options) => options.run(&steps),
        Command::Hosts(options) => options.run(&steps),
        Command::Miri(miri::Options) => miri::run(&steps).map(|()| true),
        Command::Misra(misra::Options) => misra::run(&steps).map(|()| true),
        Command::Coverage(coverage::Options) => coverage::run(&steps),
        Command::Mutants(options) => options.run(&steps),
        Command::Audit(audit::Options) => audit::run(&steps),
        Command::Crate(published::Options) => published::run(&steps).map(|()| true),
        Command::Docs(options) => options
            .run(&steps, &[table::document, bench::document])
            .map(|()| true),
        Command::Xen(command) => command.run(&steps).map(|()| true),
        Command::Libvirt(command) => command.run(&steps),
    }
}
