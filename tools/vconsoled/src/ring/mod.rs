// SPDX-License-Identifier: MIT
//! Our end of a ring.

pub(crate) mod doorbell;
