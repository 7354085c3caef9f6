// SPDX-License-Identifier: MIT
//! xen-io
