// SPDX-License-Identifier: MIT
//! `vpl011-qtest` as a program, and compared with QEMU's own PL011.

mod common;
mod differential;
mod family;
mod program;
mod side;
