// SPDX-License-Identifier: MIT
//! The device against its specification: the conformance suite, what lies
//! beyond its reach, and what holds after any accesses at all.
//! docs/design/requirements.md lists which test shows what.
#![expect(
    clippy::cast_possible_truncation,
    reason = "tests cut values to bytes on purpose"
)]

mod bench;
mod beside;
mod conformance;
mod flight;
mod held;
mod liveness;
mod profile;
mod properties;
mod trap;
