// SPDX-License-Identifier: MIT
//! Insertions into a source tree: [`HookSet`] makes them, and [`export`] writes
//! them as a series of patches.
#![forbid(unsafe_code)]

mod hooks;
mod series;

pub use self::hooks::{Changes, HookSet, known_versions};
pub use self::series::{export, export_set};
