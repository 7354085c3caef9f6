// SPDX-License-Identifier: MIT
//! The device behind a C ABI.
#![cfg_attr(target_os = "none", no_std)]
