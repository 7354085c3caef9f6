// SPDX-License-Identifier: MIT
//! Changes to a domain's memory map, one frame at a time, for tools that build a
//! domain by hand or test what Xen refuses.

use std::io;

use vpl011::ring::memory::RingMemory;

use super::{LIST, Privcmd, abi, hypercall};
use crate::types::{DomId, Gfn};

const DECREASE_RESERVATION: u64 = 1;
const POPULATE_PHYSMAP: u64 = 6;
const REMOVE_FROM_PHYSMAP: u64 = 15;

impl Privcmd {
    /// Returns the frame at `gfn` to Xen. `false` if Xen did not take it, for
    /// example because there is none.
    pub fn decrease_reservation(&self, domid: DomId, gfn: Gfn) -> io::Result<bool> {
        self.reservation(DECREASE_RESERVATION, domid, gfn)
    }

    /// Allocates a frame at `gfn`. `false` if Xen had none.
    pub fn populate_physmap(&self, domid: DomId, gfn: Gfn) -> io::Result<bool> {
        self.reservation(POPULATE_PHYSMAP, domid, gfn)
    }

    /// Removes the frame at `gfn` from the domain's address space.
    pub fn remove_from_physmap(&self, domid: DomId, gfn: Gfn) -> io::Result<()> {
        let mut op = abi::RemoveFromPhysmap {
            domid: domid.0,
            gpfn: gfn.0,
            ..Default::default()
        };
        self.command(hypercall::MEMORY_OP, REMOVE_FROM_PHYSMAP, &mut op)?;
        Ok(())
    }

    fn reservation(&self, command: u64, domid: DomId, gfn: Gfn) -> io::Result<bool> {
        let bounce = self.bounce();
        bounce.store_bytes(LIST, &gfn.0.to_ne_bytes());
        bounce.barrier();
        let mut op = abi::MemoryReservation {
            extent_start: bounce.address() + LIST as u64,
            nr_extents: 1,
            domid: domid.0,
            ..Default::default()
        };
        let extents = self.command_in(&bounce, hypercall::MEMORY_OP, command, &mut op)?;
        Ok(extents == 1)
    }
}
