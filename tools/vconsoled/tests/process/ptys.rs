// SPDX-License-Identifier: MIT
//! A pty's open state while one daemon ends and another begins.

use std::time::Duration;

use crate::host::{Host, Running};
use crate::manager::Manager;
use crate::support::{PV, PvDriver, Serial, Viewer, guest, status, tty, wait_for};
use xen_io::DomId;

struct Bench {
    host: Host,
    manager: Manager,
    domid: DomId,
    pv: PvDriver,
    pieces: usize,
}

impl Bench {
    fn start(&self) -> Running {
        self.host.start(|command| self.manager.prepare(command))
    }

    /// Output reaches a viewer of the pty; without one it is kept for the next.
    fn check(&mut self, viewers: &mut Vec<Viewer>, what: &str) {
        let control = self.host.control();
        let open = !viewers.is_empty();
        wait_for(&format!("{what}: the pty's state"), || {
            let consoles = status(&control).consoles;
            let pv = consoles.iter().find(|one| one.console == "pv0")?;
            ((pv.viewers > 0) == open).then_some(())
        });
        self.pieces += 1;
        let piece = format!("piece {} ", self.pieces).into_bytes();
        self.pv.send(&piece);
        if !open {
            viewers.push(Viewer::open(&self.host.machine, self.domid, PV));
        }
        let mut seen = Vec::new();
        wait_for(&format!("{what}: a piece"), || {
            for viewer in viewers.iter_mut() {
                seen.extend(viewer.some(Duration::ZERO));
            }
            (seen.len() >= piece.len()).then_some(())
        });
        assert_eq!(seen, piece, "{what}");
        // The slice that wrote it is finished, with its record for the next daemon.
        let _slice_over = status(&control);
    }
}

/// For each number of viewers that were there before, left meanwhile, came
/// meanwhile and left afterwards.
pub(crate) fn opens_and_closes_without_a_daemon_are_detected() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, pv, _uart) = guest(&host.machine, "guest");
    let mut bench = Bench {
        host,
        manager,
        domid,
        pv,
        pieces: 0,
    };
    let mut daemon = bench.start();
    wait_for("it to be kept", || {
        (bench.manager.kept().len() == 6).then_some(())
    });
    for before in 0..=2 {
        for (leave, come) in (0..=before).flat_map(|leave| [0, 1, 2].map(|come| (leave, come))) {
            let what = format!("{before} before, {leave} left, {come} came");
            let open = |bench: &Bench| Viewer::open(&bench.host.machine, domid, PV);
            let name = |bench: &Bench| tty(&bench.host.machine, domid, PV);
            let before_end = name(&bench);
            let mut viewers: Vec<Viewer> = (0..before).map(|_| open(&bench)).collect();
            bench.check(&mut viewers, &what);
            viewers.truncate(before);
            daemon.kill();
            viewers.drain(..leave);
            viewers.extend((0..come).map(|_| open(&bench)));
            wait_for("Xen to unmap its pages", || {
                (bench.host.machine.mapped_pages(domid) == 0).then_some(())
            });
            daemon = bench.start();
            assert_eq!(name(&bench), before_end, "the same pty");
            bench.check(&mut viewers, &what);
            while viewers.len() > 1 {
                viewers.pop();
                bench.check(&mut viewers, &what);
            }
        }
    }
    daemon.stop();
}
