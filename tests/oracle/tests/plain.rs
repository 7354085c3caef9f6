// SPDX-License-Identifier: MIT
//! Cases that differ in nothing but a number. `ORACLE_CASES` says how many,
//! and `ORACLE_FIRST` where they begin.

use std::thread;

use oracle::{At, Case, Step, Wide};

/// Cases of a run in which nobody says how many.
const CASES: u64 = if cfg!(debug_assertions) {
    20_000
} else {
    1_000_000
};

/// Bytes of a case.
const LENGTH: usize = 96;

/// A case by its number.
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

/// Says which case it is that a panic ends.
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

/// A case that took 330,000 others to be found: of the characters that wait
/// each counts as written, however it leaves.
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
