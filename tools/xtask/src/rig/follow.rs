// SPDX-License-Identifier: MIT
//! A machine in which the agent runs scenarios: a line for each, until all have run or
//! one has ended the machine.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::complaints::Complaints;
use e2e::report::{Check, Event, Outcome};
use steps::{Progress, end_of};

use super::evidence::{GOES_ON, StandsStill};
use super::machine::{Machine, Output};

/// Timeout from power-on to the agent's first message, on a busy machine with a small
/// dom0.
pub(crate) const BOOT: Duration = Duration::from_secs(180);

/// A scenario's time beyond its own limit: cleanup of dom0.
const SLACK: Duration = Duration::from_secs(60);

/// The agent's task in dom0.
pub(crate) struct Task<'a> {
    /// Scenarios or measurements, by name.
    pub(crate) names: &'a [&'a str],
    /// Whether they run in their long form.
    pub(crate) soak: bool,
    /// Timeout from power-on to the agent's first message.
    pub(crate) boot: Duration,
}

impl Task<'_> {
    /// The task on the kernel's command line, for dom0's init.
    pub(crate) fn words(&self) -> String {
        let soak = if self.soak { " soak=1" } else { "" };
        format!("e2e={}{soak}", self.names.join(","))
    }
}

/// Why a machine did not run its whole task.
enum Ended {
    Off,
    Still(String),
}

/// Prints a line for each scenario that runs in a machine, until the machine has run
/// them all or one of them has ended it. Returns at least one outcome.
pub(crate) fn follow(mut machine: Machine, log: &Path, label: &str, task: &Task) -> Vec<Outcome> {
    let mut complaints = String::new();
    let mut console = Complaints::default();
    let mut stall = Stall::default();
    let mut input = machine.take_input();
    let mut outcomes = Vec::new();
    let mut progress = Some(Progress::start(label));
    let mut deadline = Instant::now() + task.boot;
    let why = loop {
        let output = match machine.next(deadline) {
            Ok(Some(output)) => output,
            Ok(None) => break Ended::Off,
            Err(error) => break Ended::Still(error.to_string()),
        };
        match output {
            Output::Console(bytes) => {
                console.take(&bytes);
                if stall.seen_in(&bytes) {
                    break Ended::Still("dom0's kernel has lost its timer".into());
                }
            }
            Output::Complaint(line) => {
                complaints.push_str(&line);
                complaints.push('\n');
            }
            Output::Event(Event::Ready) => {
                if let Some(progress) = progress.take() {
                    progress.finish("dom0 is ready");
                }
            }
            Output::Event(Event::Start { scenario }) => {
                let limit = e2e::scenario(&scenario).map(|scenario| scenario.limit(task.soak));
                deadline = Instant::now() + limit.unwrap_or_default() + SLACK;
                progress = Some(Progress::start(&format!("e2e {scenario}")));
            }
            Output::Event(Event::Result(mut outcome)) => {
                outcome.look_at(&mut console);
                if let Some(progress) = progress.take() {
                    say(progress, &outcome);
                }
                outcomes.push(outcome);
            }
            Output::Event(Event::Done) => {
                // The console's output after the last result.
                if let Some(last) = outcomes.last_mut() {
                    let told = last.checks.len();
                    last.look_at(&mut console);
                    say_failed(&last.checks[told..]);
                }
                return outcomes;
            }
        }
    };
    if let Some(progress) = progress.take() {
        progress.finish("FAILED");
    }
    let (id, mut detail) = match (why, &mut input) {
        (Ended::Still(about), Some(input)) => (
            GOES_ON,
            StandsStill::of(&mut machine, input, log, &about).to_string(),
        ),
        _ => (
            "the machine runs",
            format!("the machine has ended; {}", end_of(log)),
        ),
    };
    detail += "\n";
    detail += &complaints;
    println!("    FAILED {detail}");
    if let Some(unfinished) = task.names.get(outcomes.len()) {
        let check = Check {
            id: id.into(),
            pass: false,
            detail,
        };
        outcomes.push(Outcome::new(
            unfinished,
            0.0,
            vec![check],
            serde_json::Map::new(),
        ));
    }
    outcomes
}

/// Finds the message of a stalled dom0 kernel in a console's output.
#[derive(Default)]
struct Stall {
    tail: Vec<u8>,
}

impl Stall {
    const SAID: &[u8] = b"rcu_sched kthread timer wakeup didn't happen";

    /// Whether the message is complete with these bytes.
    fn seen_in(&mut self, bytes: &[u8]) -> bool {
        self.tail.extend(bytes);
        let seen = self
            .tail
            .windows(Self::SAID.len())
            .any(|part| part == Self::SAID);
        let keep = self.tail.len().min(Self::SAID.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        seen
    }
}

/// Ends a scenario's line, and lists the failures.
pub(crate) fn say(progress: Progress, outcome: &Outcome) {
    progress.finish(&summary(outcome));
    say_failed(&outcome.checks);
}

fn say_failed(checks: &[Check]) {
    for check in checks.iter().filter(|check| !check.pass) {
        println!("    FAILED {}: {}", check.id, check.detail);
    }
}

/// A scenario's result in a few words.
pub(crate) fn summary(outcome: &Outcome) -> String {
    let passed = outcome.checks.iter().filter(|check| check.pass).count();
    if outcome.pass {
        format!("{passed} checks passed")
    } else {
        format!(
            "FAILED: {} of {} checks passed",
            passed,
            outcome.checks.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_seen_however_the_console_is_cut() {
        let said = b"[  448.7] rcu: rcu_sched kthread timer wakeup didn't happen for 5253 jiffies!";
        for cut in 0..said.len() {
            let mut stall = Stall::default();
            let first = stall.seen_in(&said[..cut]);
            assert!(first || stall.seen_in(&said[cut..]), "cut at {cut}");
        }
        assert!(!Stall::default().seen_in(b"rcu: rcu_sched kthread is well"));
    }
}
