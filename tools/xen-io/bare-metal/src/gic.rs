// SPDX-License-Identifier: MIT
//! One shared interrupt of a `GICv3` (Arm IHI 0069), taken on request.

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use vpl011::trap::Width;

use crate::frame::Frame;

// Offsets in the distributor; the last four have one bit, byte or bit pair for
// each interrupt.
const GICD_CTLR: u16 = 0x0000;
const GICD_IGROUPR: u16 = 0x0080;
const GICD_ISENABLER: u16 = 0x0100;
const GICD_IPRIORITYR: u16 = 0x0400;
const GICD_ICFGR: u16 = 0x0C00;

/// `GICD_CTLR`: affinity routing, and interrupts of group 1.
const ARE_AND_GROUP_1: u32 = 1 << 4 | 1 << 1;

/// INTIDs from here on are not interrupts.
const SPECIAL: u32 = 1020;

/// The INTID of `Interrupt`.
static WANTED: AtomicU32 = AtomicU32::new(SPECIAL);
/// The INTID that was acknowledged and not ended; `SPECIAL` if there is none.
static ACTIVE: AtomicU32 = AtomicU32::new(SPECIAL);

/// A shared interrupt that is delivered only on request.
#[derive(Debug)]
pub struct Interrupt(());

impl Interrupt {
    /// Enables the level-sensitive interrupt `intid` in the distributor `gicd`.
    pub(crate) fn enable(mut gicd: Frame, intid: u16) -> Option<Self> {
        if !(32..1020).contains(&intid) {
            return None;
        }
        WANTED.store(intid.into(), Ordering::Relaxed);
        let (word, bit) = (intid / 32 * 4, 1 << (intid % 32));
        let mut set = |offset: u16, bits: u32| {
            let old = gicd.read(offset, Width::Word)?;
            gicd.write(offset, Width::Word, old | bits)
        };
        set(GICD_CTLR, ARE_AND_GROUP_1).ok()?;
        set(GICD_IGROUPR + word, bit).ok()?;
        let levels = gicd.read(GICD_ICFGR + intid / 16 * 4, Width::Word).ok()?;
        let level = levels & !(2 << (intid % 16 * 2));
        gicd.write(GICD_ICFGR + intid / 16 * 4, Width::Word, level)
            .ok()?;
        gicd.write(GICD_IPRIORITYR + intid, Width::Byte, 0x80)
            .ok()?;
        gicd.write(GICD_ISENABLER + word, Width::Word, bit).ok()?;
        // SAFETY: registers of this CPU's interface only; system registers on,
        // all priorities, group 1, and PSTATE.I stays set.
        unsafe {
            asm!(
                "mov {0}, #1",
                "msr S3_0_C12_C12_5, {0}", // ICC_SRE_EL1
                "isb",
                "mov {0}, #0xff",
                "msr S3_0_C4_C6_0, {0}", // ICC_PMR_EL1
                "mov {0}, #1",
                "msr S3_0_C12_C12_7, {0}", // ICC_IGRPEN1_EL1
                "isb",
                out(reg) _,
                options(nomem, nostack)
            );
        }
        Some(Self(()))
    }

    /// Ends the last interrupt, sleeps until it is pending again, and takes it.
    pub fn wait(&mut self) {
        self.end();
        while !self.take() {
            // SAFETY: a masked interrupt that is pending ends it too.
            unsafe {
                asm!("wfi", options(nomem, nostack));
            }
        }
    }

    /// Takes the interrupt if it is pending; returns whether it was. It does not
    /// come again before its [`end`](Self::end).
    pub fn take(&mut self) -> bool {
        // SAFETY: the vector saves every register and masks interrupts again;
        // what it writes to memory, it writes through atomics.
        unsafe {
            asm!(
                "msr daifclr, #2",
                "isb",
                ".rept 64",
                "nop",
                ".endr",
                "msr daifset, #2",
                "isb",
            );
        }
        ACTIVE.load(Ordering::Relaxed) == WANTED.load(Ordering::Relaxed)
    }

    /// Ends the acknowledged interrupt, if there is one.
    pub fn end(&mut self) {
        let intid = ACTIVE.load(Ordering::Relaxed);
        if intid < SPECIAL {
            ACTIVE.store(SPECIAL, Ordering::Relaxed);
            // SAFETY: ends the interrupt that was acknowledged; ICC_EOIR1_EL1.
            unsafe {
                asm!("msr S3_0_C12_C12_1, {0}", "isb", in(reg) u64::from(intid), options(nostack));
            }
        }
    }
}

/// Called by the vector in start.S, with interrupts masked.
#[unsafe(no_mangle)]
extern "C" fn bare_metal_interrupt() {
    let intid: u64;
    // SAFETY: acknowledges the interrupt that was signalled; ICC_IAR1_EL1.
    unsafe {
        asm!("mrs {0}, S3_0_C12_C12_0", "dsb sy", out(reg) intid, options(nostack));
    }
    // A spurious INTID means that it was withdrawn before it was acknowledged.
    if let Ok(intid) = u32::try_from(intid)
        && intid < SPECIAL
    {
        ACTIVE.store(intid, Ordering::Relaxed);
    }
}
