// SPDX-License-Identifier: MIT
//! A Xen host inside the process.
