// SPDX-License-Identifier: MIT
//! The device against its specification: the conformance suite, cases that it
//! cannot run, and properties after any accesses. docs/design/requirements.md lists
//! the tests of each requirement.
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
