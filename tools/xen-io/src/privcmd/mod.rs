// SPDX-License-Identifier: MIT
//! `/dev/xen/privcmd`: hypercalls and mappings of other domains' memory.
//!
//! The methods are safe in Rust's sense: no call through them writes to memory
//! that Rust manages. A privileged domain can damage *other* memory with them,
//! for example by giving away a frame of its own kernel; as with any device that
//! accesses physical memory, that is the caller's responsibility.

mod abi;
mod console;
mod event_channel;
mod map;
mod memory;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use vpl011::ring::memory::RingMemory;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub use event_channel::{PortState, PortStatus};

use crate::ioctl;
use crate::page::Page;
use crate::types::{DomId, HvmParam};
use abi::hypercall;

const DEVICE: &str = "/dev/xen/privcmd";
const HYPERCALL_MEMORY: &str = "/dev/xen/hypercall";

/// Offset of lists in the bounce page; the argument itself is at its start.
const LIST: usize = 512;

const HVMOP_SET_PARAM: u64 = 0;
const HVMOP_GET_PARAM: u64 = 1;

/// An open privcmd device.
pub struct Privcmd {
    device: File,
    /// Memory that the hypervisor may access during a hypercall: unlike the heap,
    /// it stays resident and is not moved by the kernel.
    bounce: Mutex<Page>,
}

/// Opens a device of Xen; an error has its path.
pub(crate) fn open_device(path: &str, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

impl Privcmd {
    /// Opens the device. Requires Linux 4.18 or later, and root.
    pub fn open() -> io::Result<Self> {
        let device = open_device(DEVICE, OFlags::empty())?;
        let memory = open_device(HYPERCALL_MEMORY, OFlags::empty())?;
        let bounce = Page::map(memory.as_fd(), 0, memory.try_clone()?)?;
        Ok(Self {
            device,
            bounce: Mutex::new(bounce),
        })
    }

    /// Reads a parameter of a domain.
    pub fn hvm_param(&self, domid: DomId, param: HvmParam) -> io::Result<u64> {
        let mut op = abi::HvmParamOp {
            domid: domid.0,
            index: param.0,
            ..Default::default()
        };
        self.command(hypercall::HVM_OP, HVMOP_GET_PARAM, &mut op)?;
        Ok(op.value)
    }

    /// Writes a parameter of a domain.
    pub fn set_hvm_param(&self, domid: DomId, param: HvmParam, value: u64) -> io::Result<()> {
        let mut op = abi::HvmParamOp {
            domid: domid.0,
            index: param.0,
            value,
            ..Default::default()
        };
        self.command(hypercall::HVM_OP, HVMOP_SET_PARAM, &mut op)?;
        Ok(())
    }

    fn bounce(&self) -> MutexGuard<'_, Page> {
        // Every hypercall rewrites its argument: nothing in the page outlives a
        // panic.
        self.bounce.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `op(command, &argument)`, the form of most hypercalls. `argument` has the
    /// result afterwards. It must contain no address.
    fn command<T>(&self, op: u64, command: u64, argument: &mut T) -> io::Result<i32>
    where
        T: IntoBytes + FromBytes + Immutable,
    {
        self.command_in(&self.bounce(), op, command, argument)
    }

    /// The same with a bounce page whose lists the caller has filled; the
    /// addresses in `argument` must be within that page.
    fn command_in<T>(
        &self,
        bounce: &Page,
        op: u64,
        command: u64,
        argument: &mut T,
    ) -> io::Result<i32>
    where
        T: IntoBytes + FromBytes + Immutable,
    {
        self.hypercall(bounce, op, [command, bounce.address()], argument)
    }

    /// A hypercall whose first arguments are `words`, one of them the bounce
    /// page's address, where `argument` and the result are.
    fn hypercall<T>(
        &self,
        bounce: &Page,
        op: u64,
        words: [u64; 2],
        argument: &mut T,
    ) -> io::Result<i32>
    where
        T: IntoBytes + FromBytes + Immutable,
    {
        const { assert!(size_of::<T>() <= LIST) };
        bounce.store_bytes(0, argument.as_bytes());
        let mut request = abi::Hypercall {
            op,
            arg: [words[0], words[1], 0, 0, 0],
        };
        // SAFETY: the hypervisor reads and writes its argument through the
        // one address given, which is that of the bounce page, and lists that
        // by contract lie in the same page; neither holds a Rust value.
        let returned = unsafe { ioctl::call(self.device.as_fd(), &mut request)? };
        let mut bytes = vec![0; size_of::<T>()];
        bounce.load_bytes(0, &mut bytes);
        *argument = T::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(returned)
    }
}
