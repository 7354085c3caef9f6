// SPDX-License-Identifier: MIT
//! Both ends of the ring while another thread of control rewrites indices and bytes at
//! any moment, also in the middle of an entry. Each end writes only its own words,
//! stays within the page and makes a bounded number of accesses; both work again once
//! the page is left alone.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use arbitrary::Arbitrary;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Uart};

use crate::all;

const DR: u16 = 0x000;
const FR: u16 = 0x018;
const LCR_H: u16 = 0x02c;
const FR_RXFE: u32 = 0x10;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const CONNECTION: usize = 3088;
const EVENT_INDEX: usize = 3584;
const OUT_EVENT: usize = 3588;
const IN_EVENT: usize = 3592;
const INPUT_EVENT: usize = 3596;
const LINE_CONTROL: usize = 3600;
const WORDS: [usize; 9] = [
    IN_CONS,
    IN_PROD,
    OUT_CONS,
    OUT_PROD,
    EVENT_INDEX,
    OUT_EVENT,
    IN_EVENT,
    INPUT_EVENT,
    LINE_CONTROL,
];
const EVENT_INDEX_MAGIC: u32 = 0x5645_4958;

/// Accesses to the page that one entry may need: for a full FIFO in each direction.
const ENTRY: usize = 1000;
/// Accesses that one byte may need.
const BYTE: usize = 12;

/// The number of bytes: sometimes more than a buffer of `size` holds, mostly few, which
/// is fast.
fn amount(many: u16, size: u16) -> u16 {
    let most = if many.is_multiple_of(8) {
        size + 60
    } else {
        20
    };
    (many / 8) % most
}

#[derive(Arbitrary, Debug)]
enum Step {
    Send(u8),
    SendMany(u16),
    Receive(u8),
    Write(u8, u16),
    Event,
    Take(u16),
    Look(u16, u16),
    Put(u16),
    ArmOut,
    ArmIn(u16),
    Announce(bool),
    Attach,
    Resume(u32),
    /// A foreign write to the page, now.
    Scribble(Scribble),
    /// A foreign write to the page after so many accesses to it.
    Later(u8, Scribble),
}

#[derive(Arbitrary, Clone, Debug)]
enum Scribble {
    /// One of the words, set to a value near another word's.
    Near(u8, u8, i16),
    Word(u8, u32),
    Magic,
    Byte(u16, u8),
}

/// Which end of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Guest,
    Backend,
}

/// The page, and the pending foreign write to it.
#[derive(Default)]
struct Page {
    bytes: AtomicPage,
    later: RefCell<VecDeque<(u8, Scribble)>>,
    accesses: Cell<usize>,
}

impl Page {
    fn scribble(&self, scribble: &Scribble) {
        let word = |index: u8| WORDS[usize::from(index) % WORDS.len()];
        match *scribble {
            Scribble::Near(which, other, by) => {
                let near = self.bytes.load_u32(word(other));
                let value = near.wrapping_add_signed(by.into());
                self.bytes.store_u32(word(which), value);
            }
            Scribble::Word(which, value) => self.bytes.store_u32(word(which), value),
            Scribble::Magic => self.bytes.store_u32(EVENT_INDEX, EVENT_INDEX_MAGIC),
            Scribble::Byte(offset, value) => self.bytes.store_u8(usize::from(offset) % 4096, value),
        }
    }

    fn accessed(&self) {
        self.accesses.set(self.accesses.get() + 1);
        let mut later = self.later.borrow_mut();
        match later.front_mut() {
            Some((0, scribble)) => {
                let scribble = scribble.clone();
                later.pop_front();
                self.scribble(&scribble);
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
    }
}

/// What one end may do to the page.
struct Seen<'page> {
    page: &'page Page,
    end: End,
}

impl Seen<'_> {
    fn owns(&self, offset: usize) -> bool {
        match self.end {
            End::Guest => matches!(
                offset,
                IN_CONS | OUT_PROD | INPUT_EVENT | LINE_CONTROL | 1024..3072
            ),
            End::Backend => matches!(
                offset,
                0..1024 | IN_PROD | OUT_CONS | CONNECTION | EVENT_INDEX | OUT_EVENT | IN_EVENT
            ),
        }
    }
}

impl RingMemory for Seen<'_> {
    fn load_u32(&self, offset: usize) -> u32 {
        assert!(WORDS.contains(&offset), "{:?} loads {offset}", self.end);
        self.page.accessed();
        self.page.bytes.load_u32(offset)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        assert!(
            WORDS.contains(&offset) && self.owns(offset),
            "{:?} stores {offset}",
            self.end
        );
        self.page.accessed();
        self.page.bytes.store_u32(offset, value);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        let other = match self.end {
            End::Guest => 0..1024,
            End::Backend => 1024..3072,
        };
        assert!(
            other.contains(&offset),
            "{:?} loads byte {offset}",
            self.end
        );
        self.page.accessed();
        self.page.bytes.load_u8(offset)
    }

    fn store_u8(&self, offset: usize, value: u8) {
        assert!(self.owns(offset), "{:?} stores byte {offset}", self.end);
        self.page.accessed();
        self.page.bytes.store_u8(offset, value);
    }

    fn barrier(&self) {}
}

struct Ends<'page> {
    page: &'page Page,
    guest: Uart<RingPort<Seen<'page>>>,
    backend: RingPeer<Seen<'page>>,
}

impl<'page> Ends<'page> {
    fn new(page: &'page Page) -> Self {
        let seen = |end| Seen { page, end };
        let mut guest = Uart::new(RingPort::new(seen(End::Guest)));
        let _ = guest.write(Access::new(LCR_H, Width::Word), 0x10);
        Self {
            page,
            guest,
            backend: RingPeer::new(seen(End::Backend)),
        }
    }

    /// Runs an entry and limits its accesses.
    fn bounded<T>(&mut self, most: usize, entry: impl FnOnce(&mut Self) -> T) -> T {
        self.page.accesses.set(0);
        let result = entry(self);
        let accesses = self.page.accesses.get();
        assert!(accesses <= most, "{accesses} accesses, of {most} at most");
        result
    }

    fn read(&mut self, offset: u16) -> u32 {
        self.bounded(ENTRY, |ends| {
            ends.guest.read(Access::new(offset, Width::Word)).value
        })
    }

    fn write(&mut self, offset: u16, value: u32) {
        self.bounded(ENTRY, |ends| {
            let _ = ends.guest.write(Access::new(offset, Width::Word), value);
        });
    }

    fn event(&mut self) {
        self.bounded(ENTRY, |ends| {
            let _ = ends.guest.backend_event();
        });
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        let mut buffer = vec![0; most];
        let taken = self.bounded(ENTRY + BYTE * most, |ends| {
            ends.backend.take_out(&mut buffer)
        });
        buffer.truncate(taken.bytes);
        buffer
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let put = self.bounded(ENTRY + BYTE * bytes.len(), |ends| {
            ends.backend.put_in(bytes)
        });
        assert!(put.bytes <= bytes.len());
        put.bytes
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        while self.read(FR) & FR_RXFE == 0 {
            received.push(self.read(DR).to_le_bytes()[0]);
            assert!(received.len() <= 1024 + 32, "input without end");
        }
        received
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Send(byte) => self.write(DR, byte.into()),
            Step::SendMany(count) => {
                for _ in 0..amount(count, 2048) {
                    self.write(DR, b'x'.into());
                }
            }
            Step::Receive(count) => {
                for _ in 0..count {
                    self.read(DR);
                }
            }
            Step::Write(register, value) => self.write(u16::from(register % 19) * 4, value.into()),
            Step::Event => self.event(),
            Step::Take(most) => {
                self.take(amount(most, 2048).into());
            }
            Step::Look(most, some) => {
                let mut buffer = vec![0; amount(most, 2048).into()];
                let seen = self.bounded(ENTRY + BYTE * buffer.len(), |ends| {
                    ends.backend.peek_out(&mut buffer)
                });
                assert!(seen.bytes <= buffer.len());
                // A backend releases what it was given, or less.
                let _ = self.backend.release_out(seen.bytes.min(some.into()));
            }
            Step::Put(count) => {
                self.put(&vec![b'y'; amount(count, 1024).into()]);
            }
            Step::ArmOut => {
                let _ = self.backend.arm_out(1);
            }
            Step::ArmIn(bytes) => {
                let _ = self.backend.arm_in(bytes.into());
            }
            Step::Announce(true) => self.backend.enable_event_index(),
            Step::Announce(false) => self.backend.disable_event_index(),
            Step::Attach => self.attach(),
            Step::Resume(out_cons) => {
                let _ = self.backend.resume_out(out_cons);
            }
            Step::Scribble(scribble) => self.page.scribble(&scribble),
            Step::Later(after, scribble) => {
                let mut later = self.page.later.borrow_mut();
                if later.len() < 64 {
                    later.push_back((after, scribble));
                }
            }
        }
        assert!(self.backend.out_len() <= 2048);
        assert!(self.backend.in_space() <= 1024);
    }

    fn attach(&mut self) {
        self.backend = RingPeer::new(Seen {
            page: self.page,
            end: End::Backend,
        });
    }

    /// After the page is left alone and a backend attaches, both directions work.
    fn recover(&mut self) {
        self.page.later.borrow_mut().clear();
        self.write(0x030, 0x301);
        self.attach();
        for _ in 0..4 {
            self.event();
            self.take(5000);
            self.receive();
            self.put(b"");
        }
        self.write(DR, b'o'.into());
        self.write(DR, b'k'.into());
        assert!(self.take(5000).ends_with(b"ok"), "output after scribbling");
        assert_eq!(self.put(b"in"), 2);
        self.event();
        assert!(self.receive().ends_with(b"in"), "input after scribbling");
    }
}

/// Any entries at both ends, with any foreign writes.
pub fn run(data: &[u8]) {
    let page = Page::default();
    let mut ends = Ends::new(&page);
    for step in all(data).take(150) {
        ends.perform(step);
    }
    ends.recover();
}
