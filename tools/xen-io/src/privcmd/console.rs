// SPDX-License-Identifier: MIT
//! The hypervisor's messages on its own console (`XEN_SYSCTL_readconsole`).

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use vpl011::ring::memory::RingMemory;

use super::{LIST, Privcmd, abi, hypercall};
use crate::page::XEN_PAGE_SIZE;

const READ_CONSOLE: u32 = 1;

/// Versions of the interface in which this command has the layout used here:
/// those of Xen 4.14 and later. Xen answers EACCES to any version except its own.
const VERSIONS: std::ops::RangeInclusive<u32> = 0x13..=0x18;

/// The version that Xen accepted last; initially 4.17's.
static VERSION: AtomicU32 = AtomicU32::new(0x15);

impl Privcmd {
    /// Reads the hypervisor's messages from `index` on, or from the oldest that
    /// is left; `index` advances to their end.
    pub fn read_console(&self, index: &mut u32, buffer: &mut [u8]) -> io::Result<usize> {
        let known = VERSION.load(Ordering::Relaxed);
        let others = VERSIONS.filter(|version| *version != known);
        let mut refused = io::Error::from(Errno::ACCESS);
        for version in std::iter::once(known).chain(others) {
            match self.read_console_as(version, index, buffer) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::ACCESS) => {
                    refused = error;
                }
                read => {
                    VERSION.store(version, Ordering::Relaxed);
                    return read;
                }
            }
        }
        Err(refused)
    }

    fn read_console_as(
        &self,
        version: u32,
        index: &mut u32,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let bounce = self.bounce();
        let room = buffer.len().min(XEN_PAGE_SIZE - LIST);
        let mut op = abi::SysctlReadConsole {
            cmd: READ_CONSOLE,
            interface_version: version,
            clear: 0,
            incremental: 1,
            pad: [0; 2],
            index: *index,
            buffer: bounce.address() + LIST as u64,
            // At most a page.
            count: u32::try_from(room).unwrap_or_default(),
            rest: [0; 108],
        };
        let words = [bounce.address(), 0];
        self.hypercall(&bounce, hypercall::SYSCTL, words, &mut op)?;
        let length = room.min(usize::try_from(op.count).unwrap_or(room));
        bounce.load_bytes(LIST, &mut buffer[..length]);
        *index = op.index;
        Ok(length)
    }
}
