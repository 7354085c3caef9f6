// SPDX-License-Identifier: MIT
//! `vpl011-qtest` as a program, and beside QEMU's own PL011.

mod common;
mod differential;
mod family;
mod program;
mod side;
