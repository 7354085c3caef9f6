// SPDX-License-Identifier: MIT
//! Properties after any sequence of accesses and events.

use proptest::collection::vec;
use proptest::prelude::*;
use vpl011::trap::{Direction, Width};
use vpl011::{Access, Glance};

use crate::bench::{Bench, cr, fr, int, lcr_h, reg};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Read(u16, Width),
    Write(u16, Width, u32),
    Feed(Vec<u8>),
    Room(usize),
    Break,
    Character(u8),
}

pub(crate) fn width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::Byte), Just(Width::Half), Just(Width::Word)]
}

/// Usually a register, sometimes any offset.
pub(crate) fn offset() -> impl Strategy<Value = u16> {
    prop_oneof![
        12 => (0_u16..0x50 / 4).prop_map(|index| index * 4),
        8 => Just(reg::DR),
        1 => any::<u16>(),
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (offset(), width()).prop_map(|(offset, width)| Step::Read(offset, width)),
        4 => (offset(), width(), any::<u32>())
            .prop_map(|(offset, width, value)| Step::Write(offset, width, value)),
        2 => vec(any::<u8>(), 0..50).prop_map(Step::Feed),
        2 => (0_usize..50).prop_map(Step::Room),
        1 => Just(Step::Break),
        1 => any::<u8>().prop_map(Step::Character),
    ]
}

/// Performs a step; returns the value that the guest reads.
pub(crate) fn perform(uart: &mut Bench, step: &Step) -> u32 {
    match step {
        Step::Read(offset, width) => return uart.read_as(*offset, *width),
        Step::Write(offset, width, value) => uart.write_as(*offset, *width, *value),
        Step::Feed(bytes) => uart.feed(bytes),
        Step::Room(bytes) => uart.give_room(*bytes),
        Step::Break => {
            let outcome = uart.uart.receive_break();
            uart.observe(outcome);
        }
        Step::Character(byte) => {
            let outcome = uart.uart.receive(*byte);
            uart.observe(outcome);
        }
    }
    0
}

fn level(select: u32) -> usize {
    [4, 8, 16, 24, 28, 28, 28, 28][select as usize]
}

/// The FIFO levels, from the bench.
struct Levels {
    queued: usize,
}

fn check_invariants(uart: &mut Bench, levels: &Levels) -> Result<(), TestCaseError> {
    let deep = uart.any(reg::LCR_H, lcr_h::FEN);
    let first = uart.read(reg::FR);
    let flags = uart.read(reg::FR);
    if first != flags {
        let busy = flags & !fr::TXFE | fr::BUSY;
        prop_assert_eq!(first & !fr::TXFF, busy, "a second look differs");
        let looped = uart.any(reg::CR, cr::LBE);
        let held = looped && uart.any(reg::CR, cr::RXE) && flags & fr::RXFF != 0;
        prop_assert!(deep || held, "in flight without FIFOs");
        let many = uart.output().len() >= 32 || looped;
        prop_assert!(first & fr::TXFF == 0 || held || many, "full of few");
    }
    let raw = uart
        .uart
        .read(vpl011::Access::new(reg::RIS, Width::Word))
        .value;
    let mask = uart.read(reg::IMSC);
    let ifls = uart.read(reg::IFLS);
    prop_assert_eq!(uart.line, raw & mask != 0, "line = (RIS & IMSC) != 0");
    prop_assert_eq!(
        flags & fr::BUSY == 0,
        flags & fr::TXFE != 0,
        "BUSY = not TXFE"
    );
    prop_assert_eq!(
        flags & fr::TXFE != 0,
        levels.queued == 0,
        "TXFE = nothing queued"
    );
    let depth = if deep { 32 } else { 1 };
    prop_assert_eq!(
        flags & fr::TXFF != 0,
        levels.queued >= depth,
        "TXFF = queued >= depth"
    );
    if raw & int::TX != 0 {
        let trigger = if deep { level(ifls & 7) } else { 0 };
        prop_assert!(
            levels.queued <= trigger,
            "TXRIS with {} queued",
            levels.queued
        );
    }
    if flags & fr::RXFE != 0 {
        prop_assert_eq!(
            raw & (int::RX | int::RT),
            0,
            "RX or RT with nothing received"
        );
        prop_assert_eq!(flags & fr::RXFF, 0, "full and empty");
    }
    if mask & int::RT == 0 {
        prop_assert_eq!(raw & int::RT, 0, "RT without RTIM");
    }
    let input_waits = !uart.uart.backend().input.is_empty();
    if input_waits && !uart.any(reg::CR, cr::LBE) {
        let enough = flags & fr::RXFF != 0 || raw & int::RX != 0;
        prop_assert!(enough, "input waits although the level is not reached");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2 * ProptestConfig::default().cases, failure_persistence: None, ..ProptestConfig::default() })]

    /// After any steps, flags, interrupts and the interrupt line agree with each
    /// other and with the queued characters.
    #[test]
    fn flags_and_interrupts_agree(steps in vec(step(), 1..120), room in 0_usize..40) {
        let mut uart = Bench::with_room(room);
        let mut written = 0_u64;
        for step in &steps {
            let looped = uart.any(reg::CR, cr::LBE);
            perform(&mut uart, step);
            if matches!(step, Step::Write(reg::DR, ..)) && !looped {
                written += 1;
            }
            let counters = uart.uart.counters();
            let queued = written - uart.output().len() as u64 - counters.dropped;
            check_invariants(&mut uart, &Levels { queued: queued as usize })?;
        }
    }

    /// A driver that respects TXFF loses and reorders nothing, with any writes to
    /// other registers and any pace of the far side.
    #[test]
    fn output_is_exact(steps in vec(step(), 1..200), room in 0_usize..40) {
        let mut uart = Bench::with_room(room);
        let mut sent = Vec::new();
        for step in &steps {
            match step {
                Step::Write(reg::DR, width, value) => {
                    let flags = uart.read(reg::FR);
                    if flags & fr::TXFF == 0 {
                        if !uart.any(reg::CR, cr::LBE) {
                            sent.push(*value as u8);
                        }
                        uart.write_as(reg::DR, *width, *value);
                    }
                }
                _ => { perform(&mut uart, step); }
            }
        }
        uart.give_room(1000);
        prop_assert_eq!(uart.output(), sent);
        prop_assert_eq!(uart.uart.counters().dropped, 0);
    }

    /// All input arrives in order at a guest that does not change FEN and LBE.
    #[test]
    fn input_is_exact(steps in vec(step(), 1..200)) {
        let mut uart = Bench::new().fifos();
        let (mut fed, mut received) = (Vec::<u8>::new(), Vec::<u8>::new());
        for step in &steps {
            match step {
                Step::Write(reg::LCR_H | reg::CR, ..) | Step::Break | Step::Character(_) => {}
                Step::Read(reg::DR, _) if uart.any(reg::FR, fr::RXFE) => {
                    prop_assert_eq!(perform(&mut uart, step), 0);
                }
                Step::Read(reg::DR, _) => received.push(perform(&mut uart, step) as u8),
                Step::Feed(bytes) => {
                    fed.extend(bytes);
                    perform(&mut uart, step);
                }
                _ => { perform(&mut uart, step); }
            }
        }
        received.extend(uart.receive_all());
        prop_assert_eq!(received, fed);
    }

    /// A guest with RXIM and RTIM that reads until RXFE at each interrupt never has
    /// unread input while the interrupt line is low.
    #[test]
    fn input_always_interrupts(steps in vec(step(), 1..100), more in vec(any::<u8>(), 1..100)) {
        let mut uart = Bench::with_room(0);
        for step in &steps {
            perform(&mut uart, step);
        }
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        uart.write(reg::IMSC, int::RX | int::RT);
        uart.receive_all();
        uart.feed(&more);
        let mut received = Vec::new();
        while uart.line {
            received.extend(uart.receive_all());
        }
        prop_assert_eq!(received, more);
    }
}

/// The bench compares every read and write with the glance; here, the glance must
/// have an answer when drivers poll.
#[test]
fn a_glance_answers_drivers_that_poll() {
    let mut uart = Bench::new().fifos();
    uart.send(b"x");
    // The device must note a read after a character.
    assert_eq!(uart.peek(reg::FR), None);
    assert_eq!(uart.peek(reg::RIS), None);
    assert_eq!(uart.peek(reg::MIS), None);
    assert_eq!(uart.read(reg::RIS), int::TX);
    assert_eq!(uart.peek(reg::FR), Some(uart.read(reg::FR)));
    assert_eq!(uart.peek(reg::RIS), Some(int::TX));
    assert_eq!(uart.peek(reg::MIS), Some(0));
    // The glance answers nothing while the interrupt line is high, or while
    // characters wait.
    uart.write(reg::IMSC, int::TX);
    assert_eq!(uart.peek(reg::FR), None);
    let mut uart = Bench::with_room(0);
    uart.send(b"x");
    assert_eq!(uart.peek(reg::FR), None);
}

/// A driver that rewrites UARTIMSC unchanged at each interrupt is answered by the
/// glance too, except if the write may arm the receive timeout.
#[test]
fn a_glance_answers_masks_that_stay() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX);
    assert_eq!(uart.peek_write(reg::IMSC, int::RX), Some(0));
    assert_eq!(uart.peek_write(reg::IMSC, int::RX | int::RT), None);
    uart.feed(&[0; 40]);
    assert_eq!(uart.read(reg::RIS), int::RX);
    uart.write(reg::ICR, int::RX);
    assert_eq!(uart.peek_write(reg::IMSC, int::RX), None, "it was cleared");
}

/// Clearing an interrupt that is not set has no effect.
#[test]
fn a_glance_leaves_clearing_to_the_device() {
    let mut uart = Bench::new().fifos();
    assert_eq!(uart.peek_write(reg::ICR, int::TX), Some(0));
    uart.send(b"x");
    assert_eq!(uart.peek_write(reg::ICR, int::TX), None);
    assert_eq!(uart.read(reg::RIS), int::TX);
    assert_eq!(uart.peek_write(reg::ICR, int::TX), None);
    assert_eq!(uart.peek_write(reg::ICR, int::ALL & !int::TX), Some(0));
}

/// A glance can be restored completely from its word.
#[test]
fn a_glance_is_restored_from_its_word() {
    let mut uart = Bench::new().fifos();
    let access = Access::new(reg::FR, Width::Word);
    let outcome = uart.uart.read(access);
    let kept = Glance::from_bits(outcome.glance.bits());
    let flags = kept.peek(Direction::Read, access, 0);
    assert_eq!(flags, Some(outcome.value));
    assert_eq!(kept, outcome.glance);
}

/// A guest that only polls for input is reported at every 256th read; input, and
/// any access to the device, restart the count.
#[test]
fn a_guest_that_polls_for_input_stalls() {
    let mut uart = Bench::new().fifos();
    for look in 1..=1024 {
        assert_eq!(uart.poll(), look % 256 == 0, "{look}");
        if look % 100 == 0 {
            assert_eq!(uart.peek(reg::RIS), Some(0), "no look at UARTFR");
        }
    }
    for _ in 0..2 {
        assert!((0..255).all(|_| !uart.poll()));
        uart.read(reg::RIS);
    }
    uart.feed(b"x");
    assert!((0..1000).all(|_| !uart.poll()), "there is input");
    assert_eq!(uart.read(reg::DR), u32::from(b'x'));
    assert_eq!((1..1000).find(|_| uart.poll()), Some(256));
}

/// The bench sends every write by the fast path if possible, and compares it with
/// the normal path; here, drivers' output must use the fast path.
#[test]
fn output_uses_the_fast_path() {
    let mut uart = Bench::new().fifos();
    uart.send(b"polled");
    assert_eq!(uart.sent_short, 6);
    uart.write(reg::IMSC, int::TX);
    uart.send(b"by interrupt");
    assert_eq!(uart.sent_short, 18);
    // Not characters that wait, nor those in loopback.
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    uart.send(b"x");
    let mut full = Bench::with_room(0);
    full.send(b"x");
    assert_eq!((uart.sent_short, full.sent_short), (18, 0));
}
