// SPDX-License-Identifier: MIT
//! A queue of events that is bounded, and the thread that empties it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::event::{Event, Stamped};

/// Events that may wait.
pub(super) const WAITING_MAX: usize = 1024;
/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// What became of an event.
pub(super) enum Done {
    /// It is there.
    Written,
    /// It will not be.
    Lost,
    /// It is to be tried again.
    Again,
}

/// The way to a thread.
pub(super) struct Outlet(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// All that was lost.
    lost: u64,
    ending: bool,
    ended: bool,
}

enum Waiting {
    Event(Arc<Stamped>),
    /// So many, which there was no room for.
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

    /// Waits for the next one; `None` when there will be no more.
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

    /// Waits before another attempt; whether there is to be one.
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
    /// Starts a thread of that name, which has `write` write each event.
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

    /// Events that are missing.
    pub(super) fn lost(&self) -> u64 {
        self.0.queue().lost
    }

    /// Ends the thread once everything is written that can be, and waits for that at
    /// most so long.
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

    /// Every event is written, in order, or an event in its place counts it.
    #[test]
    fn what_has_no_room_while_nothing_is_taken_is_counted_in_its_place() {
        let (tell, told) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let outlet = Outlet::start("audit", move |event: &Stamped| {
            tell.send(event.event.clone()).unwrap();
            // The disk stands still until it is told otherwise.
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
        // What was lost and is not told of yet takes a place itself.
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
    fn who_ends_while_nothing_can_be_written_counts_what_is_left() {
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
