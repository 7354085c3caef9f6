// SPDX-License-Identifier: MIT
//! Requirements of a PL011, as cases that run on any PL011: the model in this process,
//! QEMU's, Xen's own, and ours in Xen.
//!
//! A case is a function over [`Uart`], which reaches the device through a
//! [`Target`]: its registers, its interrupt line, and the peer at the far end of
//! its serial line. Each case names its source: a section of the TRM (Arm DDI
//! 0183G), a driver that relies on it, or a decision of this project (`Dn`, `Cn`
//! and `Rn` of docs/design/requirements.md). No case waits without bound, and each one
//! starts from the reset state, so that a failed case does not affect others.
//!
//! [`drivers`] holds the access sequences of real systems' drivers. [`family`] has
//! other ways in which a driver may receive. [`protocol`] carries requests to a peer in
//! another program.
#![no_std]
#![forbid(unsafe_code)]

mod cases;
pub mod drivers;
pub mod family;
pub mod protocol;
pub mod registers;
mod target;
mod uart;

use core::fmt;

pub use cases::all;
pub use target::{Abort, NotPossible, Target, Width};
pub use uart::{Uart, pattern};

/// One requirement of a PL011.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its subject: the module that holds it.
    pub group: &'static str,
    /// Its name, unique within the group.
    pub name: &'static str,
    /// The source of the requirement.
    pub source: &'static str,
    run: fn(&mut Uart<'_>) -> Verdict,
}

impl Case {
    /// Brings the device to the reset state and runs the case on it.
    pub fn run(&self, target: &mut dyn Target) -> Verdict {
        let mut uart = Uart::quiesced(target)?;
        (self.run)(&mut uart)?;
        uart.met_no_abort()
    }
}

/// The result of a case, or of a step of it.
pub type Verdict<T = ()> = Result<T, Stop>;

/// Why a case ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The device did not meet the requirement.
    Failed(Failure),
    /// The target or its peer lacks something that the case needs.
    NotPossible(NotPossible),
}

/// The seen and the expected value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which check of the case, from 1.
    pub check: u16,
    /// What was checked.
    pub what: &'static str,
    /// The expected value.
    pub expected: u32,
    /// The value seen.
    pub seen: u32,
}

impl From<NotPossible> for Stop {
    fn from(reason: NotPossible) -> Self {
        Self::NotPossible(reason)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::NotPossible(NotPossible(reason)) => f.write_str(reason),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            what,
            expected,
            seen,
        } = self;
        write!(
            f,
            "check {check}: {what} is {seen:#x}, expected {expected:#x}"
        )
    }
}
