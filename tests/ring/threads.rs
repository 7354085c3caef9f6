// SPDX-License-Identifier: MIT
//! The two ends on two threads that sleep until they are notified: a missing
//! notification hangs the test, which then fails by a timeout.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::{Outcome, Uart};

use crate::{DR, FEN, FR, Guest, LCR_H, RXFE, TXFF, pattern, read, write};

const PATIENCE: Duration = Duration::from_secs(20);
const BYTES: usize = 200_000;

/// A doorbell or notification: several rings may wake only once.
struct Bell {
    rung: Receiver<()>,
    peer: &'static str,
}

impl Bell {
    fn new(peer: &'static str) -> (Sender<()>, Self) {
        let (ringer, rung) = channel();
        (ringer, Self { rung, peer })
    }

    /// Sleeps until rung; `false` when the other side has ended.
    fn wait(&self) -> bool {
        match self.rung.recv_timeout(PATIENCE) {
            Ok(()) => {
                while self.rung.try_recv().is_ok() {}
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("{} was never woken", self.peer),
        }
    }
}

/// The hypervisor's lock around the device; the doorbell is rung after it.
fn locked<'page>(
    guest: &Mutex<Guest<'page>>,
    doorbell: &Sender<()>,
    entry: impl FnOnce(&mut Guest<'page>) -> Outcome,
) -> Outcome {
    let outcome = entry(&mut guest.lock().unwrap());
    if outcome.doorbell {
        let _ = doorbell.send(());
    }
    outcome
}

#[derive(Clone, Copy)]
struct Habits {
    /// Announces and arms the event index.
    event_index: bool,
    /// Bytes taken at once.
    portion: usize,
}

/// Takes all output, sleeping until the doorbell rings. A notification of the
/// guest's side is a call into it, as into the hypervisor.
fn backend_takes(
    page: &AtomicPage,
    habits: Habits,
    bell: &Bell,
    notify: impl Fn(),
    most: usize,
) -> Vec<u8> {
    let mut peer = RingPeer::new(page);
    if habits.event_index {
        peer.enable_event_index();
    }
    notify();
    let mut got = Vec::new();
    let mut buffer = vec![0; habits.portion];
    while got.len() < most {
        let taken = peer.take_out(&mut buffer);
        got.extend(&buffer[..taken.bytes]);
        if taken.notify {
            notify();
        }
        if taken.bytes == buffer.len() || got.len() == most {
            continue;
        }
        if habits.event_index && peer.arm_out(1) {
            continue;
        }
        assert!(bell.wait(), "the guest is gone");
    }
    got
}

fn output_through_threads(habits: Habits) {
    let page = AtomicPage::new();
    let guest = Mutex::new(Uart::new(RingPort::new(&page)));
    let (ringer, bell) = Bell::new("the backend");
    let own_ringer = ringer.clone();
    let bytes = pattern(BYTES);
    thread::scope(|scope| {
        let (page, guest) = (&page, &guest);
        let _ = locked(guest, &ringer, |guest| write(guest, LCR_H, FEN));
        let backend = scope.spawn(move || {
            let notify = || {
                let _ = locked(guest, &own_ringer, Uart::backend_event);
            };
            backend_takes(page, habits, &bell, notify, BYTES)
        });
        for &byte in &bytes {
            while locked(guest, &ringer, |guest| read(guest, FR)).value & TXFF != 0 {
                assert!(!backend.is_finished(), "the backend is gone");
                thread::yield_now();
            }
            let _ = locked(guest, &ringer, |guest| write(guest, DR, byte.into()));
        }
        assert!(
            backend.join().unwrap() == bytes,
            "bytes lost or out of order"
        );
    });
    assert_eq!(guest.lock().unwrap().backend().traffic().resyncs, 0);
}

#[test]
fn output_by_doorbells() {
    output_through_threads(Habits {
        event_index: false,
        portion: 100,
    });
    output_through_threads(Habits {
        event_index: false,
        portion: 4096,
    });
}

#[test]
fn output_by_event_index() {
    output_through_threads(Habits {
        event_index: true,
        portion: 100,
    });
    output_through_threads(Habits {
        event_index: true,
        portion: 4096,
    });
}

/// The guest sleeps until its interrupt, the backend until its doorbell.
fn input_through_threads(event_index: bool) {
    const IMSC: u16 = 0x038;
    const RX_RT: u32 = 0x50;
    let page = AtomicPage::new();
    let guest = Mutex::new(Uart::new(RingPort::new(&page)));
    let (ringer, bell) = Bell::new("the backend");
    let (interrupt, line) = Bell::new("the guest");
    let bytes = Arc::new(pattern(BYTES));
    let _ = locked(&guest, &ringer, |guest| write(guest, LCR_H, FEN));
    let _ = locked(&guest, &ringer, |guest| write(guest, IMSC, RX_RT));
    thread::scope(|scope| {
        let own_ringer = ringer.clone();
        let (page, guest, bytes) = (&page, &guest, bytes.clone());
        let backend_bytes = bytes.clone();
        scope.spawn(move || {
            let mut peer = RingPeer::new(page);
            if event_index {
                peer.enable_event_index();
            }
            let notify = || {
                let outcome = locked(guest, &own_ringer, Uart::backend_event);
                if !outcome.pending.is_empty() {
                    let _ = interrupt.send(());
                }
            };
            notify();
            let mut given = 0;
            while given < backend_bytes.len() {
                let put = peer.put_in(&backend_bytes[given..]);
                given += put.bytes;
                if put.notify {
                    notify();
                }
                if given == backend_bytes.len() || (event_index && peer.arm_in(256)) {
                    continue;
                }
                if !event_index && peer.in_space() > 0 {
                    continue;
                }
                assert!(bell.wait());
            }
        });
        let mut got = Vec::new();
        while got.len() < BYTES {
            let flags = locked(guest, &ringer, |guest| read(guest, FR));
            if flags.value & RXFE == 0 {
                let outcome = locked(guest, &ringer, |guest| read(guest, DR));
                got.push(outcome.value.to_le_bytes()[0]);
            } else if flags.pending.is_empty() {
                assert!(line.wait(), "the backend is gone");
            }
        }
        assert!(got == *bytes, "bytes lost or out of order");
    });
}

#[test]
fn input_by_doorbells() {
    input_through_threads(false);
}

#[test]
fn input_by_event_index() {
    input_through_threads(true);
}
