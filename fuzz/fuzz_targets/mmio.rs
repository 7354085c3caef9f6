// SPDX-License-Identifier: MIT
//! See `tests/oracle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::Case::of(data).run());
