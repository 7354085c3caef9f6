// SPDX-License-Identifier: MIT
//! A virtual disk that no guest uses, for its interrupt lines: a domain has shared
//! interrupts only if its configuration names a device with one, and `xl` sets up
//! the UART's own device before any test could intervene.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use xen_io::xenstore::Client;

use crate::command::TICK;

const NODE: &str = "/tmp/spare-disk";
const BACKENDS: &str = "/local/domain/0/backend/virtio_disk";

/// States of a device in xenstore (Xen `XenbusState`).
const INITIALISING: &[u8] = b"1";
const WAITING: &[u8] = b"2";
const CLOSING: &[u8] = b"5";
const CLOSED: &[u8] = b"6";

/// The disk's backend, which sets the states that `xl` waits for.
#[derive(Debug)]
pub(crate) struct SpareDisk {
    stop: Arc<AtomicBool>,
    backend: Option<JoinHandle<()>>,
}

impl SpareDisk {
    /// The line of a guest's configuration.
    pub(crate) const LINE: &str = "disk = [ \"format=raw,vdev=xvda,access=rw,\
        backendtype=standalone,specification=virtio,target=/tmp/spare-disk\" ]";

    /// Makes the disk's node and starts its backend.
    pub(crate) fn new() -> Result<Self> {
        if fs::metadata(NODE).is_err() {
            // Only its existence is checked: a block device without a driver is
            // enough.
            mknodat(
                CWD,
                NODE,
                FileType::BlockDevice,
                Mode::RUSR,
                makedev(7, 250),
            )
            .with_context(|| format!("making {NODE}"))?;
        }
        let mut store = Client::open()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let backend = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // A node may disappear meanwhile.
                let _ = answer(&mut store);
                thread::sleep(TICK);
            }
        });
        Ok(Self {
            stop,
            backend: Some(backend),
        })
    }
}

impl Drop for SpareDisk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(backend) = self.backend.take() {
            let _ = backend.join();
        }
    }
}

/// Sets every disk to the state that its domain waits for.
fn answer(store: &mut Client) -> io::Result<()> {
    for domid in store.directory(BACKENDS)?.unwrap_or_default() {
        for disk in store
            .directory(&format!("{BACKENDS}/{domid}"))?
            .unwrap_or_default()
        {
            let state = format!("{BACKENDS}/{domid}/{disk}/state");
            match store.read(&state)?.as_deref() {
                Some(INITIALISING) => store.write(&state, WAITING)?,
                Some(CLOSING) => store.write(&state, CLOSED)?,
                _ => {}
            }
        }
    }
    Ok(())
}
