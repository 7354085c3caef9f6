// SPDX-License-Identifier: MIT
//! vconsole
fn main() {}
