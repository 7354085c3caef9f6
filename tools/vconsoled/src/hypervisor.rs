// SPDX-License-Identifier: MIT
//! The log of the hypervisor's own messages (`--log=hv`), as xenconsoled keeps
//! it, and without writing them again after a restart.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use xen_io::{EventChannels, Hypervisor, Port, Virq};

use crate::config::{Config, Filter};
use crate::log::{Log, Style};

/// Bytes taken before guests have their turn.
const BUDGET: usize = 16 * 1024;

/// What xenconsoled calls the file.
const NAME: &str = "hypervisor.log";

/// The hypervisor's messages on their way to their log.
pub(crate) struct Messages {
    port: Port,
    /// The port was notified, or there is more to read than a turn's worth.
    due: bool,
    position: Position,
    log: Log,
}

impl Messages {
    /// Opens the log and asks to be told of messages.
    pub(crate) fn open(config: &Config, events: &mut dyn EventChannels) -> io::Result<Self> {
        let style = Style {
            timestamps: config.log.hypervisor_timestamps,
            replace_escape: config.log.filter == Filter::Dot,
        };
        let log = Log::open(config.log.dir.join(NAME), style)?;
        let port = events.bind_virq(Virq::CON_RING)?;
        Ok(Self {
            port,
            due: true,
            position: Position::open(config.state_dir.as_deref()),
            log,
        })
    }

    /// Whether there may be something to read.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// The port that says so.
    pub(crate) fn port(&self) -> Port {
        self.port
    }

    /// A port was notified; it may be this one.
    pub(crate) fn on_event(&mut self, port: Port) {
        self.due |= port == self.port;
    }

    /// Opens the log again, after it was moved away.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.log.reopen()
    }

    /// Reads what there is, within bounds.
    pub(crate) fn turn(
        &mut self,
        hypervisor: &dyn Hypervisor,
        events: &mut dyn EventChannels,
    ) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..BUDGET / buffer.len() {
            let length = hypervisor.read_console(&mut self.position.index, &mut buffer)?;
            if length == 0 {
                self.due = false;
                return events.unmask(self.port);
            }
            self.log.write(&buffer[..length]);
            self.position.keep();
        }
        Ok(())
    }
}

/// How far the messages were read, kept over a restart of the daemon.
struct Position {
    index: u32,
    kept: Option<Kept>,
}

/// A file with the boot it speaks of and the index.
struct Kept {
    file: File,
    boot: String,
}

impl Position {
    /// Where the last daemon stopped, or the beginning.
    fn open(dir: Option<&Path>) -> Self {
        let kept = dir.and_then(|dir| {
            Kept::open(dir)
                .inspect_err(|error| {
                    tracing::warn!("after a restart, {NAME} will repeat itself: {error}");
                })
                .ok()
        });
        Self {
            index: kept.as_ref().and_then(Kept::read).unwrap_or(0),
            kept,
        }
    }

    fn keep(&mut self) {
        let Some(kept) = &self.kept else { return };
        if let Err(error) = kept.write(self.index) {
            tracing::warn!("after a restart, {NAME} will repeat itself: {error}");
            self.kept = None;
        }
    }
}

impl Kept {
    fn open(dir: &Path) -> io::Result<Self> {
        // The index starts anew with the host.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .custom_flags(flags)
            .open(dir.join("hypervisor.position"))?;
        Ok(Self {
            file,
            boot: boot.trim().to_owned(),
        })
    }

    fn read(&self) -> Option<u32> {
        let mut buffer = [0; 128];
        let length = self.file.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).ok()?;
        let (boot, index) = text.trim_end().split_once(' ')?;
        (boot == self.boot).then(|| index.parse().ok())?
    }

    /// One write of a fixed length: the file is never seen half done.
    fn write(&self, index: u32) -> io::Result<()> {
        let line = format!("{} {index:010}\n", self.boot);
        self.file.write_all_at(line.as_bytes(), 0)
    }
}
