// SPDX-License-Identifier: MIT
//! Xen's PV console from inside a guest. Structures and numbers are from Xen's
//! public headers.

use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use vpl011::Backend;
use vpl011::backend::Sent;
use vpl011::ring::layout::PAGE_SIZE;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::port::RingPort;

const HYPERCALL_MEMORY: u64 = 12;
const HYPERCALL_SCHED: u64 = 29;
const HYPERCALL_EVTCHN: u64 = 32;
const HYPERCALL_HVM: u64 = 34;

const XENMEM_ADD_TO_PHYSMAP: u64 = 7;
const XENMAPSPACE_SHARED_INFO: u32 = 0;
const SCHEDOP_POLL: u64 = 3;
const EVTCHNOP_SEND: u64 = 4;
const HVMOP_GET_PARAM: u64 = 1;

const DOMID_SELF: u16 = 0x7FF0;
const CONSOLE_PFN: u32 = 17;
const CONSOLE_EVTCHN: u32 = 18;

#[repr(C)]
struct HvmParam {
    domid: u16,
    pad: u16,
    index: u32,
    value: u64,
}

#[repr(C)]
struct AddToPhysmap {
    domid: u16,
    size: u16,
    space: u32,
    index: u64,
    gfn: u64,
}

#[repr(C)]
struct SchedPoll {
    ports: *const u32,
    count: u32,
    /// In Xen's time; 0 if there is none.
    timeout: u64,
}

/// A hypercall with the address of an argument, which both sides access in memory.
fn hypercall<T>(number: u64, command: u64, argument: &mut T) -> i64 {
    let argument = core::ptr::from_mut(argument);
    let result;
    clean(argument.cast(), size_of::<T>());
    // SAFETY: each call in this file takes a pointer to the structure that its
    // argument is, or none at all; Xen clobbers no other registers.
    unsafe {
        asm!(
            "hvc #0xea1",
            inout("x0") command => result,
            inout("x1") argument => _,
            inout("x16") number => _,
            out("x2") _, out("x3") _, out("x4") _, out("x5") _,
            options(nostack)
        );
    }
    clean(argument.cast(), size_of::<T>());
    result
}

/// Cleans and invalidates cache lines: with the MMU off this side accesses
/// memory, and the other side its cache.
fn clean(at: *const u8, bytes: usize) {
    let first = at.addr() & !15;
    for line in (first..at.addr() + bytes).step_by(16) {
        // SAFETY: maintenance changes no value that this side can see.
        unsafe {
            asm!("dc civac, {0}", in(reg) line, options(nostack));
        }
    }
    barrier();
}

fn barrier() {
    // SAFETY: a barrier touches nothing.
    unsafe {
        asm!("dsb sy", options(nostack));
    }
}

fn own_param(index: u32) -> Option<u64> {
    let mut param = HvmParam {
        domid: DOMID_SELF,
        pad: 0,
        index,
        value: 0,
    };
    let result = hypercall(HYPERCALL_HVM, HVMOP_GET_PARAM, &mut param);
    (result == 0).then_some(param.value)
}

/// Memory in whose place Xen puts the page that it shares with the guest.
static SHARED: SharedInfo = SharedInfo {
    _vcpu: [0; 6],
    pending: [const { AtomicU64::new(0) }; 64],
    _rest: [0; 442],
};

#[repr(C, align(4096))]
struct SharedInfo {
    _vcpu: [u64; 6],
    /// A bit for each port.
    pending: [AtomicU64; 64],
    _rest: [u64; 442],
}

impl SharedInfo {
    /// Has Xen share it. Returns whether it does.
    fn map(&self) -> bool {
        let mut request = AddToPhysmap {
            domid: DOMID_SELF,
            size: 0,
            space: XENMAPSPACE_SHARED_INFO,
            index: 0,
            gfn: (core::ptr::from_ref(self).addr() / PAGE_SIZE) as u64,
        };
        hypercall(HYPERCALL_MEMORY, XENMEM_ADD_TO_PHYSMAP, &mut request) == 0
    }

    /// Takes back a port's event; returns whether there was one. Nobody here reads
    /// the other ports' events.
    fn take(&self, port: u32) -> bool {
        let word = &self.pending[port as usize / 64];
        let at = core::ptr::from_ref(word).cast();
        clean(at, size_of::<AtomicU64>());
        let (events, event) = (word.load(Ordering::Relaxed), 1 << (port % 64));
        if events & event != 0 {
            word.store(events & !event, Ordering::Relaxed);
            clean(at, size_of::<AtomicU64>());
        }
        events & event != 0
    }
}

/// The console's page.
#[derive(Debug)]
struct Page(NonNull<u8>);

impl Page {
    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= PAGE_SIZE && offset.is_multiple_of(align_of::<T>()));
        self.0.as_ptr().wrapping_add(offset).cast()
    }

    fn load<T>(&self, offset: usize) -> T {
        let at = self.at::<T>(offset);
        clean(at.cast(), size_of::<T>());
        // SAFETY: an aligned place in the page, which Xen gave this guest and
        // nothing here has a reference to.
        unsafe { at.read_volatile() }
    }

    fn store<T>(&self, offset: usize, value: T) {
        let at = self.at::<T>(offset);
        // SAFETY: as in `load`.
        unsafe { at.write_volatile(value) };
        clean(at.cast(), size_of::<T>());
    }
}

impl RingMemory for Page {
    fn load_u32(&self, offset: usize) -> u32 {
        self.load(offset)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.store(offset, value);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        self.load(offset)
    }

    fn store_u8(&self, offset: usize, value: u8) {
        self.store(offset, value);
    }

    fn barrier(&self) {
        barrier();
    }
}

/// The guest's end of the PV console.
#[derive(Debug)]
pub(crate) struct Console {
    ring: RingPort<Page>,
    port: u32,
}

impl Console {
    /// Gets its page and port from Xen.
    pub(crate) fn open() -> Option<Self> {
        if !SHARED.map() {
            return None;
        }
        let page = usize::try_from(own_param(CONSOLE_PFN)?).ok()? * PAGE_SIZE;
        Some(Self {
            ring: RingPort::new(Page(NonNull::new(page as *mut u8)?)),
            port: u32::try_from(own_param(CONSOLE_EVTCHN)?).ok()?,
        })
    }

    /// Sends bytes and notifies the backend once, unless the ring is full. The
    /// ring's own doorbell advice is for an end that handles the backend's
    /// events, which this one does not.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while self.ring.try_send(byte) == Sent::Full {
                self.notify();
                self.wait();
            }
        }
        self.notify();
    }

    /// Waits for a byte.
    pub(crate) fn get(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.ring.try_recv() {
                if self.ring.acknowledge() {
                    self.notify();
                }
                return byte;
            }
            self.wait();
        }
    }

    /// Sleeps until there is an event that was not waited for. The ring is to be
    /// looked at before and after: an event may be older than the last look.
    fn wait(&self) {
        if SHARED.take(self.port) {
            return;
        }
        let port = self.port;
        clean(core::ptr::from_ref(&port).cast(), size_of::<u32>());
        let mut poll = SchedPoll {
            ports: &raw const port,
            count: 1,
            timeout: 0,
        };
        hypercall(HYPERCALL_SCHED, SCHEDOP_POLL, &mut poll);
    }

    fn notify(&self) {
        let mut port = self.port;
        hypercall(HYPERCALL_EVTCHN, EVTCHNOP_SEND, &mut port);
    }
}
