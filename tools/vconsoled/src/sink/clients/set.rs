// SPDX-License-Identifier: MIT
//! The sessions of one console, and its listening endpoints.

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

/// A closed session.
pub(crate) struct Closed {
    pub(crate) token: usize,
    /// Its name with the service manager.
    pub(crate) stored: Option<String>,
}

/// The sessions of one console, by token.
#[derive(Default)]
pub(crate) struct ClientSet {
    endpoints: BTreeMap<usize, Endpoint>,
    sessions: BTreeMap<usize, Session>,
    /// The session whose input was taken last.
    last: usize,
    /// Bytes lost by closed sessions.
    lost: u64,
    /// Sessions closed since the last call of `take_closed`.
    closed: Vec<Closed>,
    /// The session that types exclusively, if any.
    holder: Option<usize>,
}

impl ClientSet {
    /// Adds a listening endpoint.
    pub(crate) fn add_endpoint(&mut self, token: usize, endpoint: Endpoint) {
        self.endpoints.insert(token, endpoint);
    }

    /// The tokens of all endpoints and sessions.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.endpoints.keys().chain(self.sessions.keys()).copied()
    }

    /// The tokens of the endpoints.
    pub(crate) fn endpoint_tokens(&self) -> impl Iterator<Item = usize> {
        self.endpoints.keys().copied()
    }

    /// Accepts viewers at an endpoint into `came` with their mode, at most
    /// `most`; returns whether more may wait.
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

    /// Whether there is room for one more session and `spare` others; removes one
    /// that has hung up if needed.
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

    /// The session that types exclusively, if any.
    pub(crate) fn holder(&self) -> Option<&Session> {
        self.sessions.get(&self.holder?)
    }

    pub(crate) fn is_holder(&self, token: usize) -> bool {
        self.holder == Some(token)
    }

    /// Makes a session type exclusively; the others get `notice`.
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

    /// Ends exclusive input: all sessions may type again as before.
    fn release(&mut self) {
        self.holder = None;
        for session in self.sessions.values_mut() {
            session.silence(false);
        }
    }

    /// Queues a notice for all sessions; returns how many take it.
    pub(crate) fn notify(&mut self, text: &str) -> usize {
        let sessions = self.sessions.values_mut();
        sessions.map(|one| usize::from(one.notify(text))).sum()
    }

    /// All sessions, by token.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.sessions
            .iter()
            .map(|(token, session)| (*token, session))
    }

    pub(crate) fn len(&self) -> usize {
        let present = self.sessions.values().filter(|one| !one.has_hung_up());
        present.count()
    }

    /// Bytes that viewers lost because they were too slow.
    pub(crate) fn lost(&self, output: &OutputBuffer) -> u64 {
        let present = self.sessions.values().map(|one| one.lost(output));
        self.lost + present.sum::<u64>()
    }

    /// Positions of the slowest and the fastest session that takes output.
    pub(crate) fn span(&self) -> Option<(u64, u64)> {
        let positions = || self.sessions.values().filter_map(Session::position);
        Some((positions().min()?, positions().max()?))
    }

    /// The callers of all sessions, by token.
    pub(crate) fn callers(&self) -> impl Iterator<Item = (usize, &Caller)> {
        let sessions = self.sessions.iter();
        sessions.map(|(token, session)| (*token, session.visitor().caller()))
    }

    /// Makes a session read-only.
    pub(crate) fn take_keyboard(&mut self, token: usize) {
        if let Some(session) = self.sessions.get_mut(&token) {
            session.take_keyboard();
        }
        if self.is_holder(token) {
            self.release();
        }
    }

    /// Handles readiness of a session's socket.
    pub(crate) fn on_ready(&mut self, token: usize, event: &mio::event::Event) {
        if let Some(viewer) = self.sessions.get_mut(&token) {
            viewer.on_ready(event);
        }
    }

    /// Sends output to each session, at most `budget` bytes; `true` if one could
    /// take more.
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
        // The other sessions must then be notified that they may type again.
        Ok(more || held && self.holder.is_none())
    }

    /// Whether a session may have input.
    pub(crate) fn has_input(&self) -> bool {
        self.sessions.values().any(Session::has_input)
    }

    /// Reads input of the next session in turn, possibly none for the guest;
    /// `None` if no session has any.
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

    /// The names of stored sessions.
    pub(crate) fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.sessions.values().filter_map(Session::stored_name)
    }

    /// Leaves the endpoints for the next daemon.
    pub(crate) fn leave_endpoints(&mut self) {
        for endpoint in self.endpoints.values_mut() {
            endpoint.leave();
        }
    }

    /// Closes all sessions; stored ones stay connected for the next daemon.
    pub(crate) fn close(&mut self, output: &OutputBuffer, why: &str) {
        for (_, viewer) in std::mem::take(&mut self.sessions) {
            viewer.close(output, why);
        }
    }

    /// Sessions closed since the last call.
    pub(crate) fn take_closed(&mut self) -> Vec<Closed> {
        std::mem::take(&mut self.closed)
    }

    /// Closes a session without further output.
    pub(crate) fn cut_off(&mut self, token: usize, output: &OutputBuffer, why: &str) {
        if let Some(viewer) = self.remove(token, output) {
            viewer.cut_off(why);
        }
    }

    /// Removes a session whose viewer has left.
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
