// SPDX-License-Identifier: MIT
//! The guest's end of a console.

use std::time::{Duration, Instant};

use vpl011::backend::{Backend, Sent};
use vpl011::ring::port::RingPort;
use xen_io::Page;
use xen_io::fake::{Console, Line};

use crate::PATIENCE;

/// The polling interval.
const LOOK: Duration = Duration::from_millis(20);

/// A program on a console inside a guest.
pub struct Guest {
    ring: RingPort<Page>,
    line: Line,
}

impl Guest {
    pub(crate) fn new(console: Console) -> Self {
        Self {
            ring: RingPort::new(console.page),
            line: console.line,
        }
    }

    /// Prints bytes; returns when all of them are in the ring.
    ///
    /// # Panics
    ///
    /// When the ring stays full.
    pub fn send(&mut self, bytes: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        for byte in bytes {
            loop {
                match self.ring.try_send(*byte) {
                    Sent::Full => {
                        assert!(Instant::now() < deadline, "the ring stays full");
                        self.line.notify();
                        let _notified = self.line.wait(LOOK);
                        let _again = self.ring.look();
                    }
                    Sent::Ring => break self.line.notify(),
                    Sent::Quiet => break,
                }
            }
        }
        self.line.notify();
    }

    /// Receives exactly so many bytes of input.
    ///
    /// # Panics
    ///
    /// When fewer arrive in time.
    pub fn receive(&mut self, length: usize) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            assert!(
                Instant::now() < deadline,
                "{} of {length} bytes came: {:?}",
                bytes.len(),
                String::from_utf8_lossy(&bytes)
            );
            if let Some(byte) = self.ring.try_recv() {
                bytes.push(byte);
                continue;
            }
            if self.ring.acknowledge() {
                self.line.notify();
            }
            let _notified = self.line.wait(LOOK);
            if self.ring.look() {
                self.line.notify();
            }
        }
        if self.ring.acknowledge() {
            self.line.notify();
        }
        bytes
    }

    /// Answers every line with `echo: ` and the line, until one is `off`.
    pub fn echo(&mut self) {
        let mut line = Vec::new();
        while line != b"off" {
            line.clear();
            loop {
                match self.receive(1)[0] {
                    b'\r' | b'\n' => break,
                    byte => line.push(byte),
                }
            }
            let answer = format!("echo: {}\r\n", String::from_utf8_lossy(&line));
            self.send(answer.as_bytes());
        }
    }
}
