// SPDX-License-Identifier: MIT
//! `vconsole attach --wait`: waits for a guest that does not run yet, or reboots.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use crate::attach::End;
use crate::choose::{self, Choice};
use crate::daemon::Daemon;
use crate::exit::{self, Why};

/// How often it is asked for.
const PERIOD: Duration = Duration::from_millis(500);

/// Attaches by `attach` whenever the console of that name is there, until the user
/// leaves. While it is not, the terminal is the shell's: `^C` ends.
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
            // It was there a moment ago.
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
            // Standard error may be what has gone.
            let _gone = writeln!(std::io::stderr(), "vconsole: waiting for {name}");
        }
        thread::sleep(PERIOD);
    }
}

fn comes_again(error: &anyhow::Error) -> bool {
    let code = exit::code(error);
    code == Why::Missing as u8 || code == Why::Silent as u8
}
