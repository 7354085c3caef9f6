// SPDX-License-Identifier: MIT
//! Guests' lines in the journal.

use std::os::unix::net::UnixDatagram;

use crate::support::*;
use vconsoled::Config;
use xen_io::fake::Machine;

#[test]
fn lines_reach_the_journal_by_rule_and_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 4096];
        let length = journald.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut config = Config::parse(&format!(
        "state-dir = \"\"\n[sockets]\ncontrol = \"\"\nmetrics = \"\"\nconsoles = \"\"\n\
         [process]\nuser = \"\"\nsandbox = false\nfolders = []\n\
         [log]\njournal = true\njournal-socket = \"{}\"\n\
         [[console]]\ndomain = \"secret\"\njournal = false\n",
        path.display()
    ))
    .unwrap();
    config.state_dir = Some(dir.path().join("state"));
    let machine = Machine::new();
    let (_, mut secret, _first) = guest(&machine, "secret");
    let (_, mut pv, mut uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, config.clone());
    secret.send(b"nothing of this\n");
    uart.send(b"from the uart\r\n");
    let entry = hear();
    for part in ["from the uart\n", "web\n", "vuart0\n"] {
        assert!(entry.contains(part), "{entry:?}");
    }
    pv.send(b"one\n");
    assert!(hear().contains("one\n"));
    daemon.stop().unwrap();
    let _daemon = Daemon::start(&machine, config);
    pv.send(b"two\n");
    let entry = hear();
    assert!(
        entry.contains("two\n") && !entry.contains("one\n"),
        "{entry:?}"
    );
}
