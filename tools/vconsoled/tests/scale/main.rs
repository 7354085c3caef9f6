// SPDX-License-Identifier: MIT
//! Many guests at one daemon, which is a process of its own on the fake host:
//! that no byte is lost or changes its place, and what it costs. As a test it
//! is small and looks at what must hold everywhere; `cargo xtask bench backend`
//! runs it in full and prints every figure.
#![forbid(unsafe_code)]

mod guests;
mod measure;
mod process;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Makes this process the daemon, on the host at that socket.
const DAEMON: &str = "VCONSOLED_SCALE_DAEMON";
/// Measures with so many guests, and prints figures as JSON.
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

/// What holds on any machine, however busy.
fn small() {
    let figures = measure::run(200, false);
    // Where a byte is missing or misplaced, the run has ended already.
    let consoles = figures["consoles"];
    assert!(figures["rss_mib"] <= 24.0, "{figures:#?}");
    assert!(
        figures["open_files"] <= process::FILES_A_CONSOLE * consoles + process::FILES,
        "{figures:#?}"
    );
    // Something else may wake it now and then; nothing may for each console.
    assert!(figures["idle_wakeups_a_second"] < 5.0, "{figures:#?}");
}
