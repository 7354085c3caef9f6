// SPDX-License-Identifier: MIT
//! `vconsole attach --wait`: waits for a guest that is not running yet, or reboots.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use crate::attach::End;
use crate::choose::{self, Choice};
use crate::daemon::Daemon;
use crate::exit::{self, Why};

/// The polling interval.
const PERIOD: Duration = Duration::from_millis(500);

/// Attaches by `attach` whenever the console of that name exists, until the user
/// leaves. While it does not exist, the terminal is in its normal mode: `^C` ends
/// the program.
pub(crate) fn follow(
    daemon: &Daemon,
    name: &str,
    mut attach: impl FnMut(&Choice) -> anyhow::Result<End>,
) -> anyhow::Result<()> {
    loop {
        let ended = until_there(daemon, name).and_then(|choice| attach(&choice));
        match ended {
            Ok(End::Left) => return Ok(()),
            Ok(End::Gone) => {}
            // The console ended after it was found.
            Err(error) if comes_again(&error) => thread::sleep(PERIOD),
            Err(error) => return Err(error),
        }
    }
}

fn until_there(daemon: &Daemon, name: &str) -> anyhow::Result<Choice> {
    let mut told = false;
    loop {
        let status = daemon.status();
        let found =
            status.and_then(|status| choose::among(&status, |rows| choose::named(rows, name)));
        match found {
            Err(error) if comes_again(&error) => {}
            found => return found,
        }
        if !std::mem::replace(&mut told, true) {
            // Standard error may be closed.
            let _gone = writeln!(std::io::stderr(), "vconsole: waiting for {name}");
        }
        thread::sleep(PERIOD);
    }
}

fn comes_again(error: &anyhow::Error) -> bool {
    let code = exit::code(error);
    code == Why::Missing as u8 || code == Why::Silent as u8
}
