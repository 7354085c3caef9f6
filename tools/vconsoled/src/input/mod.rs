// SPDX-License-Identifier: MIT
//! Typed bytes on their way to a ring.

pub(crate) mod journal;
