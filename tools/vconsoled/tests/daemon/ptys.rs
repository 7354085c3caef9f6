// SPDX-License-Identifier: MIT
//! Open state of ptys: in any order of opens and closes, output reaches a viewer
//! while there is one, and is kept while there is none.

use std::path::Path;

use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use xen_io::fake::Machine;

/// Whether the daemon counts the pty of the PV console as open.
fn is_open(control: &Path) -> bool {
    let consoles = status(control).consoles;
    let pv = consoles.iter().find(|one| one.console == "pv0");
    pv.expect("a row").viewers > 0
}

/// Reads a piece, of which the pty gives each part to any of the viewers.
fn read(viewers: &mut [Viewer], piece: &[u8]) {
    let mut seen = Vec::new();
    wait_for("a piece", || {
        for viewer in viewers.iter_mut() {
            seen.extend(viewer.some(std::time::Duration::ZERO));
        }
        (seen.len() >= piece.len()).then_some(())
    });
    assert_eq!(seen, piece);
}

#[test]
fn output_reaches_every_process_with_the_pty_open_in_any_order_of_open_and_close() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "guest");
    let (config, control) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let mut viewers: Vec<Viewer> = Vec::new();
    // Each byte is a burst: some viewers open it, and some of all close it,
    // without a pause between that the daemon could detect.
    for (round, byte) in noise(300).into_iter().enumerate() {
        let (come, go) = (usize::from(byte & 3), usize::from(byte >> 2 & 3));
        if byte & 16 == 0 {
            viewers.drain(..go.min(viewers.len()));
        }
        if viewers.len() < 6 {
            viewers.extend((0..come).map(|_| Viewer::open(&machine, domid, PV)));
        }
        if byte & 16 != 0 {
            viewers.drain(..go.min(viewers.len()));
        }
        let piece = format!("piece {round} ");
        if viewers.is_empty() {
            wait_for("the pty to be closed", || {
                (!is_open(&control)).then_some(())
            });
            pv.send(piece.as_bytes());
            viewers.push(Viewer::open(&machine, domid, PV));
        } else {
            pv.send(piece.as_bytes());
        }
        read(&mut viewers, piece.as_bytes());
        assert!(is_open(&control));
    }
}

#[test]
fn a_terminal_that_is_to_echo_does_not_send_output_back_as_input() {
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, Config::default());
    let mut viewer = Viewer::open(&machine, domid, PV);
    for round in 0..20 {
        viewer.echo();
        let (said, typed) = (format!("said {round}\n"), format!("typed {round}\n"));
        pv.send(said.as_bytes());
        assert_eq!(viewer.read(said.len()), said.as_bytes());
        viewer.write(typed.as_bytes());
        assert_eq!(pv.receive(typed.len()), typed.as_bytes());
    }
}
