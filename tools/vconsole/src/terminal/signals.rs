// SPDX-License-Identifier: MIT
//! Signals as events: those that end the program, and those of job control, around
//! which the terminal is restored.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

use super::{restore, take};

/// Signals that came; readable when there is one to handle.
pub(crate) struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
    suspend: Arc<AtomicBool>,
    resume: Arc<AtomicBool>,
    /// They are no longer handled.
    released: Arc<AtomicBool>,
}

impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let signals = Self {
            wake,
            stop: Arc::default(),
            suspend: Arc::default(),
            resume: Arc::default(),
            released: Arc::default(),
        };
        for (signal, flag) in [
            (SIGTERM, &signals.stop),
            (SIGINT, &signals.stop),
            (SIGHUP, &signals.stop),
            (SIGQUIT, &signals.stop),
            (SIGTSTP, &signals.suspend),
            (SIGCONT, &signals.resume),
        ] {
            let released = Arc::clone(&signals.released);
            signal_hook::flag::register_conditional_default(signal, released)?;
            // The flag first: who is woken finds it set.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(signals)
    }

    /// From now on they do what they do to a program that does not catch them,
    /// whatever it waits for.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    /// Does what the signals ask for; whether it is time to end.
    pub(crate) fn handle(&mut self) -> io::Result<bool> {
        while matches!(self.wake.read(&mut [0; 64]), Ok(1..)) {}
        if self.suspend.swap(false, Ordering::SeqCst) {
            restore();
            suspend()?;
        }
        while self.resume.swap(false, Ordering::SeqCst) && !self.stop.load(Ordering::SeqCst) {
            // In the background the terminal is not available: wait
            // until the shell continues the program.
            if !take()? {
                suspend()?;
            }
        }
        Ok(self.stop.load(Ordering::SeqCst))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Sleeps until the signal to continue.
fn suspend() -> io::Result<()> {
    signal_hook::low_level::emulate_default_handler(SIGTSTP)
}
