// SPDX-License-Identifier: MIT
//! The viewers attached to one console by sockets, and its listening endpoints.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use console_proto::Mode;
use mio::net::UnixStream;

use crate::access::Caller;
use crate::buffer::OutputBuffer;
use crate::input::journal::{InputJournal, Recipient};
use crate::ipc::endpoints::Endpoint;
use crate::sink::clients::session::Session;

/// Most viewers of a console.
pub(crate) const SESSIONS_MAX: usize = 32;

/// A viewer who is not there any more.
pub(crate) struct Closed {
    pub(crate) token: usize,
    /// By what name the service manager keeps it.
    pub(crate) stored: Option<String>,
}

/// The viewers of one console, by token.
#[derive(Default)]
pub(crate) struct ClientSet {
    endpoints: BTreeMap<usize, Endpoint>,
    sessions: BTreeMap<usize, Session>,
    /// Whose input was taken last.
    last: usize,
    /// Bytes that those who left were too slow for.
    lost: u64,
    /// Those who left since somebody asked.
    closed: Vec<Closed>,
    /// Who types alone, if somebody does.
    holder: Option<usize>,
}

impl ClientSet {
    /// Adds a listening endpoint.
    pub(crate) fn add_endpoint(&mut self, token: usize, endpoint: Endpoint) {
        self.endpoints.insert(token, endpoint);
    }

    /// The tokens of everything there is.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.endpoints.keys().chain(self.sessions.keys()).copied()
    }

    /// The tokens of the endpoints.
    pub(crate) fn endpoint_tokens(&self) -> impl Iterator<Item = usize> {
        self.endpoints.keys().copied()
    }

    /// Adds to `came` those who wait at an endpoint, `most` at once, and what
    /// they may do; whether more may wait.
    pub(crate) fn accept(
        &self,
        token: usize,
        most: &mut usize,
        came: &mut Vec<(UnixStream, Mode)>,
    ) -> io::Result<bool> {
        match self.endpoints.get(&token) {
            Some(endpoint) => endpoint.accept(most, came),
            None => Ok(false),
        }
    }

    /// Whether there is room for one more and `spare` others; makes some if one
    /// who has hung up is only here for what he typed.
    pub(crate) fn has_room(&mut self, spare: usize, output: &OutputBuffer) -> bool {
        let most = SESSIONS_MAX - spare;
        if self.sessions.len() >= most {
            let gone = self.sessions.iter().find(|(_, one)| one.has_hung_up());
            if let Some(token) = gone.map(|(token, _)| *token) {
                self.forget(token, output);
            }
        }
        self.sessions.len() < most
    }

    pub(crate) fn admit(&mut self, token: usize, mut viewer: Session) {
        viewer.silence(self.holder.is_some());
        self.sessions.insert(token, viewer);
    }

    /// Who types alone, if somebody does.
    pub(crate) fn holder(&self) -> Option<&Session> {
        self.sessions.get(&self.holder?)
    }

    pub(crate) fn is_holder(&self, token: usize) -> bool {
        self.holder == Some(token)
    }

    /// Has a viewer type alone, of which the others are told by `notice`.
    pub(crate) fn hold(&mut self, token: usize, notice: &str) {
        self.holder = Some(token);
        for (other, session) in &mut self.sessions {
            let silenced = *other != token;
            if silenced && session.types() {
                session.notify(notice);
            }
            session.silence(silenced);
        }
    }

    /// Everybody may type again who could.
    fn release(&mut self) {
        self.holder = None;
        for session in self.sessions.values_mut() {
            session.silence(false);
        }
    }

    /// Tells everybody something; how many take it.
    pub(crate) fn notify(&mut self, text: &str) -> usize {
        let sessions = self.sessions.values_mut();
        sessions.map(|one| usize::from(one.notify(text))).sum()
    }

    /// Everybody who is attached, by token.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.sessions
            .iter()
            .map(|(token, session)| (*token, session))
    }

    pub(crate) fn len(&self) -> usize {
        let present = self.sessions.values().filter(|one| !one.has_hung_up());
        present.count()
    }

    /// Bytes that viewers were too slow for.
    pub(crate) fn lost(&self, output: &OutputBuffer) -> u64 {
        let present = self.sessions.values().map(|one| one.lost(output));
        self.lost + present.sum::<u64>()
    }

    /// Positions of the slowest and the quickest who take output.
    pub(crate) fn span(&self) -> Option<(u64, u64)> {
        let positions = || self.sessions.values().filter_map(Session::position);
        Some((positions().min()?, positions().max()?))
    }

    /// Who is attached, by token.
    pub(crate) fn callers(&self) -> impl Iterator<Item = (usize, &Caller)> {
        let sessions = self.sessions.iter();
        sessions.map(|(token, session)| (*token, session.visitor().caller()))
    }

    /// Has a viewer only watch from now on.
    pub(crate) fn take_keyboard(&mut self, token: usize) {
        if let Some(session) = self.sessions.get_mut(&token) {
            session.take_keyboard();
        }
        if self.is_holder(token) {
            self.release();
        }
    }

    /// A viewer's socket has become ready.
    pub(crate) fn on_ready(&mut self, token: usize, event: &mio::event::Event) {
        if let Some(viewer) = self.sessions.get_mut(&token) {
            viewer.on_ready(event);
        }
    }

    /// Sends each what it takes, so many bytes at most; `true` when somebody
    /// could take more.
    pub(crate) fn feed(&mut self, output: &OutputBuffer, budget: usize) -> io::Result<bool> {
        let mut more = false;
        for viewer in self.sessions.values_mut() {
            viewer.drain();
            viewer.feed(output, budget)?;
            more |= viewer.is_busy(output);
        }
        let held = self.holder.is_some();
        let over = self.sessions.iter().filter(|(_, one)| one.is_over());
        for token in over.map(|(token, _)| *token).collect::<Vec<_>>() {
            self.forget(token, output);
        }
        // Then the others are to be told that they may type again.
        Ok(more || held && self.holder.is_none())
    }

    /// Whether somebody may have typed something.
    pub(crate) fn has_input(&self) -> bool {
        self.sessions.values().any(Session::has_input)
    }

    /// What somebody typed, each in turn, which may be nothing for the guest;
    /// `None` when nobody did.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        input_journal: Option<(&InputJournal, Recipient)>,
    ) -> Option<usize> {
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let later = self.sessions.range(after);
        let order = later.chain(self.sessions.range(..=self.last));
        let token = order
            .filter(|(_, viewer)| viewer.has_input())
            .map(|(token, _)| *token)
            .next()?;
        self.last = token;
        let typed = self.sessions.get_mut(&token)?.read(buffer, input_journal);
        Some(typed.unwrap_or(0))
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    /// By what names the service manager keeps viewers.
    pub(crate) fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.sessions.values().filter_map(Session::stored_name)
    }

    /// Leaves the endpoints where they are, for the next daemon to open.
    pub(crate) fn leave_endpoints(&mut self) {
        for endpoint in self.endpoints.values_mut() {
            endpoint.leave();
        }
    }

    /// Closes all sessions; of those who are stored for the next daemon
    /// without their noticing.
    pub(crate) fn close(&mut self, output: &OutputBuffer, why: &str) {
        for (_, viewer) in std::mem::take(&mut self.sessions) {
            viewer.close(output, why);
        }
    }

    /// Those who left since the last call.
    pub(crate) fn take_closed(&mut self) -> Vec<Closed> {
        std::mem::take(&mut self.closed)
    }

    /// Sends a viewer away without another byte of output.
    pub(crate) fn cut_off(&mut self, token: usize, output: &OutputBuffer, why: &str) {
        if let Some(viewer) = self.remove(token, output) {
            viewer.cut_off(why);
        }
    }

    /// Forgets a viewer who has left.
    fn forget(&mut self, token: usize, output: &OutputBuffer) {
        if let Some(viewer) = self.remove(token, output) {
            viewer.visitor().tell_end("left");
        }
    }

    fn remove(&mut self, token: usize, output: &OutputBuffer) -> Option<Session> {
        let viewer = self.sessions.remove(&token)?;
        if self.is_holder(token) {
            self.release();
        }
        self.lost += viewer.lost(output);
        let stored = viewer.stored_name().map(str::to_owned);
        self.closed.push(Closed { token, stored });
        Some(viewer)
    }
}
