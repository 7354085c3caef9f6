// SPDX-License-Identifier: MIT
//! No other program can make the daemon wait. Each program that it communicates
//! with is stopped in turn, at the start, during requests, and for good: the
//! served guest is answered as fast as before, memory stays bounded, and
//! everything continues when the program does.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Serial as _, guest, status, wait_for};
use world::{Stopped, World};

/// Limit of the median answer time on an idle machine. On a busy one, a multiple
/// of the time without a stopped program is added.
const ANSWER_MAX: Duration = Duration::from_millis(100);
/// Limit of any answer time: a busy machine can delay a process for a second; a
/// daemon that waits for another program waits for ten.
const WORST_MAX: Duration = Duration::from_secs(5);
/// Number of timed answers.
const ANSWERS: usize = 20;
/// Limit of the daemon's memory growth.
const GROWTH_MAX: u64 = 24 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outsider {
    ServiceManager,
    Journald,
    StandardError,
    Xenstored,
    Disk,
    Viewer,
    PtyReader,
    MetricsClient,
    Toolstack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    AtStart,
    InTheMiddle,
    ForEver,
}

pub(crate) fn no_guest_waits_for_the_service_manager() {
    stop(Outsider::ServiceManager);
}

pub(crate) fn no_guest_waits_for_journald() {
    stop(Outsider::Journald);
}

pub(crate) fn no_guest_waits_for_the_reader_of_standard_error() {
    stop(Outsider::StandardError);
}

pub(crate) fn no_guest_waits_for_xenstored() {
    stop(Outsider::Xenstored);
}

pub(crate) fn no_guest_waits_for_the_disk_of_the_logs() {
    stop(Outsider::Disk);
}

pub(crate) fn no_guest_waits_for_a_viewer() {
    stop(Outsider::Viewer);
}

pub(crate) fn no_guest_waits_for_the_reader_of_a_pty() {
    stop(Outsider::PtyReader);
}

pub(crate) fn no_guest_waits_for_the_reader_of_the_counters() {
    stop(Outsider::MetricsClient);
}

pub(crate) fn no_guest_waits_for_the_toolstack() {
    stop(Outsider::Toolstack);
}

fn stop(outsider: Outsider) {
    for when in [When::AtStart, When::InTheMiddle, When::ForEver] {
        round(outsider, when);
    }
}

fn round(outsider: Outsider, when: When) {
    let mut world = World::start(outsider, when);
    let calm = world.answer();
    let before = world.resident();
    let host = Arc::clone(&world.host);
    if when == When::InTheMiddle {
        world.knock();
    }
    let stopped = Stopped::new(outsider, &host, &world);
    world.provoke();
    let slow = world.answer();
    println!("{outsider:?} {when:?}: half and all answers within {slow:?}, before {calm:?}");
    let limits = (ANSWER_MAX + 4 * calm.0, WORST_MAX + 4 * calm.1);
    assert!(
        slow.0 < limits.0 && slow.1 < limits.1,
        "{slow:?}, before {calm:?}"
    );
    let grown = world.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    if when == When::ForEver {
        let ends = Instant::now();
        // A process with traced threads cannot end.
        let stopped = Some(stopped).filter(|_| outsider != Outsider::Disk);
        world.daemon.stop();
        let took = ends.elapsed();
        assert!(took < PATIENCE / 2, "the end took {took:?}");
        drop(stopped);
        return;
    }
    drop(stopped);
    world.goes_on();
    world.daemon.stop();
}

/// Number of flooding guests.
const FLOODS: usize = 8;

/// Eight guests write short lines as fast as they can, all of which go to the
/// journal.
pub(crate) fn no_guest_waits_for_guests_that_flood_the_journal() {
    flood("");
}

/// The same with the maximal number of watch rules; one of them matches.
pub(crate) fn no_guest_waits_for_rules_that_watch_guests_that_flood() {
    let rules = (0..63).map(|number| {
        format!("[[watch]]\nname = \"{number}\"\nmatch = '(?:x|xx|y){{1,30}}(?:z|{number})$'\n")
    });
    flood(&format!(
        "{}[[watch]]\nname = \"x\"\nmatch = 'x'\n",
        rules.collect::<String>()
    ));
}

fn flood(rules: &str) {
    let mut world = World::start_with(Outsider::Journald, When::InTheMiddle, rules);
    let calm = world.answer();
    let before = world.resident();
    let over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..FLOODS)
        .map(|number| {
            let (_, mut pv, _uart) = guest(&world.host.machine, &format!("flood{number}"));
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Acquire) {
                    pv.send(&b"x\n".repeat(500));
                }
            })
        })
        .collect();
    let lost = || -> u64 {
        let consoles = status(&world.host.control()).consoles;
        consoles.iter().map(|row| row.journal_lost).sum()
    };
    wait_for("lines to be left out", || (lost() > 10_000).then_some(()));
    let written = world.journald.count();
    let slow = world.answer();
    println!(
        "half and all answers within, and the loop's time for each: {slow:?}, before {calm:?}"
    );
    // The loop's processor time is independent of the machine's load; the answer
    // time is not.
    assert!(slow.2 < ANSWER_MAX, "{slow:?}");
    assert!(slow.1 < WORST_MAX + 4 * calm.1, "{slow:?}");
    let grown = world.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    over.store(true, Ordering::Release);
    for flood in floods {
        flood.join().unwrap();
    }
    assert!(
        world.journald.count() > written,
        "what may go to the journal does"
    );
    world.goes_on();
    world.daemon.stop();
}
