// SPDX-License-Identifier: MIT
//! The daemon's command line: that of xenconsoled, which it replaces.
#![forbid(unsafe_code)]

use std::net::TcpListener;
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use clap::Parser as _;
use rustix::process::Resource;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use vconsoled::confine::broker::{self, Broker};
use vconsoled::options::{self, Options};
use vconsoled::service::{daemonize, diagnostics};
use vconsoled::{Config, Handle, Server, confine};
use xen_io::Platform;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vconsoled: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    if options.broker {
        return broker::serve();
    }
    let config = options.config()?;
    if options.check_config {
        for key in &config.unknown {
            println!("there is no key {key:?}; it is ignored");
        }
        println!("the configuration can be used");
        Ok(())
    } else if options.interactive() {
        serve(options, config)
    } else {
        daemonize::spawn().context("starting in the background")
    }
}

fn serve(options: &Options, config: Config) -> anyhow::Result<()> {
    let detached = daemonize::begin()?;
    let mut diagnostics = diagnostics::start(options.verbose(), detached.is_some());
    raise_file_limit();
    let pid_file = match (options.pid_file(), &detached) {
        (Some(path), _) => Some(daemonize::PidFile::write(path)?),
        (None, Some(_)) => Some(daemonize::PidFile::write(
            options::DEFAULT_PID_FILE.as_ref(),
        )?),
        (None, None) => None,
    };
    let mut platform = Platform::open().context("this does not look like a Xen control domain")?;
    if config.process.sandbox || config.process.user.is_some() {
        let broker = Broker::start("--broker")?;
        platform.reopen_store = Box::new(move || broker.open_xenstore());
    }
    // A confined process cannot open it.
    let port = config.sockets.metrics_listen.map(TcpListener::bind);
    // No thread may run before this.
    let in_force = confine::give_up(&config)?;
    diagnostics.run().context("a thread for messages")?;
    let unknown = config.unknown.clone();
    let mut server = Server::new(platform, config)?.with_in_force(in_force.clone());
    match port {
        Some(Ok(port)) => server = server.with_metrics_port(port)?,
        Some(Err(error)) => tracing::error!("the port of the counters cannot be opened: {error}"),
        None => {}
    }
    for key in &unknown {
        tracing::warn!("the configuration has no key {key:?}; it is ignored");
    }
    follow_signals(server.handle(), options.clone())?;
    let ended = server.run(|| {
        if let Some(detached) = detached {
            detached.ready();
        }
        tracing::info!("serving; {in_force}");
    });
    drop(pid_file);
    ended.context("cannot go on")
}

/// Turns signals into requests to the server.
fn follow_signals(handle: Handle, options: Options) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGXFSZ]).context("signals")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => handle.reload(options.config().map_err(|error| format!("{error:#}"))),
                    // Exceeding the file size limit is an error of that write.
                    SIGXFSZ => {}
                    _ => handle.stop(),
                }
            }
        })?;
    Ok(())
}

/// A console takes up to four descriptors, so thousands of domains need the
/// highest limit.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit on open files stays as it is: {error}");
    }
}
