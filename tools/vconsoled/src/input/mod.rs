// SPDX-License-Identifier: MIT
//! Input on its way to a ring.

pub(crate) mod journal;
