// SPDX-License-Identifier: MIT
//! The cases, by subject.

/// Lists the cases of a module, each with its source.
macro_rules! cases {
    ($group:literal: $($name:ident $source:literal,)*) => {
        pub(super) const CASES: &[crate::Case] = &[$(crate::Case {
            group: $group,
            name: stringify!($name),
            source: $source,
            run: $name,
        }),*];
    };
}

mod drivers;
mod errors;
mod identity;
mod interrupts;
mod loopback;
mod receive;
mod registers;
mod regressions;
mod transmit;
mod widths;

use crate::Case;

/// Every case, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        registers::CASES,
        identity::CASES,
        widths::CASES,
        transmit::CASES,
        receive::CASES,
        interrupts::CASES,
        errors::CASES,
        regressions::CASES,
        drivers::CASES,
        loopback::CASES,
    ]
    .into_iter()
    .flatten()
}
