// SPDX-License-Identifier: MIT
//! Two hundred viewers in browsers, while one guest floods: no other guest waits
//! for them, and each viewer receives every byte or the number of missing ones. The
//! daemon and the service are separate processes. As a test it is short, and one
//! viewer stops reading until it has missed bytes; `cargo xtask bench backend` runs
//! it in full and prints the figures.
#![forbid(unsafe_code)]

mod browsers;
#[path = "../../../vconsoled/tests/scale/guests.rs"]
mod guests;
#[path = "../../../vconsoled/tests/scale/measure.rs"]
#[expect(
    dead_code,
    reason = "the measurement of the daemon alone uses all of it"
)]
mod measure;
#[path = "../../../vconsoled/tests/scale/process.rs"]
#[expect(
    dead_code,
    reason = "the measurement of the daemon alone uses all of it"
)]
mod process;

use std::fmt::Write as _;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use vconsoled::Config;

use browsers::{Crowd, TENANTS, Web};
use measure::Figures;
use process::Daemon;

/// Runs this process as the daemon, for the host in that folder.
const DAEMON: &str = "VCONSOLE_WEB_CROWD_DAEMON";
/// Measures with so many guests, and prints the figures as JSON.
const GUESTS: &str = "VCONSOLE_WEB_CROWD_GUESTS";

/// Viewers in browsers, and how many of them watch each console of the flooding
/// guest. A console has 24 places for tenants.
const VIEWERS: usize = 200;
const NOISY: usize = 20;

fn main() -> ExitCode {
    if let Ok(dir) = std::env::var(DAEMON) {
        process::serve(dir.as_ref(), |config| {
            config.sockets.control = Some(browsers::control(dir.as_ref()));
            config.access = Config::parse(&rules()).expect("rules").access;
        });
        return ExitCode::SUCCESS;
    }
    if let Ok(guests) = std::env::var(GUESTS) {
        let figures = run(guests.parse().expect("a number of guests"), 5, false);
        println!("{}", serde_json::to_string(&figures).expect("figures"));
        return ExitCode::SUCCESS;
    }
    let trial = Trial::test(
        "two_hundred_viewers_get_every_byte_or_the_number_they_lost",
        || {
            let figures = run(20, 1, true);
            assert!(figures["web_lost_mib"] > 0.0, "{figures:#?}");
            assert!(figures["web_rss_mib"] <= 64.0, "{figures:#?}");
            Ok(())
        },
    );
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

fn rules() -> String {
    let us = rustix::process::geteuid().as_raw();
    let mut rules = String::new();
    for tenant in TENANTS {
        write!(
            rules,
            "[[access]]\ntenants = ['{tenant}']\nby = ['{us}']\ndomains = ['*']\n\
             rights = ['log', 'type']\n"
        )
        .expect("memory");
    }
    rules
}

/// Measures; with `outruns`, one viewer misses bytes afterwards.
fn run(guests: usize, seconds: u64, outruns: bool) -> Figures {
    let (dir, machine, mut seats) = measure::host(guests);
    let (daemon, _) = Daemon::start(dir.path());
    measure::sit_down(&machine, &mut seats);
    let web = Web::start(dir.path());
    let crowd = Crowd::gather(&web, &seats, VIEWERS, NOISY);
    let beside = measure::one_floods(&daemon, &mut seats, seconds);
    if outruns {
        crowd.outrun(&mut seats);
    }
    let (seen, lost) = crowd.finish(&seats);
    let mut figures = Figures::new();
    let mib = f64::from(1 << 20);
    for (name, value) in [
        ("beside_web_median_us", beside.times[0]),
        ("beside_web_p99_us", beside.times[1]),
        ("beside_web_worst_us", beside.times[2]),
        ("beside_web_worst_cpu_us", beside.work[2]),
        ("web_seen_mib", seen / mib),
        ("web_lost_mib", lost / mib),
        ("web_rss_mib", web.peak()),
        (
            "web_viewers",
            f64::from(u32::try_from(VIEWERS).expect("few")),
        ),
    ] {
        figures.insert(name, value);
    }
    drop(web);
    daemon.stop();
    figures
}
