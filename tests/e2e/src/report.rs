// SPDX-License-Identifier: MIT
//! The output of a run: one JSON object a line.
//!
//! A line for the build host begins with [`PREFIX`], because dom0's console carries
//! other output too. A scenario runs as a separate process and sends its parent
//! each check at once, so that the checks remain if the scenario dies or hangs
//! ([`Message`]).

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::complaints::Complaints;

/// Begins each line for the build host.
pub const PREFIX: &str = "@vpl011 ";

/// One line for the build host.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The agent runs, and dom0's tools answer.
    Ready,
    /// A scenario begins.
    Start {
        /// Its name.
        scenario: String,
    },
    /// A scenario has ended.
    Result(Outcome),
    /// All requested scenarios have ended.
    Done,
}

/// The result of a scenario.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: String,
    /// Whether there was a check and every check passed.
    pub pass: bool,
    /// Wall-clock duration.
    pub seconds: f64,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// Figures and transcripts, by name; their form depends on the scenario.
    pub data: Map<String, Value>,
}

/// One check.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Check {
    /// The condition in a few words; unique within the scenario.
    pub id: String,
    /// Whether the condition held.
    pub pass: bool,
    /// What was seen.
    pub detail: String,
}

/// One line from a scenario's process to the runner.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// A check was made.
    Check(Check),
    /// A figure or a transcript.
    Data(String, Value),
    /// The scenario ran to its end.
    End,
}

impl Event {
    /// The event as a line of dom0's console, without a line break.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{PREFIX}{}", to_json(self))
    }

    /// Parses a line of dom0's console; `None` for other output.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let at = line.find(PREFIX)?;
        serde_json::from_str(line[at + PREFIX.len()..].trim_end()).ok()
    }
}

impl Outcome {
    /// The result of a scenario from its checks.
    #[must_use]
    pub fn new(scenario: &str, seconds: f64, checks: Vec<Check>, data: Map<String, Value>) -> Self {
        let pass = !checks.is_empty() && checks.iter().all(|check| check.pass);
        Self {
            scenario: scenario.to_owned(),
            pass,
            seconds,
            checks,
            data,
        }
    }
}

impl Outcome {
    /// Adds a failed check.
    pub fn fail(&mut self, id: &str, detail: String) {
        self.pass = false;
        self.checks.push(Check {
            id: id.to_owned(),
            pass: false,
            detail,
        });
    }

    /// Fails the scenario for complaints of Xen or dom0 on the machine's console,
    /// except those that the scenario declared.
    pub fn look_at(&mut self, console: &mut Complaints) {
        let declared = crate::declared(&self.scenario).complaints;
        let mut found = console.found();
        found.retain(|line| !declared.iter().any(|part| line.contains(part)));
        if !found.is_empty() {
            self.fail("no complaint on the machine's console", found.join("\n"));
        }
    }
}

/// The output of a scenario.
#[derive(Debug)]
pub struct Report<W = io::Stdout> {
    to: W,
    soak: bool,
}

impl Report {
    /// Reports to the runner on standard output; with `soak`, scenarios run in
    /// their long form.
    #[must_use]
    pub fn to_stdout(soak: bool) -> Self {
        Self {
            to: io::stdout(),
            soak,
        }
    }
}

impl<W: Write> Report<W> {
    /// An amount of work: `short` in a whole run, `long` in a soak.
    #[must_use]
    pub fn amount<T>(&self, short: T, long: T) -> T {
        if self.soak { long } else { short }
    }

    /// Reports whether a condition held, and what was seen.
    pub fn check(&mut self, id: impl Display, pass: bool, detail: impl Display) {
        let check = Check {
            id: id.to_string(),
            pass,
            detail: detail.to_string(),
        };
        self.send(&Message::Check(check));
    }

    /// Checks that `seen` equals `wanted`.
    pub fn check_eq<T: PartialEq + std::fmt::Debug>(
        &mut self,
        id: impl Display,
        seen: &T,
        wanted: &T,
    ) {
        if seen == wanted {
            self.check(id, true, format_args!("{seen:?}"));
        } else {
            self.check(id, false, format_args!("{seen:?}, wanted {wanted:?}"));
        }
    }

    /// Checks that an action succeeds; returns its value.
    pub fn check_ok<T>(&mut self, id: impl Display, result: anyhow::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.check(id, true, "done");
                Some(value)
            }
            Err(error) => {
                self.check(id, false, format_args!("{error:#}"));
                None
            }
        }
    }

    /// Checks that an action succeeds on which all others depend; returns its value.
    pub(crate) fn must<T>(&mut self, id: &str, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let result = self.check_ok(id, result);
        result.with_context(|| format!("after `{id}` nothing is left to do"))
    }

    /// Adds a figure or a transcript.
    pub fn data(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.send(&Message::Data(name.to_owned(), value));
    }

    /// Reports that the scenario ran to its end.
    pub fn end(&mut self) {
        self.send(&Message::End);
    }

    /// A runner that ends kills this process too, so errors are ignored.
    fn send(&mut self, message: &Message) {
        let _ = writeln!(self.to, "{}", to_json(message));
        let _ = self.to.flush();
    }
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and maps with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pass: bool) -> Check {
        Check {
            id: "prompt".into(),
            pass,
            detail: "seen".into(),
        }
    }

    #[test]
    fn events_have_the_agreed_form() {
        let value = |event: &Event| serde_json::to_value(event).unwrap();
        assert_eq!(value(&Event::Ready), json!({"event": "ready"}));
        assert_eq!(
            value(&Event::Start {
                scenario: "demo".into()
            }),
            json!({"event": "start", "scenario": "demo"})
        );
        let outcome = Outcome::new("demo", 1.5, vec![check(true)], Map::new());
        assert_eq!(
            value(&Event::Result(outcome)),
            json!({"event": "result", "scenario": "demo", "pass": true, "seconds": 1.5,
                   "checks": [{"id": "prompt", "pass": true, "detail": "seen"}], "data": {}})
        );
        assert_eq!(value(&Event::Done), json!({"event": "done"}));
    }

    #[test]
    fn a_line_is_found_behind_other_output() {
        let line = format!("[    1.2] \u{1b}[0m{}\r", Event::Done.to_line());
        assert_eq!(Event::from_line(&line), Some(Event::Done));
        assert_eq!(Event::from_line("[    1.2] quiet"), None);
        assert_eq!(Event::from_line("@vpl011 {\"event\":\"resu"), None);
    }

    #[test]
    fn no_check_is_no_pass() {
        assert!(!Outcome::new("x", 0.0, vec![], Map::new()).pass);
        assert!(Outcome::new("x", 0.0, vec![check(true)], Map::new()).pass);
        assert!(!Outcome::new("x", 0.0, vec![check(true), check(false)], Map::new()).pass);
    }

    #[test]
    fn an_undeclared_complaint_on_a_console_fails_a_scenario() {
        let panic = b"[1.2] Kernel panic - not syncing: sysrq triggered crash\r\n";
        for (scenario, text, pass) in [
            ("demo", &b"(XEN) quiet\r\n"[..], true),
            ("demo", panic, false),
            ("standstill", panic, true),
            ("standstill", b"(XEN) Xen WARN at a.c:1\r\n", false),
        ] {
            let mut outcome = Outcome::new(scenario, 0.0, vec![check(true)], Map::new());
            let mut console = Complaints::default();
            console.take(text);
            outcome.look_at(&mut console);
            assert_eq!(outcome.pass, pass, "{scenario}");
        }
    }

    #[test]
    fn messages_survive_the_pipe() {
        let mut report = Report {
            to: Vec::new(),
            soak: false,
        };
        report.check_eq("sum", &1, &2);
        report.data("n", 3);
        report.end();
        let text = String::from_utf8(report.to).unwrap();
        let messages: Vec<Message> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(matches!(&messages[0], Message::Check(c) if !c.pass && c.detail == "1, wanted 2"));
        assert!(matches!(&messages[1], Message::Data(n, v) if n == "n" && v == 3));
        assert!(matches!(messages[2], Message::End));
    }
}
