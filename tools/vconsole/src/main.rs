// SPDX-License-Identifier: MIT
//! The client: joins a terminal, or two pipes, to a domain's console. Called
//! as `xenconsole` it takes that program's command line, which is how `xl
//! console` runs it.
#![forbid(unsafe_code)]

mod list;
mod lock;
mod options;
mod session;
mod target;
mod terminal;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use xen_io::xenstore::Client;

use options::{Command, Options, Xenconsole};
use target::Target;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called)
        .file_name()
        .unwrap_or(&called)
        .to_string_lossy()
        .into_owned();
    let result = if name == "xenconsole" {
        xenconsole()
    } else {
        vconsole()
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn xenconsole() -> anyhow::Result<()> {
    let options = Xenconsole::parse();
    let mut store = Client::open()?;
    let target = Target::of_xenconsole(&mut store, options.domid, options.kind, options.num)?;
    session::run(store, &target, &options.session)
}

fn vconsole() -> anyhow::Result<()> {
    match Options::parse().command {
        Command::List { json, control } => list::print(&control, json),
        Command::Attach { console, session } => {
            let mut store = Client::open()?;
            let target = Target::find(&mut store, &console)?;
            session::run(store, &target, &session)
        }
    }
}
