// SPDX-License-Identifier: MIT
//! The ring and its doorbells under every order in which two sides can run,
//! and every order in which one can see the other's stores.
//!
//! [loom](https://docs.rs/loom) runs a model again and again, once for each
//! such order. A side that sleeps while nothing is left to wake it is found as
//! a deadlock: so a lost wake-up cannot hide, nor can a byte that is lost,
//! repeated or read before it was written.
#![forbid(unsafe_code)]

mod backend;
mod machine;
mod page;

pub use backend::{Backend, Old, Ours};
pub use machine::{Machine, Start};
pub use page::{Barriers, Shared};

use loom::model::Builder;

/// How often a side may be interrupted where it does not wait. Each order with
/// no more interruptions is tried.
const PREEMPTIONS: usize = 2;

/// Tries `model` in every order.
pub fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 20_000;
    builder.check(model);
}
