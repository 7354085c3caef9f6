// SPDX-License-Identifier: MIT
//! The parts of every `xtask` command: steps with keys and logs, the programs that they
//! start, the pinned files that they use, and the output for users. It is independent
//! of what is built.
#![forbid(unsafe_code)]

pub mod cargo;
mod dirs;
pub mod files;
mod key;
pub mod process;
mod progress;
mod step;
mod tool;

pub use self::dirs::Dirs;
pub use self::files::write;
pub use self::key::Key;
pub use self::progress::Progress;
pub use self::step::{Busy, Cx, Steps, end_of};
pub use self::tool::install;
