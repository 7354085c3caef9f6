// SPDX-License-Identifier: MIT
//! A machine with one device: the UART on a ring of real size, and its line.

use std::collections::VecDeque;

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Outcome, Profile, Uart};

use crate::protocol::Command;

/// Size of the device's frame in bytes.
const FRAME: u64 = 0x1000;

/// The machine, answering one command at a time.
pub(crate) struct Machine<'page> {
    base: u64,
    clock_ns: u64,
    uart: Uart<RingPort<&'page AtomicPage>>,
    peer: RingPeer<&'page AtomicPage>,
    line: bool,
    intercepted: bool,
    output: String,
}

impl<'page> Machine<'page> {
    /// A device after reset at guest physical address `base`.
    pub(crate) fn new(base: u64, profile: Profile, page: &'page AtomicPage) -> Self {
        Self {
            base,
            clock_ns: 0,
            uart: Uart::with_profile(profile, RingPort::new(page)),
            peer: RingPeer::new(page),
            line: false,
            intercepted: false,
            output: String::new(),
        }
    }

    /// Runs a command. Its answer, and any change of the line before it, go to
    /// [`take_output`](Self::take_output).
    pub(crate) fn run(&mut self, command: &Command) {
        let answer = match *command {
            Command::Read { width, address } => match self.access(address, width) {
                Ok(access) => {
                    let outcome = self.uart.read(access);
                    self.settle(outcome);
                    format!("OK 0x{:016x}", outcome.value)
                }
                Err(answer) => answer,
            },
            Command::Write {
                width,
                address,
                value,
            } => match self.access(address, width) {
                Ok(access) => {
                    // The bits above the width are ignored, as on a bus.
                    let outcome = self.uart.write(access, (value & 0xFFFF_FFFF) as u32);
                    self.settle(outcome);
                    "OK".to_owned()
                }
                Err(answer) => answer,
            },
            Command::ClockStep { ns } => {
                self.clock_ns = self.clock_ns.saturating_add(ns);
                format!("OK {}", self.clock_ns)
            }
            Command::IrqInterceptIn => {
                self.intercepted = true;
                "OK".to_owned()
            }
        };
        self.say(&answer);
    }

    /// Answers an invalid line.
    pub(crate) fn fail(&mut self, why: &dyn std::fmt::Display) {
        self.say(&format!("FAIL {why}"));
    }

    /// The answers since the last call, as whole lines.
    pub(crate) fn take_output(&mut self) -> String {
        std::mem::take(&mut self.output)
    }

    /// Bytes that the guest's side has room for now.
    pub(crate) fn input_space(&self) -> usize {
        self.peer.in_space()
    }

    /// Gives bytes to the guest's side; the caller has checked the space.
    pub(crate) fn put_input(&mut self, bytes: &[u8]) {
        let put = self.peer.put_in(bytes);
        debug_assert_eq!(put.bytes, bytes.len());
        if put.notify {
            self.backend_event();
        }
    }

    /// Takes up to `most` bytes of the guest's output.
    pub(crate) fn take_guest_output(&mut self, into: &mut VecDeque<u8>, most: usize) {
        let mut chunk = vec![0; most];
        let taken = self.peer.take_out(&mut chunk);
        into.extend(&chunk[..taken.bytes]);
        if taken.notify {
            self.backend_event();
        }
    }

    fn backend_event(&mut self) {
        let outcome = self.uart.backend_event();
        self.settle(outcome);
    }

    /// The doorbell needs no answer here: the serving loop looks at the ring
    /// before it sleeps.
    fn settle(&mut self, outcome: Outcome) {
        let line = !outcome.pending.is_empty();
        if line != self.line {
            self.line = line;
            if self.intercepted {
                self.say(if line { "IRQ raise 0" } else { "IRQ lower 0" });
            }
        }
    }

    fn access(&self, address: u64, width: Width) -> Result<Access, String> {
        let offset = address
            .checked_sub(self.base)
            .filter(|offset| *offset < FRAME)
            .and_then(|offset| u16::try_from(offset).ok())
            .ok_or_else(|| format!("FAIL no device at {address:#x}"))?;
        Ok(Access::new(offset, width))
    }

    fn say(&mut self, line: &str) {
        self.output.push_str(line);
        self.output.push('\n');
    }
}
