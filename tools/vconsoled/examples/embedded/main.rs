// SPDX-License-Identifier: MIT
//! The whole path of a console in one process: the device on its private
//! ring, the daemon on a Xen host inside the process, a model of a guest with
//! drivers for both of its consoles, and a user at each. Prints one JSON
//! object: what was checked and what it cost.
#![forbid(unsafe_code)]

mod driver;
mod guest;
mod user;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use vconsoled::{Config, ConsoleStatus, Server, Status};
use xen_io::fake::Machine;

use driver::{Pl011Driver, PvDriver};
use guest::{ASK_INTERRUPTS, ASK_SYSTEM, System};
use user::Terminal;

/// The daemon's longest way to its first console.
const START: Duration = Duration::from_secs(10);

fn main() -> Result<ExitCode> {
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

fn run(check: &mut dyn FnMut(&str, bool, String)) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("control.sock");
    let machine = Machine::new();
    let domid = machine.create_domain("guest")?;
    let system = System {
        interrupts: <_>::default(),
        off: <_>::default(),
    };
    let pv = PvDriver::new(machine.add_pv_console(domid)?);
    let uart = Pl011Driver::probe(
        machine.add_private_vuart(domid)?,
        std::sync::Arc::clone(&system.interrupts),
    )?;
    let driver = uart.report.clone();
    check(
        "the driver finds a PL011 rev3",
        driver.ends_with("PL011 rev3"),
        driver.clone(),
    );
    machine.introduce(domid);

    let config = Config {
        control: Some(socket.clone()),
        ..Config::default()
    };
    let server = Server::new(machine.platform()?, config)?;
    let daemon = server.handle();
    let (tell, ready) = mpsc::channel();
    let served = thread::spawn(move || server.run(|| drop(tell.send(()))));
    ready
        .recv_timeout(START)
        .context("the daemon does not serve")?;

    let guests = [
        thread::spawn({
            let (system, greeting) = (system.clone(), driver.clone());
            move || system.shell(uart, &greeting)
        }),
        thread::spawn({
            let system = system.clone();
            move || system.shell(pv, "hvc0: the PV console")
        }),
    ];
    let mut vuart = Terminal::open(&machine, domid, "vuart/0")?;
    let mut hvc = Terminal::open(&machine, domid, "console")?;
    let answer = vuart.command(ASK_SYSTEM)?;
    check(
        "ttyAMA0 answers",
        answer.contains("aarch64"),
        second_line(&answer),
    );
    let interrupts = hvc.command(ASK_INTERRUPTS)?;
    let count = system.interrupts.load(Ordering::Relaxed);
    check(
        "the PL011 interrupted the guest",
        count > 0 && interrupts.contains("uart-pl011"),
        second_line(&interrupts),
    );

    let status = status(&socket)?;
    let find = |name: &str| {
        let console = status
            .consoles
            .iter()
            .find(|console| console.console == name);
        console
            .cloned()
            .with_context(|| format!("the daemon does not serve {name}"))
    };
    let (vuart, hvc) = (find("vuart0")?, find("pv0")?);
    for (name, console) in [("vuart", &vuart), ("pv", &hvc)] {
        check(
            &format!("bytes went both ways on {name}"),
            console.from_guest > 0 && console.to_guest > 0,
            format!(
                "{} from the guest, {} to it",
                console.from_guest, console.to_guest
            ),
        );
    }
    check(
        "the ring is private",
        vuart.kind == "vuart-private",
        vuart.kind.clone(),
    );

    system.off.store(true, Ordering::Relaxed);
    for guest in guests {
        guest.join().map_err(|_| anyhow!("the guest fell over"))?;
    }
    daemon.stop();
    served
        .join()
        .map_err(|_| anyhow!("the daemon fell over"))??;
    let left = machine.mapped_pages(domid);
    check(
        "the daemon leaves nothing mapped",
        left == 0,
        format!("{left} pages"),
    );

    let bytes = |c: &ConsoleStatus| json!({ "from_guest": c.from_guest, "to_guest": c.to_guest });
    let bells = |c: &ConsoleStatus| json!({ "in": c.doorbells_in, "out": c.doorbells_out });
    Ok(json!({
        "transcripts": { "vuart": answer, "pv": interrupts },
        "bytes": { "vuart": bytes(&vuart), "pv": bytes(&hvc) },
        "doorbells": { "vuart": bells(&vuart), "pv": bells(&hvc) },
        "guest_interrupts": count,
        "driver": driver,
        "served_by": format!("vconsoled, a thread of pid {}", status.pid),
    }))
}

fn status(socket: &Path) -> Result<Status> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"status\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn second_line(text: &str) -> String {
    text.lines().nth(1).unwrap_or_default().trim().to_owned()
}
