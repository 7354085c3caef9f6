// SPDX-License-Identifier: MIT
//! The peer of a connection.

use std::os::fd::AsFd;

use crate::access::{Caller, Way};

/// Gets the peer's credentials from the kernel; without them it is an unknown caller.
pub(crate) fn caller(stream: impl AsFd, way: Way) -> Caller {
    match xen_io::peer::of(stream) {
        Ok(peer) => Caller {
            uid: peer.uid,
            groups: [peer.gid].into_iter().chain(peer.groups).collect(),
            pid: peer.pid,
            way,
            tenant: None,
        },
        Err(error) => {
            tracing::warn!("the caller cannot be identified: {error}");
            Caller::unknown(way)
        }
    }
}
