// SPDX-License-Identifier: MIT
//! vconsoled
fn main() {}
