// SPDX-License-Identifier: MIT
//! No input is ever stuck: every driver ([`conformance::family`]) receives all
//! characters, whenever they arrive, with at most two interrupts per character.

mod device;

use conformance::Width;
use conformance::family::{Burst, Member, members};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use vpl011::Profile;
use vpl011::ring::fake::AtomicPage;

use self::device::{Console, Device, EventIndex, FarEnd, Legacy, Page};

/// Runs these members of the family.
fn receive<F: FarEnd>(
    page: Page,
    members: impl Iterator<Item = Member>,
    bursts: &[Burst],
) -> Result<(), TestCaseError> {
    for member in members {
        for profile in [Profile::Pl011, Profile::Sbsa] {
            if profile == Profile::Pl011 || member.suits_sbsa() {
                member
                    .play(&mut Device::<F>::new(page, profile), bursts)
                    .map_err(|wrong| {
                        TestCaseError::fail(format!("{wrong:?}: {profile:?} {member:?}"))
                    })?;
            }
        }
    }
    Ok(())
}

fn burst(after: usize, characters: usize, delay: usize) -> Burst {
    Burst {
        after,
        characters,
        delay,
    }
}

/// The times of characters: in bursts of a few, and of a FIFO's depth.
fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    let characters = prop_oneof![
        6 => 1_usize..4,
        3 => 30_usize..36,
        1 => 1_usize..120,
    ];
    let burst = (0_usize..20, characters, 0_usize..6)
        .prop_map(|(after, characters, delay)| burst(after, characters, delay));
    vec(burst, 1..6)
}

fn check<F: FarEnd>(page: Page) {
    let config = ProptestConfig {
        cases: ProptestConfig::default().cases / 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&bursts(), |bursts| receive::<F>(page, members(), &bursts));
    if let Err(error) = ran {
        panic!("{error}");
    }
}

#[test]
fn every_driver_receives_from_a_legacy_backend() {
    static PAGE: AtomicPage = AtomicPage::new();
    check::<Legacy>(&PAGE);
}

#[test]
fn every_driver_receives_with_the_event_index() {
    static PAGE: AtomicPage = AtomicPage::new();
    check::<EventIndex>(&PAGE);
}

#[test]
fn every_driver_receives_from_a_console_without_a_ring() {
    static PAGE: AtomicPage = AtomicPage::new();
    check::<Console>(&PAGE);
}

/// The same with a second burst at each step of the handler.
#[test]
fn every_driver_receives_what_comes_at_any_moment() {
    static PAGE: AtomicPage = AtomicPage::new();
    for [first, second] in [[1, 1], [1, 33], [33, 1], [33, 33]] {
        for after in 0..8 {
            let words = members().filter(|member| member.width == Width::Word);
            let bursts = [burst(0, first, 0), burst(after, second, 0)];
            receive::<EventIndex>(&PAGE, words, &bursts)
                .unwrap_or_else(|wrong| panic!("{bursts:?}: {wrong}"));
        }
    }
}

/// The same through a ring that becomes full.
#[test]
fn every_driver_receives_more_than_a_ring_holds() {
    static PAGE: AtomicPage = AtomicPage::new();
    let some = || {
        members().filter(|member| {
            member.width == Width::Word && (member.level.is_none() || member.suits_sbsa())
        })
    };
    let bursts = [burst(0, 1100, 2), burst(5, 1, 3)];
    receive::<Legacy>(&PAGE, some(), &bursts).unwrap();
    receive::<EventIndex>(&PAGE, some(), &bursts).unwrap();
}
