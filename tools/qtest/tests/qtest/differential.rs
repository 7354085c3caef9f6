// SPDX-License-Identifier: MIT
//! The same accesses to this device and to QEMU's own PL011, answer by answer.
//!
//! Needs `qemu-system-aarch64` of Debian 12 (7.2). [`EXPECTED`] lists the known
//! differences, and the generator or the comparison leaves out only these.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::side::{BASE, FR, Side};

/// Differences of QEMU 7.2 from the TRM or from this device, and how the test allows
/// for them. Each entry is checked below to differ still.
const EXPECTED: [(&str, &str); 6] = [
    (
        "reserved bits",
        "QEMU stores and reads back bits that do not exist: compared under masks",
    ),
    (
        "revision",
        "QEMU is an r1p3 with 16-deep FIFOs: PeriphID2 is left out",
    ),
    (
        "modem lines",
        "QEMU reads CTS, DSR and DCD as 0: FR is compared without them",
    ),
    (
        "narrow writes",
        "QEMU replaces the whole register: only words are written",
    ),
    (
        "receive levels",
        "QEMU raises RX at every character and has no RT: FIFOs stay disabled",
    ),
    (
        "empty reads",
        "QEMU gives an old character: DR is read only after RXFE was 0",
    ),
];

const DR: u64 = 0x000;
const LCR_H: u64 = 0x02C;
const IMSC: u64 = 0x038;
const RIS: u64 = 0x03C;
const MIS: u64 = 0x040;
const ICR: u64 = 0x044;
const PERIPH_ID2: u64 = 0xFE8;
const FR_MODEM: u32 = 0x107;
const RX: u32 = 1 << 4;
const TX: u32 = 1 << 5;
const RX_TX: u32 = RX | TX;

/// Registers that store what is written, and their bits (TRM 3.3).
const STORED: [(u64, u32); 6] = [
    (0x020, 0xFF),   // ILPR
    (0x024, 0xFFFF), // IBRD
    (0x028, 0x3F),   // FBRD
    (0x030, 0xFF07), // CR without LBE and the reserved bits
    (0x034, 0x3F),   // IFLS
    (0x048, 0x4),    // DMACR: DMAE makes QEMU print a warning
];

/// Identification registers that agree.
const IDS: [u64; 7] = [0xFE0, 0xFE4, 0xFEC, 0xFF0, 0xFF4, 0xFF8, 0xFFC];

#[derive(Clone, Copy, Debug)]
enum Step {
    WriteStored { register: usize, value: u32 },
    ReadStored { register: usize },
    ReadId { register: usize },
    Mask { value: u32 },
    Clear { value: u32 },
    Interrupts,
    Flags,
    Send { byte: u8 },
    Receive { byte: u8 },
}

/// 500 steps that depend only on `seed`.
fn steps(seed: u8) -> Vec<Step> {
    let step = prop_oneof![
        (0..STORED.len(), any::<u32>())
            .prop_map(|(register, value)| Step::WriteStored { register, value }),
        (0..STORED.len()).prop_map(|register| Step::ReadStored { register }),
        (0..IDS.len()).prop_map(|register| Step::ReadId { register }),
        (0..0x800_u32).prop_map(|value| Step::Mask { value }),
        (0..0x800_u32).prop_map(|value| Step::Clear { value }),
        Just(Step::Interrupts),
        Just(Step::Flags),
        any::<u8>().prop_map(|byte| Step::Send { byte }),
        any::<u8>().prop_map(|byte| Step::Receive { byte }),
    ];
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let steps = proptest::collection::vec(step, 500);
    steps.new_tree(&mut runner).expect("no filter").current()
}

/// Runs one step on one side; returns what the guest and the peer see.
fn run(side: &mut Side, step: Step) -> Vec<u32> {
    match step {
        Step::WriteStored { register, value } => {
            let (offset, bits) = STORED[register];
            side.write(offset, value & bits);
            vec![]
        }
        Step::ReadStored { register } => {
            let (offset, bits) = STORED[register];
            vec![side.read(offset) & bits]
        }
        Step::ReadId { register } => vec![side.read(IDS[register])],
        Step::Mask { value } => {
            side.write(IMSC, value);
            vec![side.read(IMSC) & 0x7FF]
        }
        Step::Clear { value } => {
            let before = side.read(RIS) & RX_TX;
            side.write(ICR, value);
            vec![before, side.read(RIS) & RX_TX]
        }
        Step::Interrupts => vec![side.read(RIS) & RX_TX, side.read(MIS) & RX_TX],
        Step::Flags => vec![side.read(FR) & !FR_MODEM],
        Step::Send { byte } => {
            side.write(DR, byte.into());
            vec![side.sent().into(), side.read(RIS) & RX_TX]
        }
        Step::Receive { byte } => {
            side.receive(byte);
            let raised = side.read(RIS) & RX_TX;
            vec![
                raised,
                side.read(FR) & !FR_MODEM,
                side.read(DR),
                side.read(RIS) & RX_TX,
            ]
        }
    }
}

#[test]
fn seeded_sequences_get_the_same_answers() {
    for seed in 0..4_u8 {
        let dir = tempfile::tempdir().unwrap();
        let mut sides = [Side::ours(dir.path()), Side::qemu(dir.path())];
        let steps = steps(seed);
        for (at, &step) in steps.iter().enumerate() {
            let [ours, qemu] = &mut sides;
            let (ours, qemu) = (run(ours, step), run(qemu, step));
            let recent = &steps[at.saturating_sub(12)..=at];
            assert_eq!(
                ours, qemu,
                "ours, QEMU: seed {seed}, step {at} of {recent:#?}"
            );
        }
    }
}

/// An exception that no longer applies could hide a difference.
#[test]
fn the_expected_differences_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut differ = Vec::new();
    for side in [&mut Side::ours(dir.path()), &mut Side::qemu(dir.path())] {
        let mut seen = Vec::new();
        side.write(0x048, 0xFFF8);
        seen.push(side.read(0x048));
        seen.push(side.read(PERIPH_ID2));
        seen.push(side.read(FR) & FR_MODEM);
        side.write(0x024, 0xFFFF);
        side.program.write('b', BASE + 0x024, 0);
        seen.push(side.read(0x024));
        // One round of QEMU's FIFO, so that an old character is visible.
        for _ in 0..16 {
            side.receive(b'x');
            assert_eq!(side.read(DR), u32::from(b'x'));
        }
        let empty = side.read(DR);
        side.write(LCR_H, 0x10);
        side.receive(b'y');
        seen.push(side.read(RIS) & RX);
        seen.push(empty);
        differ.push(seen);
    }
    for (at, (name, _)) in EXPECTED.iter().enumerate() {
        assert_ne!(differ[0][at], differ[1][at], "`{name}` is no difference");
    }
    // And ours matches the TRM.
    assert_eq!(differ[0], [0, 0x34, 0x007, 0xFF00, 0, 0]);
}
