// SPDX-License-Identifier: MIT
//! The checks: those of `cargo xtask test`, and those by external tools, which are too
//! slow or too large to download for every run.

pub(crate) mod audit;
pub(crate) mod coverage;
pub(crate) mod fuzz;
pub(crate) mod hosts;
pub(crate) mod miri;
pub(crate) mod misra;
pub(crate) mod mutants;
pub(crate) mod published;
pub(crate) mod table;
mod tally;
pub(crate) mod test;
