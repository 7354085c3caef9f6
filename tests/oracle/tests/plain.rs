// SPDX-License-Identifier: MIT
//! Cases generated from consecutive numbers. `ORACLE_CASES` is their count, and
//! `ORACLE_FIRST` the first.

use std::thread;

use oracle::{At, Case, Step, Wide};

/// The default count.
const CASES: u64 = if cfg!(debug_assertions) {
    20_000
} else {
    1_000_000
};

/// Bytes of a case.
const LENGTH: usize = 96;

/// The case of a number.
fn case(number: u64) -> Case {
    let mut bytes = [0; LENGTH];
    let mut state = number;
    for chunk in bytes.chunks_exact_mut(8) {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(word ^ word >> 31).to_le_bytes());
    }
    Case::of(&bytes)
}

/// Prints the case when a panic ends it.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("case {}: {:?}", self.0, case(self.0));
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name}: {value}")),
        Err(_) => default,
    }
}

#[test]
fn device_and_oracle_agree() {
    let first = number("ORACLE_FIRST", 0);
    let cases = number("ORACLE_CASES", CASES);
    for number in first..first + cases {
        let running = Running(number);
        case(running.0).run();
    }
    println!("{cases} cases");
}

/// A case that was found after 330,000 others: each waiting character counts as
/// written, however it is sent.
#[test]
fn characters_that_waited_are_in_flight_too() {
    for sbsa in [false, true] {
        let steps = vec![
            Step::Send(1, b'x'),
            Step::Room(100),
            Step::Send(32, b'y'),
            Step::Read(At::Register(6), Wide::Word),
            Step::Poll(At::Register(6), 3),
        ];
        let case = Case {
            sbsa,
            room: 0,
            steps,
        };
        case.run();
    }
}
