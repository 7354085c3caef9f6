// SPDX-License-Identifier: MIT
//! The conformance suite on the device alone, and the suite's drivers at every pace
//! of the far side.

use conformance::drivers::{
    ArceOs, Driver, Earlycon, Edk2, FreeBsd, Kind, Linux, NetBsd, NewOpenBsd, NuttX, OldOpenBsd,
    Rtems, SeL4, TfA, UBoot, Unikraft, Zephyr, bounded_exchange, exchange,
};
use conformance::{Uart, pattern};

use crate::bench::Bench;

#[test]
fn every_case_passes() {
    let mut bench = Bench::new();
    let failed: Vec<String> = conformance::all()
        .filter_map(|case| {
            let stop = case.run(&mut bench).err()?;
            Some(format!("{} {}: {stop}", case.group, case.name))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A failed case does not affect the next one.
#[test]
fn every_case_passes_after_any_other() {
    let mut bench = Bench::new();
    for first in conformance::all() {
        // It may fail.
        let _ = first.run(&mut bench);
        let next = conformance::all().find(|case| case.name == "reset_values");
        next.unwrap().run(&mut bench).unwrap_or_else(|stop| {
            panic!("after {} {}: {stop}", first.group, first.name);
        });
    }
}

const PACES: [u16; 5] = [1, 3, 16, 100, 10_000];

/// Every pace, with both directions at once and each alone.
fn check<D: Driver>(new: impl Fn() -> D) {
    let (output, input) = (pattern(700), pattern(500));
    for pace in PACES {
        for (output, input) in [(output, &[][..]), (&[], input), (output, input)] {
            let mut bench = Bench::new();
            let mut uart = Uart::quiesced(&mut bench).unwrap();
            bounded_exchange(&mut uart, &mut new(), Some(pace), output, input).unwrap();
        }
    }
}

/// One direction at a time.
fn check_output(mut driver: impl Driver, pace: u16) {
    let mut bench = Bench::new();
    let mut uart = Uart::quiesced(&mut bench).unwrap();
    exchange(&mut uart, &mut driver, Some(pace), pattern(100), &[]).unwrap();
}

#[test]
fn linux_at_every_pace() {
    for kind in [Kind::Full, Kind::UpTo40, Kind::Sbsa] {
        check(|| Linux::new(kind));
    }
}

#[test]
fn bsd_at_every_pace() {
    check(FreeBsd::default);
    check(NetBsd::default);
    check(OldOpenBsd::default);
    check(NewOpenBsd::default);
}

#[test]
fn rtos_at_every_pace() {
    check(Zephyr::default);
    check(NuttX::default);
    check(ArceOs::default);
    check(Unikraft::default);
    check(SeL4::default);
}

/// One direction at a time: its reads of DR lose input on hardware too.
#[test]
fn rtems_at_every_pace() {
    for pace in PACES {
        for (output, input) in [(pattern(700), &[][..]), (&[], pattern(500))] {
            let mut bench = Bench::new();
            let mut uart = Uart::quiesced(&mut bench).unwrap();
            let pace = Some(pace);
            bounded_exchange(&mut uart, &mut Rtems::default(), pace, output, input).unwrap();
        }
    }
}

#[test]
fn firmware_at_every_pace() {
    check(UBoot::default);
    check(Edk2::default);
    for pace in [1, 3, 1000] {
        check_output(TfA::default(), pace);
        check_output(Earlycon::default(), pace);
    }
}
