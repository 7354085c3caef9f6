// SPDX-License-Identifier: MIT
//! Runs scenarios, each as a separate process: if one panics, aborts or hangs, its
//! result is a failure, and the next one starts clean.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Map;

use crate::complaints::{Grown, Logs};
use crate::daemon::{self, Daemon};
use crate::report::{Check, Event, Message, Outcome, Report};
use crate::{Scenario, command, declared, guest, scenario};

/// How long dom0's tools may take until they answer.
const START: Duration = Duration::from_secs(90);

/// Runs the named scenarios in order and reports each on standard output; returns
/// whether all passed. An unknown name is an error. A soak runs scenarios in their
/// long form.
pub fn run(names: &[String], soak: bool) -> Result<bool> {
    let chosen: Vec<&Scenario> = names
        .iter()
        .map(|name| scenario(name).with_context(|| format!("there is no scenario `{name}`")))
        .collect::<Result<_>>()?;
    if !command::poll(START, || guest::domids().is_ok()) {
        guest::xl(&["list"]).context("dom0 is not ready")?;
    }
    say(&Event::Ready);
    let mut pass = true;
    let mut logs = Logs::new(daemon::LOGS);
    for scenario in chosen {
        say(&Event::Start {
            scenario: scenario.name.to_owned(),
        });
        let outcome = run_apart(scenario, soak, &mut logs);
        pass &= outcome.pass;
        say(&Event::Result(outcome));
    }
    say(&Event::Done);
    Ok(pass)
}

/// The process of one scenario: runs it, and reports to its parent.
pub fn run_here(name: &str, soak: bool) -> Result<()> {
    let Some(scenario) = scenario(name) else {
        bail!("there is no scenario `{name}`")
    };
    let mut report = Report::to_stdout(soak);
    if let Err(error) = (scenario.run)(&mut report) {
        report.check("runs to its end", false, format_args!("{error:#}"));
    }
    report.end();
    Ok(())
}

/// Runs a scenario in a separate process and checks what it left. If something must
/// be cleaned up for the next one, this one fails.
fn run_apart(scenario: &Scenario, soak: bool, logs: &mut Logs) -> Outcome {
    let start = Instant::now();
    let mut checks = Vec::new();
    let mut data = Map::new();
    let limit = scenario.limit(soak);
    let failed = |id: &str, error: &anyhow::Error| Check {
        id: id.to_owned(),
        pass: false,
        detail: format!("{error:#}"),
    };
    let before = Daemon::running().ok();
    let run = follow(
        own_process(scenario.name, soak),
        start + limit,
        |message| match message {
            Message::Check(check) => checks.push(check),
            Message::Data(name, value) => drop(data.insert(name, value)),
            Message::End => {}
        },
    );
    if let Err(error) = run {
        checks.push(failed("runs to its end", &error));
    }
    let domains = leave_no_domain();
    let daemon = leave_daemon(before.as_ref(), scenario);
    // The output of guests that have ended is whole.
    let grown = match logs.grown() {
        // A dom0 without logs.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Grown::default()),
        other => other.context("reading the guests' logs"),
    };
    for (id, held) in [
        ("leaves no domain", domains),
        ("the daemon is unchanged", daemon),
        (
            "no complaint on any guest's console",
            quiet(&grown, scenario),
        ),
    ] {
        if let Err(error) = held {
            checks.push(failed(id, &error));
        }
    }
    if let (Some(first), Ok(grown)) = (checks.iter_mut().find(|check| !check.pass), grown) {
        first.detail += &grown.ends();
    }
    Outcome::new(scenario.name, start.elapsed().as_secs_f64(), checks, data)
}

/// Domains may still be dying, but none may have to be destroyed.
fn leave_no_domain() -> Result<()> {
    if guest::all_gone() {
        return Ok(());
    }
    let left = guest::domids()?;
    let cleared = guest::clear()?;
    bail!("domains {left:?} were left; cleared: {cleared}")
}

/// The daemon from before, or another one where the scenario declares it, answers;
/// otherwise one is started. A dom0 without a daemon needs none.
fn leave_daemon(before: Option<&Daemon>, scenario: &Scenario) -> Result<()> {
    let Some(before) = before else {
        return Ok(());
    };
    let now = daemon::status();
    let now = now.map_err(|error| match before.start_again() {
        Ok(_) => error.context("it did not answer, and another one was started"),
        Err(again) => error.context(format!(
            "it did not answer, and none can be started: {again:#}"
        )),
    })?;
    let is_replaced = now.pid != before.pid();
    if is_replaced && !declared(scenario.name).replaces_daemon {
        bail!("process {} was replaced by {}", before.pid(), now.pid);
    }
    Ok(())
}

/// Whether the guests' consoles had only the declared complaints.
fn quiet(grown: &Result<Grown>, scenario: &Scenario) -> Result<()> {
    let grown = grown.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let mut complaints = grown.complaints();
    let declared = declared(scenario.name).complaints;
    complaints.retain(|line| !declared.iter().any(|part| line.contains(part)));
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    Ok(())
}

/// The command that runs a scenario separately: this program again.
fn own_process(name: &str, soak: bool) -> Command {
    // The link works even if its file was replaced.
    let mut command = Command::new("/proc/self/exe");
    command.args(["scenario", name]);
    if soak {
        command.arg("--soak");
    }
    command
}

/// Starts the scenario's process and passes on its messages, until its end. All
/// processes of its process group end with it.
fn follow(mut process: Command, end: Instant, mut tell: impl FnMut(Message)) -> Result<()> {
    let mut child = process
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the scenario's process")?;
    let lines = BufReader::new(child.stdout.take().context("the scenario's output")?).lines();
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for message in lines
            .map_while(io::Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok())
        {
            if send.send(message).is_err() {
                return;
            }
        }
    });
    let ended = loop {
        match receive.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Message::End) => break Ok(()),
            Ok(message) => tell(message),
            Err(RecvTimeoutError::Timeout) => break Err(anyhow!("it took too long")),
            Err(RecvTimeoutError::Disconnected) => {
                break Err(anyhow!("its process ended early"));
            }
        }
    };
    // Its remaining clients and commands are in its process group.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()?;
    ended
}

/// One write per line, so that the kernel's output does not interrupt it.
fn say(event: &Event) {
    let line = format!("{}\n", event.to_line());
    let mut out = io::stdout().lock();
    // Without a reader the run continues.
    let _ = out.write_all(line.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows a shell; returns its messages, and how it ended.
    fn follow_shell(script: &str, limit: Duration) -> (Vec<String>, Result<()>) {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        let mut told = Vec::new();
        let ended = follow(shell, Instant::now() + limit, |message| {
            if let Message::Check(check) = message {
                told.push(check.id);
            }
        });
        (told, ended)
    }

    const LIMIT: Duration = Duration::from_secs(20);
    const CHECK: &str = r#"echo '{"check":{"id":"a","pass":true,"detail":""}}';"#;

    #[test]
    fn a_scenario_is_followed_to_its_end() {
        let (told, ended) = follow_shell(&format!("{CHECK} echo '\"end\"'"), LIMIT);
        assert_eq!(told, ["a"]);
        assert!(ended.is_ok());
    }

    #[test]
    fn the_results_of_a_scenario_that_crashes_are_kept() {
        let (told, ended) = follow_shell(&format!("{CHECK} kill -ABRT $$"), LIMIT);
        assert_eq!(told, ["a"]);
        assert!(ended.unwrap_err().to_string().contains("ended early"));
    }

    #[test]
    fn a_scenario_that_hangs_is_ended_with_its_processes() {
        let file = std::env::temp_dir().join(format!("e2e-runner-{}", std::process::id()));
        let script = format!("{CHECK} sleep 60 & echo $! > {}; wait", file.display());
        let start = Instant::now();
        let (told, ended) = follow_shell(&script, Duration::from_millis(500));
        assert_eq!(told, ["a"]);
        assert!(ended.unwrap_err().to_string().contains("too long"));
        assert!(start.elapsed() < LIMIT);
        let started = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let sleeps = || {
            std::fs::read_to_string(format!("/proc/{}/cmdline", started.trim()))
                .is_ok_and(|line| line.contains("sleep"))
        };
        assert!(command::poll(LIMIT, || !sleeps()));
    }
}
