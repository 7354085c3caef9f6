// SPDX-License-Identifier: MIT
//! The far side of a serial line that ends in a ring, as the conformance suite
//! requires it: it takes as many bytes as requested, when requested.

use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;

/// The backend's end of a ring, with output not yet fetched, and input not yet in
/// the ring.
#[derive(Debug)]
pub struct FarSide<M> {
    ring: RingPeer<M>,
    held: bool,
    output: Vec<u8>,
    input: Vec<u8>,
}

impl<M: RingMemory> FarSide<M> {
    /// Attaches to a ring. The far end must be notified once.
    pub fn new(ring: RingPeer<M>) -> Self {
        Self {
            ring,
            held: false,
            output: Vec::new(),
            input: Vec::new(),
        }
    }

    /// Takes `take` bytes while held, otherwise all; then sends `input` after the
    /// input that still waits for room. Returns whether the far end must be
    /// notified.
    #[must_use = "the far end may be waiting for a notification"]
    pub fn exchange(&mut self, take: usize, input: &[u8]) -> bool {
        self.input.extend(input);
        let limit = if self.held { take } else { usize::MAX };
        let mut notify = self.take(limit);
        let put = self.ring.put_in(&self.input);
        self.input.drain(..put.bytes);
        notify |= put.notify;
        notify
    }

    /// Handles a notification: takes output, unless held, and sends input that
    /// waits for room. Returns whether the far end must be notified.
    #[must_use = "the far end may be waiting for a notification"]
    pub fn work(&mut self) -> bool {
        self.exchange(0, &[])
    }

    /// Holds output, so that only requested bytes are taken, or takes everything
    /// again.
    #[must_use = "the far end may be waiting for a notification"]
    pub fn hold(&mut self, hold: bool) -> bool {
        self.held = hold;
        self.work()
    }

    /// Drops output, and input that waits for room; takes everything again.
    #[must_use = "the far end may be waiting for a notification"]
    pub fn reset(&mut self) -> bool {
        self.input.clear();
        let notify = self.hold(false);
        self.output.clear();
        notify
    }

    /// Returns up to `most` bytes of the output taken.
    pub fn output(&mut self, most: usize) -> Vec<u8> {
        self.output.drain(..most.min(self.output.len())).collect()
    }

    /// Takes up to `limit` bytes out of the ring.
    fn take(&mut self, limit: usize) -> bool {
        let mut notify = false;
        let mut left = limit;
        loop {
            let mut buffer = [0; 2048];
            let part = left.min(buffer.len());
            let taken = self.ring.take_out(&mut buffer[..part]);
            notify |= taken.notify;
            self.output.extend(&buffer[..taken.bytes]);
            left -= taken.bytes;
            if taken.bytes == 0 {
                return notify;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vpl011::Backend;
    use vpl011::ring::fake::AtomicPage;
    use vpl011::ring::port::RingPort;

    use super::*;

    #[test]
    fn while_held_it_takes_the_requested_bytes() {
        let page = AtomicPage::new();
        let mut port = RingPort::new(&page);
        let mut far = FarSide::new(RingPeer::new(&page));
        let _ = far.hold(true);
        for byte in *b"abcdef" {
            let _ = port.try_send(byte);
        }
        assert!(!far.work());
        assert_eq!(far.output(100), b"");
        assert!(far.exchange(2, b""));
        assert_eq!(far.output(100), b"ab");
        assert!(far.hold(false));
        assert_eq!(far.output(3), b"cde");
        assert_eq!(far.output(3), b"f");
    }

    #[test]
    fn input_past_the_ring_waits() {
        let page = AtomicPage::new();
        let mut port = RingPort::new(&page);
        let mut far = FarSide::new(RingPeer::new(&page));
        let input: Vec<u8> = (0..1500).map(|n: u32| n.to_le_bytes()[0]).collect();
        let _ = far.exchange(0, &input);
        let mut received = Vec::new();
        while received.len() < input.len() {
            while let Some(byte) = port.try_recv() {
                received.push(byte);
            }
            let _ = port.acknowledge();
            let _ = far.work();
            let _ = port.look();
        }
        assert_eq!(received, input);
    }
}
