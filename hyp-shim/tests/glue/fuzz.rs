// SPDX-License-Identifier: MIT
//! The parameters of the private interface, in any order and with any value: `monkey.c`
//! on the glue as built for the host. A target of `fuzz/`.
#![no_main]

use hyp_shim as _;

#[link(name = "glue", kind = "static")]
unsafe extern "C" {
    fn monkey(data: *const u8, size: usize);
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // SAFETY: `monkey` reads `size` bytes at `data`, keeps no pointer, and libFuzzer
    // calls it from one thread.
    unsafe { monkey(data.as_ptr(), data.len()) }
});
