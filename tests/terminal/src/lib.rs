// SPDX-License-Identifier: MIT
//! For tests with consoles: a terminal, programs in it or between pipes, the output
//! so far and how much of it was checked, programs that a test makes, and waiting.
#![forbid(unsafe_code)]

mod install;
mod program;
mod screen;

use std::time::{Duration, Instant};

pub use install::install;
pub use program::{Program, Terminal, is_ready};
pub use screen::Screen;

/// The time limit of any operation, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `what` returns a value.
///
/// # Panics
///
/// When it returns none in time.
pub fn wait_for<T>(why: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = what() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {why}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Random bytes without repeated parts.
#[must_use]
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(length)
    .collect()
}
