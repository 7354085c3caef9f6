// SPDX-License-Identifier: MIT
//! The family of drivers of [`conformance::family`] on QEMU's PL011: how many of them
//! are left with unreported input.
//!
//! Needs `qemu-system-aarch64` of Debian 12 (7.2).

use std::io::Write;

use conformance::Width;
use conformance::family::{Burst, Scene, Wrong, members};
use conformance::registers::{cr, fr, int, lcr_h, reg};

use crate::side::Side;

/// QEMU's device, and a peer that sends.
struct Qemu {
    side: Side,
    /// Characters that the peer has sent and the driver has not read.
    unread: usize,
}

/// Entries of QEMU's receive FIFO.
const DEPTH: usize = 16;

impl Qemu {
    /// Lets QEMU's main loop run so often. Each time it takes a character from the
    /// peer, if there is one and the FIFO has room.
    fn go_round(&mut self, times: usize) {
        for _ in 0..times {
            self.side.read(reg::FR.into());
        }
    }

    /// Brings the device to the reset state.
    fn reset(&mut self) {
        self.side.write(reg::IMSC.into(), 0);
        while self.unread > 0 {
            self.go_round(2);
            if self.side.read(reg::FR.into()) & fr::RXFE == 0 {
                self.read(reg::DR, Width::Word);
            }
        }
        for (offset, value) in [
            (reg::LCR_H, lcr_h::FEN),
            (reg::LCR_H, 0),
            (reg::IFLS, 0x12),
            (reg::CR, cr::UARTEN | cr::TXE | cr::RXE),
            (reg::ICR, int::ALL),
        ] {
            self.side.write(offset.into(), value);
        }
    }
}

impl Scene for Qemu {
    fn read(&mut self, offset: u16, _width: Width) -> u32 {
        let value = self.side.read(offset.into());
        if offset == reg::DR && self.unread > 0 {
            self.unread -= 1;
            self.go_round(2);
        }
        value
    }

    fn write(&mut self, offset: u16, _width: Width, value: u32) {
        self.side.write(offset.into(), value);
        if offset == reg::LCR_H {
            // The flush makes room.
            self.go_round(2);
        }
    }

    /// UARTINTR is high while UARTMIS is not 0; this read changes nothing in QEMU.
    fn line(&mut self) -> bool {
        self.side.read(reg::MIS.into()) != 0
    }

    fn send(&mut self, characters: impl Iterator<Item = u8>) {
        let characters: Vec<u8> = characters.collect();
        self.side.peer.write_all(&characters).unwrap();
        self.unread += characters.len();
        self.go_round(characters.len().min(DEPTH) + 2);
    }

    fn is_wanted(&self) -> bool {
        false
    }

    fn run_far_end(&mut self) {}
}

/// Two bursts, the second at any moment of the handler.
fn bursts() -> impl Iterator<Item = [Burst; 2]> {
    let burst = |after, characters| Burst {
        after,
        characters,
        delay: 0,
    };
    let sizes = [[1, 1], [1, 20], [20, 1]];
    sizes.into_iter().flat_map(move |[first, second]| {
        (1..4).map(move |after| [burst(0, first), burst(after, second)])
    })
}

/// Of the correct drivers, by the interrupts that they enable: how many are left with
/// input, and how many there are.
const STUCK: [(u32, usize, usize); 3] = [
    (int::RX, 22, 104),
    (int::RT, 104, 104),
    (int::RX | int::RT, 28, 104),
];

#[test]
fn qemu_leaves_drivers_with_input() {
    let dir = tempfile::tempdir().unwrap();
    let mut qemu = Qemu {
        side: Side::qemu(dir.path()),
        unread: 0,
    };
    let counted = STUCK.map(|(mask, ..)| {
        let (mut stuck, mut count) = (0, 0);
        // QEMU's device has neither levels nor widths.
        let members = members().filter(|member| {
            let distinct = member.level.is_none() || member.suits_sbsa();
            member.mask == mask && member.width == Width::Word && distinct && !member.forgets()
        });
        for member in members {
            count += 1;
            let wrong = bursts().find_map(|bursts| {
                qemu.reset();
                member.play(&mut qemu, &bursts).err()
            });
            match wrong {
                Some(Wrong::Stuck { .. }) => stuck += 1,
                Some(wrong) => panic!("{member:?}: {wrong:?}"),
                None => {}
            }
        }
        (mask, stuck, count)
    });
    assert_eq!(counted, STUCK);
}
