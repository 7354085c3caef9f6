// SPDX-License-Identifier: MIT
//! Progress output: a spinner on a terminal, plain lines elsewhere, and one line for
//! each finished step.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a long step prints that it still runs, without a terminal.
const STILL: Duration = Duration::from_secs(20);

/// The progress of one step.
pub struct Progress {
    name: String,
    started: Instant,
    show: Show,
}

enum Show {
    Spinner(ProgressBar),
    /// The time of the last line.
    Plain(Cell<Instant>),
}

impl Progress {
    /// Begins to show that `name` runs.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let started = Instant::now();
        let show = if std::io::stderr().is_terminal() {
            Show::Spinner(spinner(name))
        } else {
            Show::Plain(started.into())
        };
        Self {
            name: name.to_owned(),
            started,
            show,
        }
    }

    /// Shows what the step is working on.
    pub fn at(&self, on: &str) {
        match &self.show {
            Show::Spinner(bar) => bar.set_message(on.to_owned()),
            Show::Plain(said) => {
                if said.get().elapsed() > STILL {
                    said.set(Instant::now());
                    // Standard output may be a report.
                    eprintln!(
                        "  ...  {}: {} s, {on}",
                        self.name,
                        self.started.elapsed().as_secs()
                    );
                }
            }
        }
    }

    /// Ends with a line with the result and the time.
    pub fn finish(self, said: &str) {
        let took = format!("{:.1} s", self.started.elapsed().as_secs_f64());
        let name = self.name.clone();
        // The spinner is removed before the line is printed.
        drop(self);
        println!("{name:<27} {said:<60} {took:>8}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Show::Spinner(bar) = &self.show {
            bar.finish_and_clear();
        }
    }
}

fn spinner(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix:<26} {elapsed} {wide_msg}")
        .expect("the template is well formed");
    let bar = ProgressBar::new_spinner()
        .with_style(style)
        .with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Prints the line of a step that needed no work.
pub(crate) fn unchanged(name: &str) {
    println!("{name:<27} unchanged");
}
