// SPDX-License-Identifier: MIT
//! The scenarios, by subject.

mod acpi;
mod boot;
mod breaks;
mod builds;
mod channel;
mod clients;
mod config;
mod conformance;
mod crates;
mod demo;
mod edk2;
mod faults;
mod input_rate;
mod installer;
mod kgdb;
mod life;
mod login;
mod params;
mod port;
mod private;
mod programs;
mod receivers;
mod restart;
mod serial;
mod systemd;
mod trace;
mod transfer;
mod u_boot;
mod uefi;
mod upkeep;
mod web;

use crate::{Dom0, Hypervisor, Machine, Scenario};

/// Seconds for a scenario of one or two guests, on a busy machine.
const LIMIT: u64 = 1200;

/// Scenarios with a long form, which a soak repeats.
pub(crate) const LONG: &[&str] = &[
    "destroy",
    "daemon-kills",
    "port-again",
    "scribble",
    "hammer",
];

/// Scenarios that end the daemon and leave another one.
pub(crate) const REPLACE_DAEMON: &[&str] = &[
    "conformance",
    "conformance-stock",
    "daemon-kill",
    "daemon-kills",
    "daemon-term",
    "debug-xen",
    "full-disk",
    "input-rate",
    "no-fast-trap",
    "port-again",
    "web",
];

/// Scenarios that a whole run leaves out: one that tests stock Xen's UART, one whose
/// dom0 has a service that takes minutes to build, and those whose guests are large or
/// take minutes to build.
pub(crate) const BY_NAME_ALONE: &[&str] =
    &["conformance-stock", "installer", "kgdb", "uefi", "web"];

/// Scenarios that make a console complain, and parts of the complaints.
pub(crate) const COMPLAIN: &[(&str, &[&str])] = &[
    ("conformance-stock", &["vpl011: unhandled"]),
    // By xentrace: the example policy forbids it to write to Xen's buffers.
    ("debug-xen", &["tcontext=system_u:system_r:domxen_t"]),
    // A mapping takes a page of Linux's balloon, which may plug in memory below its
    // RAM for it; this function warns of that.
    ("guest-root", &["vmemmap_populate"]),
    (
        "standstill",
        &["Kernel panic - not syncing: sysrq triggered crash"],
    ),
    // Linux 6.12, in topology_sysfs_init, of Xen's ACPI tables.
    ("uefi", &["at fs/sysfs/group.c"]),
];

/// In the order of a run.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "demo",
        about: "a guest with pl011=1: one command on each console, and what it cost",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: demo::demo,
    },
    Scenario {
        name: "boot",
        about: "a shell on ttyAMA0, by the full PL011 driver, and on hvc0",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: boot::boot,
    },
    Scenario {
        name: "earlycon",
        about: "earlycon and then the driver show every line of the kernel, from the first",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: boot::earlycon,
    },
    Scenario {
        name: "u-boot",
        about: "U-Boot prints its prompt on the PL011, answers version and shows memory",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: u_boot::u_boot,
    },
    Scenario {
        name: "acpi",
        about: "with acpi=1 the UART is in the guest's tables: an SPCR, and ARMH0011 in an SSDT",
        needs: Machine::DEFAULT,
        limit: 2 * LIMIT,
        run: acpi::acpi,
    },
    Scenario {
        name: "both-clients",
        about: "both clients open at once: echo on each, output on both together",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: transfer::both,
    },
    Scenario {
        name: "xl-console",
        about: "xl create -c, xl console with each option, and vconsole beside it",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: clients::xl_console,
    },
    Scenario {
        name: "programs",
        about: "socat, screen, conserver and a web terminal at once, beside vconsole",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: programs::programs,
    },
    Scenario {
        name: "transfer",
        about: "64 KiB each way on each console, compared by checksum",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: transfer::transfer,
    },
    Scenario {
        name: "paste",
        about: "64 KiB pasted into ttyAMA0, by the full driver and by the SBSA driver",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: transfer::paste,
    },
    Scenario {
        name: "login",
        about: "a login with a password on ttyAMA0, by the full driver and by the SBSA driver",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: login::login,
    },
    Scenario {
        name: "sysrq",
        about: "a break from dom0, then h on ttyAMA0: the kernel prints its SysRq help",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: breaks::sysrq,
    },
    Scenario {
        name: "crtscts",
        about: "stty crtscts on ttyAMA0 and back, 64 KiB each way with either",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: serial::crtscts,
    },
    Scenario {
        name: "loopback",
        about: "TIOCM_LOOP: bytes and modem lines return to the guest and are not sent to dom0",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: serial::looped,
    },
    Scenario {
        name: "throttle",
        about: "a guest that stops reading stops the sender, loses nothing; one that never reads delays no other",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: serial::throttle,
    },
    Scenario {
        name: "guest-params",
        about: "the guest's own get and set of hvm_param 39, 40 and 41 are refused",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: private::params,
    },
    Scenario {
        name: "guest-page",
        about: "the ring's page is out of the guest's reach, and within it on the stock path",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: private::page,
    },
    Scenario {
        name: "guest-port",
        about: "close and send on the private port are refused to the guest",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: private::port,
    },
    Scenario {
        name: "guest-neighbour",
        about: "parameters, page and port are out of another guest's reach too",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: private::neighbour,
    },
    Scenario {
        name: "guest-root",
        about: "the same attempts, and mapping the ring, by root in a Linux guest",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: private::linux,
    },
    Scenario {
        name: "reboot",
        about: "a guest that reboots keeps both consoles",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: life::reboot,
    },
    Scenario {
        name: "destroy",
        about: "guests destroyed while they write leave no domain and no page behind",
        needs: Machine::DEFAULT,
        limit: 2 * LIMIT,
        run: life::destroy,
    },
    Scenario {
        name: "daemon-term",
        about: "the daemon is stopped and started again: both consoles work, nothing is lost",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: restart::term,
    },
    Scenario {
        name: "daemon-kill",
        about: "the daemon is killed and started again: both consoles work, every byte is logged once",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: restart::kill,
    },
    Scenario {
        name: "daemon-kills",
        about: "the daemon is killed repeatedly while a guest prints and reads: every byte once",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: restart::kills,
    },
    Scenario {
        name: "port-again",
        about: "a backend closes its port and binds it again while bytes go both ways: none is lost",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: port::again,
    },
    Scenario {
        name: "pv-only",
        about: "a guest without pl011 has only the PV console",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: life::pv_only,
    },
    Scenario {
        name: "channel",
        about: "channels on a socket, by socat, and on a pty, 64 KiB each way, without a QEMU",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: channel::channel,
    },
    Scenario {
        name: "sbsa",
        about: "vuart=\"sbsa_uart\" still gives the SBSA UART, served by the same daemon",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: boot::sbsa,
    },
    Scenario {
        name: "two-guests",
        about: "two guests with a PL011 each, all four consoles open",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: life::two_guests,
    },
    Scenario {
        name: "scribble",
        about: "a backend that overwrites the ring's page affects no other guest; the console recovers",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: faults::scribble,
    },
    Scenario {
        name: "hammer",
        about: "every register, every width, any value, from two vCPUs, while others use consoles",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: faults::hammer,
    },
    Scenario {
        name: "slow-xenstore",
        about: "consoles continue while xenstored does not answer",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: faults::slow_xenstore,
    },
    Scenario {
        name: "full-disk",
        about: "dom0's disk is full: only what did not fit is missing, and only in the log",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: faults::full_disk,
    },
    Scenario {
        name: "standstill",
        about: "pause and unpause, output without a client, and a guest that crashes",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: faults::standstill,
    },
    Scenario {
        name: "two-vcpus",
        about: "two vCPUs write to one UART",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: life::two_vcpus,
    },
    Scenario {
        name: "hypervisor-log",
        about: "Xen's own messages are in hypervisor.log, each once and without a request",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: upkeep::hypervisor_log,
    },
    Scenario {
        name: "least-privilege",
        about: "the daemon is not root, has no capabilities, and still serves a new guest",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: upkeep::least_privilege,
    },
    Scenario {
        name: "bad-config",
        about: "configurations that xl refuses with a message, creating nothing",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: config::bad,
    },
    Scenario {
        name: "xl-config",
        about: "every spelling of pl011 and of channels, valid and invalid, through xl create -n",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: config::spellings,
    },
    Scenario {
        name: "bad-params",
        about: "wrong pages and ports are refused and change nothing, and right ones then work",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: params::params,
    },
    Scenario {
        name: "crate-guests",
        about: "guests on the crates arm-pl011-uart and arm_pl011: text delivered, typing echoed",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: crates::guests,
    },
    Scenario {
        name: "receivers",
        about: "64 KiB pasted into each of four drivers that drain and then clear, or have RTIM alone",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: receivers::receivers,
    },
    Scenario {
        name: "input-rate",
        about: "a guest with a buffer of 8 bytes loses most of a paste, and none of it at a rate",
        needs: Machine::DEFAULT,
        limit: LIMIT,
        run: input_rate::input_rate,
    },
    Scenario {
        name: "conformance",
        about: "every case of the conformance suite, run by a bare-metal guest",
        needs: Machine::DEFAULT,
        limit: LIMIT + conformance::WHOLE.as_secs(),
        run: conformance::ours,
    },
    Scenario {
        name: "debug-xen",
        about: "transfers, two vCPUs, a kill, a destruction, a trace; assertions on, FLASK enforcing",
        needs: Machine {
            hypervisor: Hypervisor::Debug,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: builds::debug,
    },
    Scenario {
        name: "new-vgic",
        about: "both consoles carry 64 KiB each way with NEW_VGIC=y",
        needs: Machine {
            gic: 2,
            hypervisor: Hypervisor::NewVgic,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: builds::new_vgic,
    },
    Scenario {
        name: "systemd",
        about: "the package under Debian's dpkg, systemd and journald: restarted, killed, upgraded",
        needs: Machine {
            dom0: Dom0::Systemd,
            ..Machine::DEFAULT
        },
        limit: 4 * LIMIT,
        run: systemd::systemd,
    },
    Scenario {
        name: "web",
        about: "a tenant's page: log in, type, continue over a reboot of the guest and a kill of the daemon",
        needs: Machine {
            dom0: Dom0::Web,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: web::web,
    },
    Scenario {
        name: "installer",
        about: "Debian 13's installer, unmodified: its first questions, by xl console and by vconsole",
        needs: Machine {
            dom0: Dom0::Installer,
            ..Machine::DEFAULT
        },
        limit: 2 * LIMIT,
        run: installer::installer,
    },
    Scenario {
        name: "edk2",
        about: "EDK2's menu and its shell on the PL011, by keys, with a tree and with ACPI",
        needs: Machine {
            dom0: Dom0::Efi,
            ..Machine::DEFAULT
        },
        limit: 2 * LIMIT,
        run: edk2::edk2,
    },
    Scenario {
        name: "uefi",
        about: "Debian 13 by EDK2 and GRUB from a disk, on the PL011, with a tree and with ACPI",
        needs: Machine {
            dom0: Dom0::Cloud,
            ..Machine::DEFAULT
        },
        limit: 3 * LIMIT,
        run: uefi::uefi,
    },
    Scenario {
        name: "kgdb",
        about: "gdb in dom0 on a guest's kernel over ttyAMA0: break in, step, continue, detach",
        needs: Machine {
            dom0: Dom0::Gdb,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: kgdb::kgdb,
    },
    Scenario {
        name: "gicv2",
        about: "the same boot on a machine with a GICv2",
        needs: Machine {
            gic: 2,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: boot::boot,
    },
    Scenario {
        name: "no-fast-trap",
        about: "with VPL011_FAST_TRAP off: 64 KiB each way, and every case of the conformance suite",
        needs: Machine {
            hypervisor: Hypervisor::NoFastTrap,
            ..Machine::DEFAULT
        },
        limit: 2 * LIMIT + conformance::WHOLE.as_secs(),
        run: builds::no_fast_trap,
    },
    Scenario {
        name: "options-off",
        about: "with both options off Xen is stock: sbsa_uart works, pl011=1 is refused",
        needs: Machine {
            hypervisor: Hypervisor::Off,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: builds::stock_hypervisor,
    },
    Scenario {
        name: "stock-hypervisor",
        about: "on stock Xen sbsa_uart works, its ring in the guest's reach, its port not; pl011=1 is refused",
        needs: Machine {
            hypervisor: Hypervisor::Stock,
            ..Machine::DEFAULT
        },
        limit: LIMIT,
        run: builds::stock_hypervisor,
    },
    Scenario {
        name: "conformance-stock",
        about: "the same cases on Xen's own UART, with any results",
        needs: Machine {
            hypervisor: Hypervisor::Stock,
            ..Machine::DEFAULT
        },
        limit: LIMIT + conformance::WHOLE.as_secs(),
        run: conformance::stock,
    },
];
