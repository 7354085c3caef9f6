// SPDX-License-Identifier: MIT
//! Input at a rate, from one daemon that is killed to the next.

use std::time::Instant;

use crate::host::{Host, pattern, same};
use crate::manager::Manager;
use crate::sockets::waiting;
use crate::support::{PV, Viewer, guest, wait_for};

/// Bytes per second: few bytes may be sent while a daemon starts.
const RATE: u32 = 200;
/// Bytes of the daemon's burst, and of input that the last daemon had read.
const BURST: u128 = 2;

const KILLS: usize = 12;
/// Fewest bytes between two kills.
const STEP: usize = 40;

pub(crate) fn a_rate_holds_and_loses_nothing_over_kills() {
    let mut host = Host::new("");
    host.config.insert_str(0, &format!("input-rate = {RATE}\n"));
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, mut pv, _uart) = guest(&host.machine, "guest");
    let mut daemon = host.start(|command| manager.prepare(command));
    let mut viewer = Viewer::open(&host.machine, domid, PV);
    let kept = || (manager.kept().len() == 6).then_some(());
    wait_for("terminals and sockets to be kept", kept);
    let typed = pattern(0, (KILLS + 1) * STEP);
    let mut arrived = Vec::new();
    let mut begin = Instant::now();
    viewer.write(&typed);
    for kill in 1..=KILLS + 1 {
        let before = arrived.len();
        wait_for("a step more", || {
            arrived.extend(waiting(&mut pv));
            (arrived.len() >= kill * STEP).then_some(())
        });
        daemon.kill();
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        arrived.extend(waiting(&mut pv));
        let span = begin.elapsed();
        let most = (span.as_micros() * u128::from(RATE)).div_ceil(1_000_000);
        let came = (arrived.len() - before) as u128;
        assert!(came <= most + BURST, "{came} bytes in {span:?}");
        begin = Instant::now();
        daemon = host.start(|command| manager.prepare(command));
    }
    daemon.stop();
    arrived.extend(waiting(&mut pv));
    same("what came", &arrived, typed.len());
}
