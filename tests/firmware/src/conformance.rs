// SPDX-License-Identifier: MIT
//! The conformance suite as an image: a Xen guest, or the firmware of QEMU's `virt`
//! machine. The program that started it serves the far end of the serial line.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write;

use bare_metal::{Frame, Interrupt, Machine, Stream};
use conformance::protocol::{Channel, Ending, Remote, Request};
use conformance::registers::reg;
use conformance::{Abort, NotPossible, Stop, Target, Width};
use firmware::own;
use heapless::String;

bare_metal::entry!(main);

fn main(machine: Machine) {
    let mut suite = Suite {
        uart: machine.uart,
        interrupt: machine.interrupt,
        peer: Remote::new(Bytes(machine.stream)),
    };
    for (index, case) in (0..).zip(conformance::all()) {
        let verdict = case.run(&mut suite);
        let mut why = String::<256>::new();
        let ending = match verdict {
            Ok(()) => Ending::Passed,
            Err(stop) => {
                // Too long a reason is truncated.
                let _ = write!(why, "{stop}");
                match stop {
                    Stop::Failed(_) => Ending::Failed,
                    Stop::NotPossible(_) => Ending::NotPossible,
                }
            }
        };
        suite.peer.tell(&Request::Verdict {
            case: index,
            ending,
            why: why.as_bytes(),
        });
    }
    suite.peer.tell(&Request::Done);
    // The peer stops the guest if it is no longer needed.
    suite.peer.ask(&Request::Reset);
}

struct Bytes(Stream);

impl Channel for Bytes {
    fn put(&mut self, bytes: &[u8]) {
        self.0.put(bytes);
    }

    fn get(&mut self) -> u8 {
        self.0.get()
    }
}

struct Suite {
    uart: Frame,
    interrupt: Interrupt,
    peer: Remote<Bytes>,
}

impl Suite {
    /// A vGIC notices at a trap that an interrupt was ended. Reading IMSC has no
    /// side effect on any UART.
    fn trap(&mut self) {
        let _ = self.uart.read(reg::IMSC, bare_metal::Width::Word);
    }
}

impl Target for Suite {
    fn read(&mut self, offset: u16, width: Width) -> Result<u32, Abort> {
        self.uart.read(offset, own(width)).map_err(|_| Abort)
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) -> Result<(), Abort> {
        self.uart
            .write(offset, own(width), value)
            .map_err(|_| Abort)
    }

    fn read_wide(&mut self, offset: u16) -> Result<u64, Abort> {
        self.uart.read_wide(offset).map_err(|_| Abort)
    }

    /// Without level-triggered interrupts in the vGIC, an interrupt that was
    /// pending is delivered once even if its line has fallen since; a line that is
    /// high delivers again.
    fn line(&mut self) -> bool {
        self.interrupted() && self.interrupted()
    }

    /// As in an operating system, the last interrupt ends when the driver has
    /// handled it.
    fn interrupted(&mut self) -> bool {
        self.interrupt.end();
        self.trap();
        self.interrupt.take()
    }

    fn interrupted_at_once(&mut self) -> bool {
        self.interrupt.end();
        self.interrupt.take()
    }

    fn exchange(&mut self, take: u16, input: &[u8], output: &mut dyn FnMut(&[u8])) {
        output(&self.peer.ask(&Request::Exchange { take, input }));
    }

    fn hold(&mut self, hold: bool) -> Result<(), NotPossible> {
        if self.peer.try_to(&Request::Hold(hold)) {
            Ok(())
        } else {
            Err(NotPossible("this UART takes all output at once"))
        }
    }

    fn send_break(&mut self) -> Result<(), NotPossible> {
        if self.peer.try_to(&Request::Break) {
            Ok(())
        } else {
            Err(NotPossible("the peer has no way to send a break"))
        }
    }

    fn reset_peer(&mut self) {
        self.peer.ask(&Request::Reset);
    }
}
