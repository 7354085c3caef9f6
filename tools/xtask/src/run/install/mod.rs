// SPDX-License-Identifier: MIT
//! Scenarios with a Debian 13 or 12 on a disk. In all but one it is dom0's, which starts
//! with Debian's own Xen and gets our packages by apt. They make a system of Debian's
//! packages, so they are run by name alone.

mod agent;
mod common;
mod daemon;
mod debian;
mod grub;
mod host;
mod libvirt;
mod media;
mod packages;
mod stack;
mod stages;
mod sysvinit;
mod uefi_qemu;

pub(crate) use self::agent::run as inside;
pub(crate) use self::libvirt::with_driver as with_libvirt_driver;

use anyhow::Result;
use e2e::report::Outcome;
use steps::Steps;

/// One scenario.
pub(crate) struct Installation {
    /// The name on the command line; unique among all scenarios.
    pub(crate) name: &'static str,
    /// Its description, on one line.
    pub(crate) about: &'static str,
    /// Runs it; its steps fail with an error, and all else in its outcome.
    pub(crate) run: fn(&Steps) -> Result<Outcome>,
}

/// All of them.
pub(crate) const ALL: &[Installation] = &[
    Installation {
        name: daemon::NAME,
        about: "a Debian 13 with its own Xen gets our daemon by apt while a guest prints, \
                a newer one, none",
        run: daemon::run,
    },
    Installation {
        name: sysvinit::NAME,
        about: "one with sysvinit gets our daemon while a guest prints; the daemon is killed, \
                the machine starts again, the package goes",
        run: sysvinit::run,
    },
    Installation {
        name: stack::NAME,
        about: "one gets our packages of Xen by apt while a guest prints, and starts again with \
                their hypervisor",
        run: stack::run,
    },
    Installation {
        name: stack::BOOKWORM,
        about: "the same with a Debian 12 and its packages, which are then removed",
        run: stack::bookworm,
    },
    Installation {
        name: grub::NAME,
        about: "the same by firmware and GRUB from the disk's own partitions, and back to Debian's",
        run: grub::run,
    },
    Installation {
        name: libvirt::NAME,
        about: "one with our packages of Xen runs a guest by Debian's libvirt: virsh create, \
                console, reboot, destroy, and a channel",
        run: libvirt::run,
    },
    Installation {
        name: uefi_qemu::NAME,
        about: "the disk of the scenario uefi, unchanged, in a machine of QEMU's without Xen",
        run: uefi_qemu::run,
    },
];
