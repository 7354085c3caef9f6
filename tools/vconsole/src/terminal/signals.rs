// SPDX-License-Identifier: MIT
//! Signals as events: those that end the program, and those of job control, at
//! which the terminal is restored.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};

use super::{restore, take};

/// Signals that arrived; readable when there is one to handle.
pub(crate) struct Signals {
    wake: UnixStream,
    stop: Arc<AtomicBool>,
    suspend: Arc<AtomicBool>,
    resume: Arc<AtomicBool>,
    /// The signals are no longer handled.
    released: Arc<AtomicBool>,
}

impl Signals {
    /// Registers the handlers.
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
            // The flag first, so that it is set at wake-up.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(signals)
    }

    /// From now on the signals have their default effect, even while the program
    /// waits.
    pub(crate) fn release(&self) {
        self.released.store(true, Ordering::SeqCst);
    }

    /// Handles the signals; returns whether the program should end.
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

/// Stops the process until SIGCONT.
fn suspend() -> io::Result<()> {
    signal_hook::low_level::emulate_default_handler(SIGTSTP)
}
