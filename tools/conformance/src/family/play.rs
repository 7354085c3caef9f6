// SPDX-License-Identifier: MIT
//! A member and a device that receives characters at given moments.

use super::{Endless, Member, Port};
use crate::target::Width;

/// A device and its far end.
pub trait Scene {
    /// The guest loads from a register.
    fn read(&mut self, offset: u16, width: Width) -> u32;

    /// The guest stores to a register.
    fn write(&mut self, offset: u16, width: Width, value: u32);

    /// Whether the interrupt line is high.
    fn line(&mut self) -> bool;

    /// The far end has something to send.
    fn send(&mut self, characters: impl Iterator<Item = u8>);

    /// Whether the far end has work, so that it will run.
    fn is_wanted(&self) -> bool;

    /// The far end runs.
    fn run_far_end(&mut self);
}

/// Characters that arrive at once.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    /// Accesses of the guest since the last burst; fewer if it rests before.
    pub after: usize,
    /// How many characters.
    pub characters: usize,
    /// Accesses of the guest before the far end does its next work.
    pub delay: usize,
}

/// A failure of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// More than two interrupts for each character.
    Storm {
        /// Interrupts taken.
        interrupts: usize,
        /// Characters sent by then.
        sent: usize,
    },
    /// The device always has another character.
    Endless,
    /// A character out of order.
    Garbled {
        /// Characters received before.
        at: usize,
    },
    /// Nothing happens any more, but characters are left.
    Stuck {
        /// Characters that were not received.
        left: usize,
        /// Characters sent.
        sent: usize,
    },
}

impl From<Endless> for Wrong {
    fn from(Endless: Endless) -> Self {
        Self::Endless
    }
}

/// The character sent as number `index`; distinguishes loss from reordering.
fn character(index: usize) -> u8 {
    let [low, ..] = (index * 7 + index / 251).to_le_bytes();
    low
}

struct Play<'s, S> {
    scene: &'s mut S,
    to_come: core::slice::Iter<'s, Burst>,
    /// Accesses until the far end does its work.
    delay: usize,
    /// Accesses since it had work.
    delayed: usize,
    /// Accesses since the last burst.
    since: usize,
    sent: usize,
    received: usize,
    garbled: Option<usize>,
}

impl<S: Scene> Play<'_, S> {
    /// Events before an access.
    fn between(&mut self) {
        if self.scene.is_wanted() {
            self.delayed += 1;
            if self.delayed > self.delay {
                self.far_end();
            }
        }
        self.since += 1;
        if let Some(next) = self.to_come.as_slice().first()
            && next.after < self.since
        {
            self.burst();
        }
    }

    fn far_end(&mut self) {
        self.delayed = 0;
        self.scene.run_far_end();
    }

    /// Sends the next burst; returns whether there was one.
    fn burst(&mut self) -> bool {
        let Some(burst) = self.to_come.next() else {
            return false;
        };
        let first = self.sent;
        self.sent += burst.characters;
        self.delay = burst.delay;
        self.since = 0;
        self.scene.send((first..self.sent).map(character));
        true
    }

    /// The guest rests; returns whether something happens outside it.
    fn rest(&mut self) -> bool {
        if self.scene.is_wanted() {
            self.far_end();
            return true;
        }
        self.burst()
    }
}

impl<S: Scene> Port for Play<'_, S> {
    fn read(&mut self, offset: u16, width: Width) -> u32 {
        self.between();
        self.scene.read(offset, width)
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        self.between();
        self.scene.write(offset, width, value);
    }

    fn received(&mut self, byte: u8) {
        if byte != character(self.received) {
            self.garbled.get_or_insert(self.received);
        }
        self.received += 1;
    }
}

impl Member {
    /// Drives a device, which is in its reset state, until nothing happens any more.
    /// Each burst arrives once.
    pub fn play(&self, scene: &mut impl Scene, bursts: &[Burst]) -> Result<(), Wrong> {
        let mut play = Play {
            scene,
            // Characters that arrive before FEN is set would be flushed.
            to_come: [].iter(),
            delay: 0,
            delayed: 0,
            since: 0,
            sent: 0,
            received: 0,
            garbled: None,
        };
        self.open(&mut play);
        play.to_come = bursts.iter();
        let mut interrupts = 0;
        let mut thread = false;
        loop {
            if play.scene.line() {
                interrupts += 1;
                if interrupts > 2 * play.sent {
                    let sent = play.sent;
                    return Err(Wrong::Storm { interrupts, sent });
                }
                self.interrupt(&mut play)?;
                thread |= self.drains_later();
            } else if thread {
                thread = false;
                self.thread(&mut play)?;
            } else if !play.rest() {
                break;
            }
        }
        if let Some(at) = play.garbled {
            return Err(Wrong::Garbled { at });
        }
        let sent = play.sent;
        match sent.checked_sub(play.received) {
            None => Err(Wrong::Garbled { at: sent }),
            Some(left) if left > self.may_leave() => Err(Wrong::Stuck { left, sent }),
            Some(_) => Ok(()),
        }
    }
}
