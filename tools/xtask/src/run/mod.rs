// SPDX-License-Identifier: MIT
//! Commands that run emulated machines and demonstrations.

pub(crate) mod boot;
pub(crate) mod conformance;
pub(crate) mod demo;
pub(crate) mod e2e;
pub(crate) mod install;
pub(crate) mod outside;
pub(crate) mod soak;
