// SPDX-License-Identifier: MIT
//! Everybody who is attached to one console by a socket, and the sockets by
//! which others come.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use console_proto::Mode;
use mio::net::UnixStream;

use crate::buffer::History;
use crate::input::journal::{Inbox, Recipient};
use crate::ipc::endpoints::Door;
use crate::sink::clients::session::Viewer;

/// Most viewers of a console.
pub(crate) const VIEWERS_MAX: usize = 32;

/// A viewer who is not there any more.
pub(crate) struct Left {
    pub(crate) token: usize,
    /// By what name the service manager keeps it.
    pub(crate) kept: Option<String>,
}

/// The viewers of one console, by token.
#[derive(Default)]
pub(crate) struct Audience {
    doors: BTreeMap<usize, Door>,
    viewers: BTreeMap<usize, Viewer>,
    /// Whose input was taken last.
    last: usize,
    /// Bytes that those who left were too slow for.
    lost: u64,
    /// Those who left since somebody asked.
    left: Vec<Left>,
}

impl Audience {
    /// Opens a door.
    pub(crate) fn add_door(&mut self, token: usize, door: Door) {
        self.doors.insert(token, door);
    }

    /// The tokens of everything there is.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.doors.keys().chain(self.viewers.keys()).copied()
    }

    /// The tokens of the doors.
    pub(crate) fn door_tokens(&self) -> impl Iterator<Item = usize> {
        self.doors.keys().copied()
    }

    /// Adds to `came` whoever waits at a door, and what they may do.
    pub(crate) fn accept(
        &self,
        token: usize,
        came: &mut Vec<(UnixStream, Mode)>,
    ) -> io::Result<()> {
        match self.doors.get(&token) {
            Some(door) => door.accept(came),
            None => Ok(()),
        }
    }

    /// Whether there is room for one more; makes some if one who has hung up
    /// is only here for what he typed.
    pub(crate) fn has_room(&mut self, history: &History) -> bool {
        if self.viewers.len() >= VIEWERS_MAX {
            let gone = self.viewers.iter().find(|(_, one)| one.has_hung_up());
            if let Some(token) = gone.map(|(token, _)| *token) {
                self.remove(token, history);
            }
        }
        self.viewers.len() < VIEWERS_MAX
    }

    pub(crate) fn admit(&mut self, token: usize, viewer: Viewer) {
        self.viewers.insert(token, viewer);
    }

    pub(crate) fn len(&self) -> usize {
        let present = self.viewers.values().filter(|one| !one.has_hung_up());
        present.count()
    }

    /// Bytes that viewers were too slow for.
    pub(crate) fn lost(&self, history: &History) -> u64 {
        let present = self.viewers.values().map(|one| one.lost(history));
        self.lost + present.sum::<u64>()
    }

    /// Positions of the slowest and the quickest who take output.
    pub(crate) fn span(&self) -> Option<(u64, u64)> {
        let positions = || self.viewers.values().filter_map(Viewer::position);
        Some((positions().min()?, positions().max()?))
    }

    /// A viewer's socket has become ready.
    pub(crate) fn on_ready(&mut self, token: usize, event: &mio::event::Event) {
        if let Some(viewer) = self.viewers.get_mut(&token) {
            viewer.on_ready(event);
        }
    }

    /// Sends each what it takes, so many bytes at most; `true` when somebody
    /// could take more.
    pub(crate) fn feed(&mut self, history: &History, budget: usize) -> io::Result<bool> {
        let mut more = false;
        for viewer in self.viewers.values_mut() {
            viewer.drain();
            viewer.feed(history, budget)?;
            more |= viewer.is_busy(history);
        }
        let over = self.viewers.iter().filter(|(_, one)| one.is_over());
        for token in over.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.remove(token, history);
        }
        Ok(more)
    }

    /// Whether somebody may have typed something.
    pub(crate) fn has_input(&self) -> bool {
        self.viewers.values().any(Viewer::has_input)
    }

    /// What somebody typed, each in turn, which may be nothing for the guest;
    /// `None` when nobody did.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        inbox: Option<(&Inbox, Recipient)>,
    ) -> Option<usize> {
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let later = self.viewers.range(after);
        let order = later.chain(self.viewers.range(..=self.last));
        let token = order
            .filter(|(_, viewer)| viewer.has_input())
            .map(|(token, _)| *token)
            .next()?;
        self.last = token;
        let typed = self.viewers.get_mut(&token)?.read(buffer, inbox);
        Some(typed.unwrap_or(0))
    }

    pub(crate) fn doors(&self) -> impl Iterator<Item = &Door> {
        self.doors.values()
    }

    /// By what names the service manager keeps viewers.
    pub(crate) fn kept_names(&self) -> impl Iterator<Item = &str> {
        self.viewers.values().filter_map(Viewer::kept_name)
    }

    /// Leaves the doors where they are, for the next daemon to open.
    pub(crate) fn leave_doors(&mut self) {
        for door in self.doors.values_mut() {
            door.leave();
        }
    }

    /// Takes leave of everybody; of those who are kept for the next daemon
    /// without their noticing.
    pub(crate) fn end(&mut self, history: &History, why: &str) {
        for (_, viewer) in std::mem::take(&mut self.viewers) {
            viewer.end(history, why);
        }
    }

    /// Those who left since the last call.
    pub(crate) fn take_left(&mut self) -> Vec<Left> {
        std::mem::take(&mut self.left)
    }

    fn remove(&mut self, token: usize, history: &History) {
        if let Some(viewer) = self.viewers.remove(&token) {
            self.lost += viewer.lost(history);
            let kept = viewer.kept_name().map(str::to_owned);
            self.left.push(Left { token, kept });
        }
    }
}
