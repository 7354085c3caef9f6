// SPDX-License-Identifier: MIT
//! The console ring: its layout, its two ends and the transfers between them.

mod ages;
mod doorbells;
mod exhaustive;
mod hostile;
mod interrupted;
mod layout;
mod snapshot;
mod threads;
mod transfer;
mod versions;

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Outcome, Profile, Uart};

const DR: u16 = 0x000;
const FR: u16 = 0x018;
const LCR_H: u16 = 0x02C;
const FEN: u32 = 1 << 4;
const TXFF: u32 = 1 << 5;
const RXFE: u32 = 1 << 4;

type Guest<'page> = Uart<RingPort<&'page AtomicPage>>;

/// A UART with FIFOs on the page, and a backend attached as a daemon does.
fn attach(page: &AtomicPage) -> (Guest<'_>, RingPeer<&AtomicPage>) {
    attach_to(Profile::Pl011, page)
}

/// The same for a profile; one without `LCR_H` always has FIFOs.
fn attach_to(profile: Profile, page: &AtomicPage) -> (Guest<'_>, RingPeer<&AtomicPage>) {
    let mut guest = Uart::with_profile(profile, RingPort::new(page));
    let outcome = write(&mut guest, LCR_H, FEN);
    assert!(!outcome.doorbell);
    let peer = RingPeer::new(page);
    assert!(!guest.backend_event().doorbell);
    (guest, peer)
}

fn read(guest: &mut Guest, offset: u16) -> Outcome {
    guest.read(Access::new(offset, Width::Word))
}

fn write(guest: &mut Guest, offset: u16, value: u32) -> Outcome {
    guest.write(Access::new(offset, Width::Word), value)
}

/// Writes each byte to DR; returns how many rang the doorbell.
fn send(guest: &mut Guest, bytes: &[u8]) -> usize {
    bytes
        .iter()
        .filter(|&&byte| write(guest, DR, byte.into()).doorbell)
        .count()
}

/// Reads DR until RXFE; returns the bytes, and how many reads rang the doorbell.
fn receive(guest: &mut Guest) -> (Vec<u8>, usize) {
    let (mut bytes, mut doorbells) = (Vec::new(), 0);
    while read(guest, FR).value & RXFE == 0 {
        let outcome = read(guest, DR);
        bytes.push(outcome.value.to_le_bytes()[0]);
        doorbells += usize::from(outcome.doorbell);
    }
    (bytes, doorbells)
}

/// Takes all output.
fn take(peer: &mut RingPeer<&AtomicPage>) -> (Vec<u8>, bool) {
    let mut buffer = vec![0; 5000];
    let taken = peer.take_out(&mut buffer);
    buffer.truncate(taken.bytes);
    (buffer, taken.notify)
}

/// `count` bytes that distinguish loss from reordering.
fn pattern(count: usize) -> Vec<u8> {
    (0..count)
        .map(|i| (i * 7 + i / 251).to_le_bytes()[0])
        .collect()
}
