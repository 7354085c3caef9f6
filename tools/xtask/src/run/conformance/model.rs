// SPDX-License-Identifier: MIT
//! The suite in this process: the device on a ring of real size, and its far side.

use conformance::{Abort, NotPossible, Target};
use e2e::far_side::FarSide;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::trap::{Direction, Width};
use vpl011::{Access, Outcome, Uart};

use e2e::suite::{Ending, Results};

/// The syndrome of a data abort with ISV, for a load of 64 bits.
const WIDE: u64 = 0x24 << 26 | 1 << 24 | 3 << 22;

/// Runs every case.
pub(super) fn run() -> Results {
    let page = AtomicPage::new();
    let mut model = Model::new(&page);
    conformance::all()
        .map(|case| Ending::from(case.run(&mut model)))
        .collect()
}

struct Model<'page> {
    uart: Uart<RingPort<&'page AtomicPage>>,
    far: FarSide<&'page AtomicPage>,
    line: bool,
}

impl<'page> Model<'page> {
    fn new(page: &'page AtomicPage) -> Self {
        Self {
            uart: Uart::new(RingPort::new(page)),
            far: FarSide::new(RingPeer::new(page)),
            line: false,
        }
    }

    /// Performs the requests of an outcome.
    fn settle(&mut self, outcome: Outcome) -> u32 {
        self.line = !outcome.pending.is_empty();
        if outcome.doorbell {
            let notify = self.far.work();
            self.notified(notify);
        }
        outcome.value
    }

    fn notified(&mut self, notify: bool) {
        if notify {
            let outcome = self.uart.backend_event();
            self.settle(outcome);
        }
    }
}

impl Target for Model<'_> {
    fn read(&mut self, offset: u16, width: conformance::Width) -> Result<u32, Abort> {
        let outcome = self.uart.read(Access::new(offset, own(width)));
        Ok(self.settle(outcome))
    }

    fn write(&mut self, offset: u16, width: conformance::Width, value: u32) -> Result<(), Abort> {
        let outcome = self.uart.write(Access::new(offset, own(width)), value);
        self.settle(outcome);
        Ok(())
    }

    fn read_wide(&mut self, offset: u16) -> Result<u64, Abort> {
        match Access::from_esr(WIDE, offset.into()) {
            Ok((Direction::Read, access)) => Ok(self.uart.read(access).value.into()),
            _ => Err(Abort),
        }
    }

    fn line(&mut self) -> bool {
        self.line
    }

    fn exchange(&mut self, take: u16, input: &[u8], output: &mut dyn FnMut(&[u8])) {
        let notify = self.far.exchange(take.into(), input);
        self.notified(notify);
        output(&self.far.output(usize::MAX));
    }

    fn hold(&mut self, hold: bool) -> Result<(), NotPossible> {
        let notify = self.far.hold(hold);
        self.notified(notify);
        Ok(())
    }

    fn send_break(&mut self) -> Result<(), NotPossible> {
        let outcome = self.uart.receive_break();
        self.settle(outcome);
        Ok(())
    }

    fn reset_peer(&mut self) {
        let notify = self.far.reset();
        self.notified(notify);
    }
}

fn own(width: conformance::Width) -> Width {
    match width {
        conformance::Width::Byte => Width::Byte,
        conformance::Width::Half => Width::Half,
        conformance::Width::Word => Width::Word,
    }
}
