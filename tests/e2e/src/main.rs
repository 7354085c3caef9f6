// SPDX-License-Identifier: MIT
//! The end-to-end agent; see the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Runs the end-to-end scenarios inside an emulated Xen")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Lists the scenarios.
    List {
        /// As JSON, with the machine each one needs.
        #[arg(long)]
        json: bool,
    },
    /// Runs scenarios in dom0 and reports on standard output.
    Run {
        /// Names, as `list` shows them.
        #[arg(required = true)]
        names: Vec<String>,
        /// In their long form.
        #[arg(long)]
        soak: bool,
    },
    /// Does something inside a Linux guest.
    #[command(subcommand)]
    Probe(Probe),
    /// Runs one scenario for `run`, which starts this for each.
    #[command(hide = true)]
    Scenario {
        name: String,
        #[arg(long)]
        soak: bool,
    },
}

#[derive(Subcommand)]
enum Probe {
    /// Writes bytes that show a loss.
    Pattern {
        /// Which bytes.
        seed: u32,
        /// How many.
        len: usize,
    },
    /// Writes a pattern to a terminal and times it.
    Send {
        /// The terminal.
        tty: String,
        /// Which bytes.
        seed: u32,
        /// How many.
        len: usize,
    },
    /// Reads from a terminal and times it.
    Take {
        /// The terminal.
        tty: String,
        /// How many bytes.
        len: usize,
    },
    /// Gives bytes that come from a terminal back, one at a time.
    Echo {
        /// The terminal.
        tty: String,
        /// How many.
        count: usize,
    },
    /// Tries the loopback of the serial port on standard input.
    Loopback,
    /// Tries what a guest must not do.
    Intrude {
        /// The guest's own number.
        domid: u16,
        /// The port of its private ring.
        port: u32,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let pass = match Cli::parse().command {
        Task::List { json: true } => {
            println!("{}", serde_json::to_string_pretty(e2e::scenarios())?);
            true
        }
        Task::List { json: false } => {
            for scenario in e2e::scenarios() {
                println!("{:<24} {}", scenario.name, scenario.about);
            }
            true
        }
        Task::Run { names, soak } => e2e::runner::run(&names, soak)?,
        Task::Probe(Probe::Pattern { seed, len }) => {
            e2e::probe::pattern(seed, len)?;
            true
        }
        Task::Probe(Probe::Send { tty, seed, len }) => {
            e2e::probe::timing::send(&tty, seed, len)?;
            true
        }
        Task::Probe(Probe::Take { tty, len }) => {
            e2e::probe::timing::take(&tty, len)?;
            true
        }
        Task::Probe(Probe::Echo { tty, count }) => {
            e2e::probe::timing::echo(&tty, count)?;
            true
        }
        Task::Probe(Probe::Loopback) => {
            e2e::probe::loopback::tell()?;
            true
        }
        Task::Probe(Probe::Intrude { domid, port }) => {
            e2e::probe::intrude(domid, port)?;
            true
        }
        Task::Scenario { name, soak } => {
            e2e::runner::run_here(&name, soak)?;
            true
        }
    };
    Ok(if pass {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
