// SPDX-License-Identifier: MIT
//! Requests of other threads to a running server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

use crate::access::Found;
use crate::config::Config;

/// Controls a running [`Server`](super::Server) from any thread.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Requests>);

pub(super) struct Requests {
    waker: Waker,
    pub(super) stop: AtomicBool,
    pub(super) reopen_logs: AtomicBool,
    reload: Mutex<Option<Reload>>,
}

/// A new configuration, or the error.
pub(super) type Reload = Result<(Config, Found), String>;

impl Requests {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            stop: AtomicBool::new(false),
            reopen_logs: AtomicBool::new(false),
            reload: Mutex::default(),
        }
    }

    pub(super) fn reload(&self) -> MutexGuard<'_, Option<Reload>> {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// Makes [`Server::run`](super::Server::run) end in an orderly way.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Opens all logs again, after they were moved away.
    pub fn reopen_logs(&self) {
        self.0.reopen_logs.store(true, Ordering::Release);
        self.wake();
    }

    /// Reopens logs, and applies another configuration or reports the error.
    pub fn reload(&self, config: Result<Config, String>) {
        // Here and not in the loop: a lookup of users may take long.
        let found = config.map(|config| {
            let found = Found::of(&config.access);
            (config, found)
        });
        *self.0.reload() = Some(found);
        self.wake();
    }

    pub(super) fn wake(&self) {
        if let Err(error) = self.0.waker.wake() {
            tracing::error!("the event loop cannot be woken: {error}");
        }
    }
}
