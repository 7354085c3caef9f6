// SPDX-License-Identifier: MIT
//! The ring and its doorbells under every order in which two sides can run, and
//! every order in which one can see the other's stores.
//!
//! [loom](https://docs.rs/loom) runs a model repeatedly, once for each such order.
//! It reports a side that sleeps without a wake-up to come as a deadlock. So it
//! finds every lost wake-up, and every byte that is lost, repeated or read before
//! it was written.
#![forbid(unsafe_code)]

mod backend;
mod machine;
mod page;

pub use backend::{Backend, Old, Ours};
pub use machine::{Machine, Start};
pub use page::{Barriers, Shared};

use loom::model::Builder;

/// How often a side may be preempted where it does not wait. Every order with at
/// most so many preemptions is tried.
const PREEMPTIONS: usize = 2;

/// Runs `model` in every order.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 20_000;
    builder.check(model);
}
