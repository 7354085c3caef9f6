// SPDX-License-Identifier: MIT
//! Measurements, for `cargo xtask bench`: costs in instructions, with either
//! hypervisor and either console daemon.
//!
//! They run in a machine whose clock counts instructions, one per nanosecond, so
//! that a figure depends only on the code that ran. Figures are in nanoseconds
//! unless their names have another unit, and are reported as data; the only check
//! is that the measured work was correct.

mod latency;
mod linux;
mod no_uart;
mod registers;
mod tty;

use anyhow::Result;

use crate::guest::Config;
use crate::{Machine, Scenario, daemon};

/// Seconds of the emulated machine's own time.
const LIMIT: u64 = 300;

/// In the order of a whole run.
pub(crate) const ALL: &[Scenario] = &[
    measure(
        "registers",
        "accesses of a bare-metal guest to each register",
        registers::accesses,
    ),
    measure(
        "polled",
        "64 KiB printed by a bare-metal guest that polls",
        registers::polled,
    ),
    measure(
        "crowd",
        "eight bare-metal guests printing at once",
        registers::crowd,
    ),
    measure(
        "poller",
        "a bare-metal guest that computes beside one that polls for input",
        registers::poller,
    ),
    measure(
        "no-uart",
        "hypercalls, an event and interrupts between two vCPUs of a guest without a UART",
        no_uart::no_uart,
    ),
    measure(
        "output",
        "64 KiB and 1 MiB written by Linux to ttyAMA0 and hvc0",
        linux::output,
    ),
    measure("input", "64 KiB pasted into Linux on ttyAMA0", linux::input),
    measure(
        "echo",
        "one byte to a Linux program and back",
        latency::echo,
    ),
    measure(
        "kernel-log",
        "Linux from its first instruction to a shell, all of its log on the UART",
        latency::boot,
    ),
];

const fn measure(
    name: &'static str,
    about: &'static str,
    run: fn(&mut crate::report::Report) -> Result<()>,
) -> Scenario {
    Scenario {
        name,
        about,
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run,
    }
}

/// A guest with the UART of the running hypervisor: the full one with ours, the
/// SBSA one with the stock one.
fn with_uart(config: Config) -> Config {
    if daemon::is_ours() {
        config.pl011()
    } else {
        config.sbsa()
    }
}
