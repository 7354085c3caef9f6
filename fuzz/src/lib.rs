// SPDX-License-Identifier: MIT
//! The fuzz targets: each module has a `run` that takes any bytes and panics when a
//! property fails. libFuzzer calls them through the targets in `fuzz_targets/`;
//! [`seeds`] makes its first inputs. The target `mmio` is in `tests/oracle`.
#![forbid(unsafe_code)]

pub mod browser;
pub mod ring_peer;
pub mod rules;
pub mod seeds;
pub mod session;
pub mod snapshot;
pub mod trap;
pub mod xenstore;

use arbitrary::{Arbitrary, Unstructured};

/// As many values as `data` contains.
fn all<T: for<'a> Arbitrary<'a>>(data: &[u8]) -> impl Iterator<Item = T> {
    let mut input = Unstructured::new(data);
    std::iter::from_fn(move || {
        if input.is_empty() {
            return None;
        }
        input.arbitrary().ok()
    })
}
