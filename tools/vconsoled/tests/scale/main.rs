// SPDX-License-Identifier: MIT
//! Many guests at one daemon, which is a process of its own on the fake host: no
//! byte is lost or misplaced, and the cost is measured. As a test it is small and
//! checks what must hold everywhere; `cargo xtask bench backend` runs it in full
//! and prints all figures.
#![forbid(unsafe_code)]

mod guests;
mod measure;
mod process;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Makes this process the daemon, on the host at that socket.
const DAEMON: &str = "VCONSOLED_SCALE_DAEMON";
/// Measures with this many guests, and prints figures as JSON.
const GUESTS: &str = "VCONSOLED_SCALE_GUESTS";

fn main() -> ExitCode {
    if let Ok(dir) = std::env::var(DAEMON) {
        process::serve(dir.as_ref(), |_| ());
        return ExitCode::SUCCESS;
    }
    if let Ok(guests) = std::env::var(GUESTS) {
        let figures = measure::run(guests.parse().expect("a number of guests"), true);
        println!("{}", serde_json::to_string(&figures).expect("figures"));
        return ExitCode::SUCCESS;
    }
    let tests = vec![Trial::test(
        "two_hundred_guests_lose_nothing_and_cost_little",
        || {
            small();
            Ok(())
        },
    )];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// Limits that hold on any machine, however busy.
fn small() {
    let figures = measure::run(200, false);
    // A missing or misplaced byte has ended the run already.
    let consoles = figures["consoles"];
    assert!(figures["rss_mib"] <= 24.0, "{figures:#?}");
    assert!(
        figures["open_files"] <= process::FILES_A_CONSOLE * consoles + process::FILES,
        "{figures:#?}"
    );
    // Other events may wake it now and then, but not per console.
    assert!(figures["idle_wakeups_a_second"] < 5.0, "{figures:#?}");
}
