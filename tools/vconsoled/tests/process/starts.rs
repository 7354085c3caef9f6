// SPDX-License-Identifier: MIT
//! Several daemons started at once.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use console_proto::Status;

use crate::ROLE;
use crate::support::{ask, connect_to, wait_for};

/// Daemons of a round, and number of rounds.
const DAEMONS: usize = 4;
const ROUNDS: usize = 10;

fn start(config: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .env(ROLE, config)
        // A backtrace would take longer than everything else.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// One serves, and the others report its pid: after an orderly end, and after a
/// kill, which leaves the socket.
pub(crate) fn of_several_that_start_at_once_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let socket = dir.path().join("run/control.sock");
    for sockets in ["control", "metrics", "consoles"] {
        let path = |kind: &str| {
            if sockets == "control" || sockets == kind {
                format!("{at}/run/{kind}.sock")
            } else {
                String::new()
            }
        };
        let config = format!(
            "state-dir = \"\"\n[sockets]\ncontrol = \"{}\"\nmetrics = \"{}\"\nconsoles = \"{}\"\n\
             [process]\nuser = \"\"\nsandbox = false\nfolders = []\n",
            path("control"),
            path("metrics"),
            path("consoles"),
        );
        for round in 0..ROUNDS {
            let mut daemons: Vec<Child> = (0..DAEMONS).map(|_| start(&config)).collect();
            let mut ended = Vec::new();
            wait_for("all but one to end", || {
                let over = daemons
                    .iter_mut()
                    .position(|one| one.try_wait().unwrap().is_some());
                ended.extend(over.map(|over| daemons.remove(over)));
                (daemons.len() <= 1).then_some(())
            });
            let mut winner = daemons.pop().expect("one serves");
            let pid = winner.id();
            for mut loser in ended {
                let mut said = String::new();
                let stderr = loser.stderr.take().unwrap();
                BufReader::new(stderr).read_to_string(&mut said).unwrap();
                let who = format!("another daemon has it: process {pid}");
                let status = loser.wait().unwrap();
                assert!(said.contains(&who), "{sockets} {round}: {status}, {said}");
                assert!(!status.success());
            }
            if sockets == "control" {
                // It listens a moment after it has the lock.
                wait_for("it to listen", || connect_to(&socket).ok());
                let status: Status = serde_json::from_str(&ask(&socket, "status")).unwrap();
                assert_eq!(status.pid, pid, "round {round}");
            }
            if round % 2 == 0 {
                winner.kill().unwrap();
                winner.wait().unwrap();
            } else {
                // It ends in an orderly way once it serves, when it reads its input.
                drop(winner.stdin.take());
                let mut said = String::new();
                let stdout = BufReader::new(winner.stdout.take().unwrap()).read_line(&mut said);
                assert_eq!(stdout.unwrap(), 0);
                assert!(winner.wait().unwrap().success(), "{sockets} {round}");
            }
        }
    }
}
