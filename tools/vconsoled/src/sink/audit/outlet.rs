// SPDX-License-Identifier: MIT
//! A bounded queue of events, and the thread that writes them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::event::{Event, Stamped};

/// Most queued events.
pub(super) const WAITING_MAX: usize = 1024;
/// Pause before a retry after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// The result of writing an event.
pub(super) enum Done {
    /// It was written.
    Written,
    /// It is lost.
    Lost,
    /// It must be retried.
    Again,
}

/// The queue to a thread.
pub(super) struct Outlet(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Total number of lost events.
    lost: u64,
    ending: bool,
    ended: bool,
}

enum Waiting {
    Event(Arc<Stamped>),
    /// This many events, for which there was no room.
    Lost(u64),
}

impl Queue {
    fn lose(&mut self, count: u64) {
        self.lost += count;
        match self.waiting.back_mut() {
            Some(Waiting::Lost(lost)) => *lost += count,
            _ => self.waiting.push_back(Waiting::Lost(count)),
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next one; `None` at the end.
    fn next(&self) -> Option<Waiting> {
        let mut queue = self.queue();
        loop {
            if let Some(next) = queue.waiting.pop_front() {
                return Some(next);
            }
            if queue.ending {
                return None;
            }
            let waited = self.changed.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits before a retry; returns whether to retry.
    fn pause(&self) -> bool {
        let going = |queue: &mut Queue| !queue.ending;
        let waited = self.changed.wait_timeout_while(self.queue(), PAUSE, going);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !queue.ending
    }

    fn run(&self, mut write: impl FnMut(&Stamped) -> Done) {
        while let Some(next) = self.next() {
            let (event, count) = match next {
                Waiting::Event(event) => (event, 1),
                // They are counted already.
                Waiting::Lost(count) => {
                    let event = Event::new("lost").with("count", count);
                    (Arc::new(Stamped::now(event)), 0)
                }
            };
            let done = loop {
                match write(&event) {
                    Done::Again if self.pause() => {}
                    done => break done,
                }
            };
            match done {
                Done::Written => {}
                Done::Lost | Done::Again => self.queue().lost += count,
            }
        }
        self.queue().ended = true;
        self.changed.notify_all();
    }
}

impl Outlet {
    /// Starts a thread of that name, which calls `write` for each event.
    pub(super) fn start(
        name: &str,
        write: impl FnMut(&Stamped) -> Done + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let outlet = Self(Arc::clone(&shared));
        let thread = thread::Builder::new().name(name.into());
        thread.spawn(move || shared.run(write))?;
        Ok(outlet)
    }

    /// Adds an event, if there is room.
    pub(super) fn add(&self, event: Arc<Stamped>) {
        let mut queue = self.0.queue();
        if queue.waiting.len() < WAITING_MAX {
            queue.waiting.push_back(Waiting::Event(event));
        } else {
            queue.lose(1);
        }
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Number of lost events.
    pub(super) fn lost(&self) -> u64 {
        self.0.queue().lost
    }

    /// Ends the thread once everything possible is written; waits for that at
    /// most `patience`.
    pub(super) fn finish(&self, patience: Duration) {
        let mut queue = self.0.queue();
        queue.ending = true;
        self.0.changed.notify_all();
        let goes_on = |queue: &mut Queue| !queue.ended;
        let waited = self.0.changed.wait_timeout_while(queue, patience, goes_on);
        let (queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && !patience.is_zero() {
            let left = queue.waiting.len();
            tracing::warn!("{left} events of the audit are lost: the daemon ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);

    fn event(number: u64) -> Arc<Stamped> {
        Arc::new(Stamped::now(Event::new("x").with("number", number)))
    }

    /// Every event is written, in order, or counted by an event in its place.
    #[test]
    fn what_has_no_room_while_nothing_is_taken_is_counted_in_its_place() {
        let (tell, told) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let outlet = Outlet::start("audit", move |event: &Stamped| {
            tell.send(event.event.clone()).unwrap();
            // Blocks like a stalled disk until the test continues it.
            gone.recv().map_or(Done::Lost, |()| Done::Written)
        });
        let outlet = outlet.unwrap();
        outlet.add(event(0));
        let take = || told.recv_timeout(PATIENCE).unwrap().to_string();
        assert_eq!(take(), "x number=0");
        let most = WAITING_MAX as u64;
        for number in 1..=most + 10 {
            outlet.add(event(number));
        }
        assert_eq!(outlet.lost(), 10);
        go.send(()).unwrap();
        assert_eq!(take(), "x number=1");
        // An unreported loss takes a place itself.
        for number in [2000, 2001] {
            outlet.add(event(number));
        }
        assert_eq!(outlet.lost(), 12);
        for number in 2..=most {
            go.send(()).unwrap();
            assert_eq!(take(), format!("x number={number}"));
        }
        outlet.add(event(3000));
        for expected in ["lost count=12", "x number=3000"] {
            go.send(()).unwrap();
            assert_eq!(take(), expected);
        }
        go.send(()).unwrap();
        outlet.finish(PATIENCE);
        assert_eq!(outlet.lost(), 12);
    }

    #[test]
    fn at_the_end_unwritten_events_are_counted() {
        let (tell, told) = mpsc::channel();
        let outlet = Outlet::start("audit", move |_: &Stamped| {
            tell.send(()).unwrap();
            Done::Again
        });
        let outlet = outlet.unwrap();
        for number in 0..3 {
            outlet.add(event(number));
        }
        told.recv_timeout(PATIENCE).unwrap();
        outlet.finish(PATIENCE);
        assert_eq!(outlet.lost(), 3);
    }
}
