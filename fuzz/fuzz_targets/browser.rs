// SPDX-License-Identifier: MIT
//! See `vpl011_fuzz::browser`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vpl011_fuzz::browser::run(data));
