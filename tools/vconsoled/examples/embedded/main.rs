// SPDX-License-Identifier: MIT
//! The whole path of a console in one process: the device on its private ring,
//! the daemon on a Xen host inside the process, a model of a guest with drivers
//! for both of its consoles, and a user of each. Prints one JSON object: checks
//! and measurements.
//!
//! With the arguments `serve FOLDER TENANT` it is a host of two guests to try: it
//! serves a control socket in the folder until its standard input ends.
#![forbid(unsafe_code)]

mod driver;
mod guest;
mod serve;
mod user;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use console_proto::Status;
use serde_json::{Value, json};
use vconsoled::config::Sockets;
use vconsoled::{Config, Handle, Server};
use xen_io::fake::Machine;

use driver::{Pl011Driver, PvDriver};
use guest::{ASK_INTERRUPTS, ASK_SYSTEM, System};
use user::Terminal;

/// Time limit for the daemon to serve its first console.
const START: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder, tenant] = words.as_slice()
        && word == "serve"
    {
        return serve::run(Path::new(folder), tenant).map(|()| ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let mut checks = Vec::new();
    let data = run(&mut |id, pass, detail| {
        checks.push(json!({ "id": id, "pass": pass, "detail": detail }));
    })?;
    let pass = checks.iter().all(|check| check["pass"] == true);
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({
            "scenario": "embedded",
            "pass": pass,
            "seconds": seconds,
            "checks": checks,
            "data": data,
        })
    );
    Ok(if pass {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A running daemon.
struct Daemon {
    handle: Handle,
    thread: JoinHandle<io::Result<()>>,
}

impl Daemon {
    fn start(machine: &Machine, control: &Path) -> Result<Self> {
        Self::with(machine, control, Config::default())
    }

    fn with(machine: &Machine, control: &Path, config: Config) -> Result<Self> {
        let config = Config {
            sockets: Sockets {
                control: Some(control.to_owned()),
                ..Sockets::default()
            },
            ..config
        };
        let server = Server::new(machine.platform()?, config)?;
        let handle = server.handle();
        let (tell, ready) = mpsc::channel();
        let thread = thread::spawn(move || {
            server.run(|| {
                // The receiver may have given up.
                let _ = tell.send(());
            })
        });
        ready
            .recv_timeout(START)
            .context("the daemon does not serve")?;
        Ok(Self { handle, thread })
    }

    fn stop(self) -> Result<()> {
        self.handle.stop();
        self.thread
            .join()
            .map_err(|_| anyhow!("the daemon fell over"))??;
        Ok(())
    }
}

fn run(check: &mut dyn FnMut(&str, bool, String)) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let control = dir.path().join("control.sock");
    let machine = Machine::new();
    let domid = machine.create_domain("guest")?;
    let system = System {
        interrupts: <_>::default(),
        off: <_>::default(),
    };
    let hvc = PvDriver::new(machine.add_pv_console(domid)?);
    let vuart = Pl011Driver::probe(
        machine.add_private_vuart(domid)?,
        Arc::clone(&system.interrupts),
    )?;
    let driver = vuart.report.clone();
    check(
        "the driver finds a PL011 rev3",
        driver.ends_with("PL011 rev3"),
        driver.clone(),
    );
    machine.introduce(domid);
    let daemon = Daemon::start(&machine, &control)?;

    let (on_vuart, on_hvc, greeting) = (system.clone(), system.clone(), driver.clone());
    let guest = [
        thread::spawn(move || on_vuart.shell(vuart, &greeting)),
        thread::spawn(move || on_hvc.shell(hvc, "hvc0: the PV console")),
    ];
    let answer = Terminal::open(&machine, domid, "vuart/0")?.command(ASK_SYSTEM)?;
    check(
        "ttyAMA0 answers",
        answer.contains("aarch64"),
        second_line(&answer),
    );
    let interrupts = Terminal::open(&machine, domid, "console")?.command(ASK_INTERRUPTS)?;
    let count = system.interrupts.load(Ordering::Relaxed);
    check(
        "the PL011 interrupted the guest",
        count > 0 && interrupts.contains("uart-pl011"),
        second_line(&interrupts),
    );
    let status = status(&control)?;

    system.off.store(true, Ordering::Relaxed);
    for shell in guest {
        shell.join().map_err(|_| anyhow!("the guest fell over"))?;
    }
    daemon.stop()?;
    let left = machine.mapped_pages(domid);
    check(
        "the daemon leaves nothing mapped",
        left == 0,
        format!("{left} pages"),
    );

    let mut data = figures(&status, check)?;
    data["transcripts"] = json!({ "vuart": answer, "pv": interrupts });
    data["guest_interrupts"] = count.into();
    data["driver"] = driver.into();
    data["served_by"] = format!("vconsoled, a thread of pid {}", status.pid).into();
    Ok(data)
}

/// The daemon's counters of both consoles.
fn figures(status: &Status, check: &mut dyn FnMut(&str, bool, String)) -> Result<Value> {
    let mut data = json!({});
    for (name, console) in [("vuart", "vuart0"), ("pv", "pv0")] {
        let found = status
            .consoles
            .iter()
            .find(|served| served.console == console);
        let served = found.with_context(|| format!("the daemon does not serve {console}"))?;
        check(
            &format!("bytes went both ways on {name}"),
            served.from_guest > 0 && served.to_guest > 0,
            format!(
                "{} from the guest, {} to it",
                served.from_guest, served.to_guest
            ),
        );
        if name == "vuart" {
            check(
                "the ring is private",
                served.kind == "vuart-private",
                served.kind.clone(),
            );
        }
        data["bytes"][name] =
            json!({ "from_guest": served.from_guest, "to_guest": served.to_guest });
        data["doorbells"][name] = json!({ "in": served.doorbells_in, "out": served.doorbells_out });
    }
    Ok(data)
}

fn status(control: &Path) -> Result<Status> {
    let mut stream = UnixStream::connect(control)?;
    stream.write_all(b"status\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn second_line(text: &str) -> String {
    text.lines().nth(1).unwrap_or_default().trim().to_owned()
}
