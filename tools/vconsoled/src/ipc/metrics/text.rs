// SPDX-License-Identifier: MIT
//! Counters in Prometheus' text format, version 0.0.4.

use std::fmt::{self, Display, Write as _};

use console_proto::Row;
use rustix::process::Resource;

use super::table::{METRICS, Metric};
use crate::confine::{Files, InForce};
use crate::service::diagnostics;

/// Metrics of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    /// Its confinement, if any.
    pub(crate) in_force: Option<InForce>,
    /// Denied requests.
    pub(crate) denied: Denied,
    /// Events lost from the audit: in the journal, in the file.
    pub(crate) audit_lost: (u64, u64),
    /// Events left out because a user caused too many.
    pub(crate) audit_limited: u64,
}

/// Numbers of denied requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Denied {
    /// Attach requests on the control socket.
    pub(crate) attach: u64,
    /// Connections to consoles' own sockets.
    pub(crate) socket: u64,
    /// Breaks.
    pub(crate) send_break: u64,
    /// Requests that need the right `control`.
    pub(crate) control: u64,
    /// Sessions closed when rules or names changed.
    pub(crate) session: u64,
}

/// A label's value with any text.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|one| match one {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            one => f.write_char(one),
        })
    }
}

/// The whole text.
pub(crate) fn write(consoles: &[Row], process: &Process) -> String {
    let mut text = Text(String::new());
    let connected = |one: &&Row| one.state == "connected";
    text.metric(&Metric(
        "vconsoled_console_up",
        "gauge",
        "Whether the console's ring is connected.",
    ));
    for console in consoles {
        let up = u8::from(connected(&console));
        text.console("vconsoled_console_up", console, "", up);
    }
    for (metric, values) in METRICS {
        text.metric(metric);
        for console in consoles.iter().filter(connected) {
            for (label, value) in *values {
                text.console(metric.0, console, label, value(console));
            }
        }
    }
    let matches = Metric(
        "vconsoled_console_matches_total",
        "counter",
        "Lines of output that a rule found.",
    );
    text.metric(&matches);
    for console in consoles {
        for (rule, count) in &console.matches {
            text.console(matches.0, console, &format!("rule=\"{rule}\""), count);
        }
    }
    text.process(process);
    text.0
}

struct Text(String);

impl Text {
    fn add(&mut self, line: fmt::Arguments) {
        self.0.write_fmt(line).expect("a String takes any text");
        self.0.push('\n');
    }

    fn metric(&mut self, Metric(name, kind, help): &Metric) {
        self.add(format_args!("# HELP {name} {help}"));
        self.add(format_args!("# TYPE {name} {kind}"));
    }

    fn console(&mut self, name: &str, console: &Row, label: &str, value: impl Display) {
        let comma = if label.is_empty() { "" } else { "," };
        let domain = Escaped(&console.name);
        let (domid, slot) = (console.domid, &console.console);
        self.add(format_args!(
            "{name}{{domid=\"{domid}\",domain=\"{domain}\",console=\"{slot}\"{comma}{label}}} {value}"
        ));
    }

    fn one(&mut self, metric: &Metric, value: impl Display) {
        self.metric(metric);
        self.add(format_args!("{} {value}", metric.0));
    }

    fn process(&mut self, process: &Process) {
        let confined = Metric(
            "vconsoled_confined",
            "gauge",
            "Confinement of the process: 1 complete, 0.5 partial, 0 none.",
        );
        if let Some(in_force) = &process.in_force {
            self.metric(&confined);
            let part = |what| match what {
                Files::Confined => "1",
                Files::Partly => "0.5",
                Files::Open | Files::Unconfined => "0",
            };
            let (files, sockets) = (part(in_force.files), part(in_force.sockets));
            let calls = u8::from(in_force.system_calls);
            let root = u8::from(in_force.uid != 0);
            let name = confined.0;
            self.add(format_args!("{name}{{what=\"files\"}} {files}"));
            self.add(format_args!("{name}{{what=\"sockets\"}} {sockets}"));
            self.add(format_args!("{name}{{what=\"system_calls\"}} {calls}"));
            self.add(format_args!("{name}{{what=\"root\"}} {root}"));
        }
        let denied = Metric(
            "vconsoled_denied_total",
            "counter",
            "Denied requests, and sessions ended because rights were lost.",
        );
        self.metric(&denied);
        let Denied {
            attach,
            socket,
            send_break,
            control,
            session,
        } = process.denied;
        for (request, count) in [
            ("attach", attach),
            ("socket", socket),
            ("break", send_break),
            ("control", control),
            ("session", session),
        ] {
            let name = denied.0;
            self.add(format_args!("{name}{{request=\"{request}\"}} {count}"));
        }
        let audit = Metric(
            "vconsoled_audit_lost_total",
            "counter",
            "Audit events that were lost.",
        );
        self.metric(&audit);
        let lost = process.audit_lost;
        for (from, count) in [("journal", lost.0), ("file", lost.1)] {
            self.add(format_args!("{}{{from=\"{from}\"}} {count}", audit.0));
        }
        let limited = Metric(
            "vconsoled_audit_limited_total",
            "counter",
            "Audit events left out because one user caused too many.",
        );
        self.one(&limited, process.audit_limited);
        let lost = Metric(
            "vconsoled_diagnostics_lost_total",
            "counter",
            "The daemon's own messages that were lost because they were not read.",
        );
        self.one(&lost, diagnostics::lost());
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            let metric = Metric("process_open_fds", "gauge", "Open descriptors.");
            // The descriptor that reads the folder is among them.
            self.one(&metric, open.count().saturating_sub(1));
        }
        if let Some(limit) = rustix::process::getrlimit(Resource::Nofile).current {
            let metric = Metric("process_max_fds", "gauge", "Limit of open descriptors.");
            self.one(&metric, limit);
        }
        if let Some(bytes) = resident() {
            let metric = Metric("process_resident_memory_bytes", "gauge", "Resident memory.");
            self.one(&metric, bytes);
        }
    }
}

/// Resident memory, in bytes.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console(name: &str) -> Row {
        Row {
            domid: 3,
            name: name.to_owned(),
            console: "vuart0".to_owned(),
            kind: "vuart-private".to_owned(),
            tty: "/dev/pts/0".to_owned(),
            log: String::new(),
            recording: String::new(),
            viewers: 2,
            from_guest: 10,
            to_guest: 20,
            doorbells_in: 30,
            doorbells_out: 40,
            resyncs: 50,
            dropped: 60,
            lost: 70,
            input_lost: 93,
            input_rate: 95,
            log_lost: 75,
            journal_lost: 77,
            out_waiting: 80,
            in_waiting: 90,
            matches: [("oops".to_owned(), 97)].into(),
            state: "connected".to_owned(),
            rights: Vec::new(),
        }
    }

    #[test]
    fn each_counter_has_a_line() {
        let text = write(&[console("web")], &Process::default());
        let labels = "domid=\"3\",domain=\"web\",console=\"vuart0\"";
        for (name, more, value) in [
            ("up", "", 1),
            ("bytes_total", ",direction=\"out\"", 10),
            ("bytes_total", ",direction=\"in\"", 20),
            ("doorbells_total", ",direction=\"received\"", 30),
            ("doorbells_total", ",direction=\"sent\"", 40),
            ("resyncs_total", "", 50),
            ("dropped_bytes_total", ",viewer=\"pty\"", 60),
            ("dropped_bytes_total", ",viewer=\"socket\"", 70),
            ("log_lost_bytes_total", "", 75),
            ("journal_lost_lines_total", "", 77),
            ("ring_bytes", ",direction=\"out\"", 80),
            ("ring_bytes", ",direction=\"in\"", 90),
            ("input_lost_bytes_total", "", 93),
            ("input_rate_bytes_per_second", "", 95),
            ("viewers", "", 2),
            ("matches_total", ",rule=\"oops\"", 97),
        ] {
            let line = format!("vconsoled_console_{name}{{{labels}{more}}} {value}\n");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
        assert!(text.contains("\nprocess_open_fds "));
    }

    #[test]
    fn a_failed_console_is_down_and_has_no_other_line() {
        let mut broken = console("");
        broken.matches.clear();
        broken.state = "port 99: no such port".to_owned();
        let text = write(&[broken], &Process::default());
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("domid")).collect();
        let labels = "domid=\"3\",domain=\"\",console=\"vuart0\"";
        assert_eq!(lines, [format!("vconsoled_console_up{{{labels}}} 0")]);
    }

    #[test]
    fn names_cannot_forge_lines() {
        let text = write(&[console("a\"} 1\nforged \\x")], &Process::default());
        assert!(text.contains("domain=\"a\\\"} 1\\nforged \\\\x\""));
        assert!(!text.lines().any(|line| line.starts_with("forged")));
    }

    #[test]
    fn lines_follow_the_format() {
        let in_force = Some(InForce {
            uid: 990,
            files: Files::Partly,
            sockets: Files::Confined,
            system_calls: true,
        });
        let text = write(
            &[console("web"), console("db")],
            &Process {
                in_force,
                ..Process::default()
            },
        );
        let mut known = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                known = rest.split(' ').next().unwrap();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, known);
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(sample.split('{').next().unwrap(), known);
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(text.contains("vconsoled_confined{what=\"files\"} 0.5\n"));
        assert!(text.contains("vconsoled_confined{what=\"root\"} 1\n"));
    }
}
