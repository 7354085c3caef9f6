// SPDX-License-Identifier: MIT
//! Limits of the number of connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most connections at once, including terminals: in total, and by address.
const MOST: usize = 1024;
const EACH_MOST: usize = 128;

/// Places for connections.
pub(crate) struct Room {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Held while a connection, or the terminal that it became, is open.
pub(crate) struct Place {
    _of_all: OwnedSemaphorePermit,
    address: Option<IpAddr>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            by_address: Arc::default(),
        }
    }
}

impl Room {
    /// A place for a connection from that address, or from the proxy, if there is
    /// one left.
    pub(crate) fn take(&self, address: Option<IpAddr>) -> Option<Arc<Place>> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        if let Some(address) = address {
            let mut counts = self
                .by_address
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(address).or_default();
            if *count >= EACH_MOST {
                return None;
            }
            *count += 1;
        }
        Some(Arc::new(Place {
            _of_all: of_all,
            address,
            by_address: Arc::clone(&self.by_address),
        }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self
            .by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others() {
        let room = Room::default();
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let held: Vec<_> = (0..EACH_MOST).map(|_| room.take(one).unwrap()).collect();
        assert!(room.take(one).is_none());
        assert!(room.take(other).is_some());
        drop(held);
        assert!(room.take(one).is_some(), "places come back");
        let proxy: Vec<_> = (0..MOST).map(|_| room.take(None).unwrap()).collect();
        assert!(room.take(None).is_none() && room.take(other).is_none());
        drop(proxy);
        assert!(room.by_address.lock().unwrap().is_empty());
    }
}
