// SPDX-License-Identifier: MIT
//! What every command is made of: folders, steps with keys and logs, programs
//! that are started, and the lines that people see.

pub(crate) mod cargo;
pub(crate) mod dirs;
pub(crate) mod files;
pub(crate) mod origins;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod step;
pub(crate) mod tool;
