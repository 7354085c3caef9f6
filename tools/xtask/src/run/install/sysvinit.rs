// SPDX-License-Identifier: MIT
//! The scenario `install-sysvinit`: a Debian 13 with its own Xen and with sysvinit, without
//! systemd, gets the console daemon's package by apt while a guest prints. The daemon is
//! killed, the machine restarts, and the package is removed.

use std::fs;

use anyhow::Result;
use e2e::report::Outcome;
use steps::Steps;

use super::common::{copied, told};
use super::host::Host;
use super::stages::{PV, PV_LOG, begin_counting, end_counting, guest, serves};
use super::{media, stages};
use crate::image::{Disk, System};
use crate::run::outside::Checks;

pub(super) const NAME: &str = "install-sysvinit";

/// Our daemon's processes.
const DAEMON: &str = "pgrep -x vconsoled";

/// Waits until it serves, for the supervisor's pause and a busy machine.
const AGAIN: &str = "timeout 120 sh -c 'until vconsole list; do sleep 1; done'";

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let disk = Disk::make(steps, System::Sysvinit)?;
    let media = media::make(steps)?;
    let dom0 = copied(steps, &disk, Some(media))?;
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}-first");
        let mut host = Host::boot(steps, &disk.hypervisor, &dom0, &log)?;
        let init = host.run("readlink /proc/1/exe")?;
        checks.check("init is sysvinit's", init == "/usr/sbin/init", init);
        stages::stock(&mut host, checks)?;
        stages::taken_over(&mut host, checks)?;
        killed(&mut host, checks)?;
        host.restart()?;
        console.take(&fs::read(steps.dirs.log(&log))?);

        let log = format!("machine-{NAME}");
        let mut host = Host::boot(steps, &disk.hypervisor, &dom0, &log)?;
        serves(&mut host, checks, "after the restart", "vconsoled")?;
        guest(&mut host, &["extra=\"console=hvc0\""])?;
        // Xen's messages about a guest that boots would stand among what is typed next.
        let shown = host.in_guest(PV, &["echo again-$((6*7))"], "again-42");
        checks.ok("a new guest's console gives a shell", shown)?;
        stages::removed(&mut host, checks)?;
        console.take(&fs::read(steps.dirs.log(&log))?);
        Ok(())
    }))
}

/// The supervisor starts a killed daemon again, while the guest prints.
fn killed(host: &mut Host, checks: &mut Checks) -> Result<()> {
    begin_counting(host, PV)?;
    let before = host.run(DAEMON)?;
    host.run(&format!("kill -KILL $({DAEMON})"))?;
    host.attempt(AGAIN)?;
    let (status, after) = host.attempt(DAEMON)?;
    let again = status == "0" && before != after;
    checks.check("the killed daemon is started again", again, after);
    serves(host, checks, "after it was killed", "vconsoled")?;
    end_counting(host, checks, PV, "while it was killed", PV_LOG)
}
