// SPDX-License-Identifier: MIT
//! The client: connects a terminal, or two pipes, to a domain's console. As
//! `xenconsole` it accepts that program's command line, which is how `xl console`
//! runs it. As `vconsole-login` it is a login shell.
#![forbid(unsafe_code)]

mod attach;
mod audit;
mod choose;
mod daemon;
mod exit;
mod list;
mod log;
mod login;
mod options;
mod script;
mod table;
mod terminal;
mod wait;
mod who;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use xen_io::xenstore::Client;

use attach::target::{self, Target};
use attach::{End, pty, socket};
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
            let text = format!("{error:#}");
            if !text.is_empty() {
                // Standard error may be closed.
                let _gone = writeln!(std::io::stderr(), "{name}: {text}");
            }
            ExitCode::from(exit::code(&error))
        }
    }
}

fn xenconsole() -> anyhow::Result<()> {
    let options = Xenconsole::parse();
    let mut store = Client::open()?;
    let target = Target::of_xenconsole(&mut store, options.domid, options.kind, options.num)?;
    // The end of a domain is not a failure for xl.
    pty::run(store, &target, &options.session, pty::Viewing::default()).map(drop)
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
        Command::Who { json, daemon } => who::print(&Daemon::at(&daemon.control), json),
        Command::Message {
            to,
            all,
            text,
            daemon,
        } => {
            let daemon = Daemon::at(&daemon.control);
            if all {
                let words: Vec<String> = std::iter::once(to).chain(text).collect();
                who::message(&daemon, None, &words.join(" "))
            } else {
                who::message(&daemon, Some(&to), &text.join(" "))
            }
        }
        Command::Attach {
            console,
            wait,
            viewing,
            daemon,
        } => {
            let daemon = Daemon::at(&daemon.control);
            match console.as_deref().filter(|_| wait) {
                Some(name) => wait::follow(&daemon, name, |choice| {
                    socket::run(daemon.clone(), choice, &viewing)
                }),
                None => attach(&daemon, console.as_deref(), &viewing)?.into_result(),
            }
        }
        Command::Send {
            console,
            sending,
            daemon,
        } => script::send(&Daemon::at(&daemon.control), &console, &sending),
        Command::Expect {
            console,
            expecting,
            daemon,
        } => script::expect(&Daemon::at(&daemon.control), &console, &expecting),
        Command::Log {
            console,
            printing,
            daemon,
        } => log::print(&Daemon::at(&daemon.control), console.as_deref(), &printing),
        Command::Replay {
            recording,
            playing,
            daemon,
        } => log::replay::play(&Daemon::at(&daemon.control), &recording, &playing),
        Command::Login { console, daemon } => {
            login::run(&Daemon::at(&daemon.control), console.as_deref())
        }
        Command::Audit { files, contains } => audit::check(&files, contains.as_deref()),
        Command::Break { console, daemon } => {
            let daemon = Daemon::at(&daemon.control);
            let status = daemon.status()?;
            let choice = choose::among(&status, |rows| choose::for_break(rows, &console))?;
            tell(choice.ambiguity(&status.consoles, &console));
            daemon.send_break(choice.domid, &choice.console)
        }
    }
}

fn attach(daemon: &Daemon, console: Option<&str>, viewing: &Viewing) -> anyhow::Result<End> {
    // Consoles of another daemon, or of a device model, have only a pty.
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

/// Prints a remark that is not an error.
fn tell(what: Option<String>) {
    if let Some(what) = what {
        // Standard error may be closed.
        let _gone = writeln!(std::io::stderr(), "vconsole: {what}");
    }
}
