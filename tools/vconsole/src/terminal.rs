// SPDX-License-Identifier: MIT
//! The user's terminal in raw mode, and back, however the program ends.

use std::io;
use std::panic;
use std::sync::OnceLock;

use rustix::stdio::stdin;
use rustix::termios::{self, OptionalActions, Termios};

/// How the terminal was, for the panic hook: a release build has no unwinding
/// to run destructors.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// Standard input's terminal is raw while this lives.
pub(crate) struct Raw(());

impl Raw {
    /// Makes standard input's terminal raw; `None` if it is not one.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        if !termios::isatty(stdin()) {
            return Ok(None);
        }
        let before = termios::tcgetattr(stdin())?;
        let mut raw = before.clone();
        if BEFORE.set(before).is_ok() {
            let say = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                restore();
                say(panic);
            }));
        }
        raw.make_raw();
        termios::tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self(())))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if let Some(before) = BEFORE.get() {
        // A terminal that has gone needs no care.
        let _gone = termios::tcsetattr(stdin(), OptionalActions::Drain, before);
    }
}
