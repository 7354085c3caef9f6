// SPDX-License-Identifier: MIT
//! What is run in emulated machines, and for people to see.

pub(crate) mod boot;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod e2e;
pub(crate) mod outside;
pub(crate) mod soak;
