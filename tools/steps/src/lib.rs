// SPDX-License-Identifier: MIT
//! What every command of `xtask` is made of: steps with keys and logs, the programs
//! that they start, the pinned files that they take, and the lines that users see.
//! It is independent of what is built.
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
