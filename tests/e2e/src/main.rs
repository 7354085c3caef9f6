// SPDX-License-Identifier: MIT
//! e2e
fn main() {}
