// SPDX-License-Identifier: MIT
//! The client: joins a terminal, or two pipes, to a domain's console. Called
//! as `xenconsole` it takes that program's command line, which is how `xl
//! console` runs it, and as `vconsole-login` it is a login shell.
#![forbid(unsafe_code)]

mod attach;
mod choose;
mod daemon;
mod list;
mod log;
mod login;
mod options;
mod terminal;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use xen_io::xenstore::Client;

use attach::target::{self, Target};
use attach::{pty, socket};
use daemon::Daemon;
use options::{Command, LoginShell, Options, Viewing, Xenconsole};

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called)
        .file_name()
        .unwrap_or(&called)
        .to_string_lossy()
        .into_owned();
    // A login shell's name begins with a dash.
    let result = match name.strip_prefix('-').unwrap_or(&name) {
        "xenconsole" => xenconsole(),
        "vconsole-login" => login::shell(&LoginShell::parse()),
        _ => vconsole(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be what has gone.
            let _gone = writeln!(std::io::stderr(), "{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn xenconsole() -> anyhow::Result<()> {
    let options = Xenconsole::parse();
    let mut store = Client::open()?;
    let target = Target::of_xenconsole(&mut store, options.domid, options.kind, options.num)?;
    pty::run(store, &target, &options.session, pty::Viewing::default())
}

fn vconsole() -> anyhow::Result<()> {
    match Options::parse().command {
        Command::List {
            json,
            watch,
            daemon,
        } => {
            let daemon = Daemon::at(&daemon.control);
            if watch {
                list::watch(&daemon, json)
            } else {
                list::print(&daemon, json)
            }
        }
        Command::Attach {
            console,
            viewing,
            daemon,
        } => attach(&Daemon::at(&daemon.control), console.as_deref(), &viewing),
        Command::Log {
            console,
            printing,
            daemon,
        } => log::print(&Daemon::at(&daemon.control), console.as_deref(), &printing),
        Command::Login { console, daemon } => {
            login::run(&Daemon::at(&daemon.control), console.as_deref())
        }
        Command::Break { console, daemon } => {
            let daemon = Daemon::at(&daemon.control);
            let status = daemon.status()?;
            let choice = choose::among(&status, |rows| choose::for_break(rows, &console))?;
            tell(choice.ambiguity(&status.consoles, &console));
            daemon.send_break(choice.domid, &choice.console)
        }
    }
}

fn attach(daemon: &Daemon, console: Option<&str>, viewing: &Viewing) -> anyhow::Result<()> {
    // Another daemon's consoles, and those of a device model, have a pty only.
    let by_pty = console.filter(|name| !daemon.is_known() || target::is_serial(name));
    if let Some(name) = by_pty {
        let mut store = Client::open()?;
        let target = Target::find(&mut store, name)?;
        let manner = pty::Viewing {
            read_only: viewing.read_only,
            filter: viewing.filter,
        };
        return pty::run(store, &target, &viewing.session, manner);
    }
    let status = daemon.status()?;
    let choice = choose::among(&status, |rows| match console {
        Some(name) => choose::named(rows, name),
        None => choose::any(rows, rustix::termios::isatty(rustix::stdio::stdin())),
    })?;
    tell(console.and_then(|name| choice.ambiguity(&status.consoles, name)));
    socket::run(daemon.clone(), &choice, viewing)
}

/// Something that the user is to know, and that is no error.
fn tell(what: Option<String>) {
    if let Some(what) = what {
        // Standard error may be what has gone.
        let _gone = writeln!(std::io::stderr(), "vconsole: {what}");
    }
}
