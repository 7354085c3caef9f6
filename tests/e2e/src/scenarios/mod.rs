// SPDX-License-Identifier: MIT
//! The scenarios, by subject.

mod boot;
mod demo;
mod transfer;

use crate::{Hypervisor, Machine, Scenario};

/// In the order in which a whole run takes them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "demo",
        about: "a guest with pl011=1: one command on each console, and what it cost",
        needs: Machine::DEFAULT,
        limit: 120,
        run: demo::demo,
    },
    Scenario {
        name: "boot",
        about: "a shell on ttyAMA0, by the full PL011 driver, and on hvc0",
        needs: Machine::DEFAULT,
        limit: 120,
        run: boot::boot,
    },
    Scenario {
        name: "transfer",
        about: "64 KiB each way on each console, compared by checksum",
        needs: Machine::DEFAULT,
        limit: 180,
        run: transfer::transfer,
    },
    Scenario {
        name: "gicv2",
        about: "the same boot on a machine with a GICv2",
        needs: Machine {
            gic: 2,
            ..Machine::DEFAULT
        },
        limit: 120,
        run: boot::boot,
    },
    Scenario {
        name: "sbsa",
        about: "vuart=\"sbsa_uart\" still gives the SBSA UART, served by the same daemon",
        needs: Machine::DEFAULT,
        limit: 120,
        run: boot::sbsa,
    },
    Scenario {
        name: "stock-hypervisor",
        about: "on Xen as it comes, sbsa_uart works and pl011=1 is refused in words",
        needs: Machine {
            hypervisor: Hypervisor::Stock,
            ..Machine::DEFAULT
        },
        limit: 120,
        run: boot::stock_hypervisor,
    },
];
