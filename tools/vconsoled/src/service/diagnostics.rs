// SPDX-License-Identifier: MIT
//! The daemon's own messages: on standard error, or, once it is detached from its
//! terminal, to the system log. If standard error is connected to the journal
//! each line begins with its severity (sd-daemon(3)).
//!
//! The reader may stall, so messages go through a bounded queue to a thread of
//! their own. Messages that do not fit are lost and counted.

use std::env;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

const SYSTEM_LOG: &str = "/dev/log";
/// Facility "daemon", severity "notice" (RFC 3164).
const PRIORITY: &str = "<29>vconsoled: ";

/// Most queued messages, and the longest one in bytes.
const WAITING_MAX: usize = 512;
const MESSAGE_MAX: usize = 4096;

/// How long the end waits for the last messages.
const PATIENCE: Duration = Duration::from_millis(500);

static LOST: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);
static WRITTEN: AtomicU64 = AtomicU64::new(0);

/// Messages lost because they were not read.
pub(crate) fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The sink of messages. Until [`run`](Self::run) they are queued.
pub struct Diagnostics {
    sink: Sink,
    waiting: Option<Receiver<Vec<u8>>>,
}

#[derive(Clone, Copy)]
enum Sink {
    StandardError,
    SystemLog,
}

/// Sets up messages for the whole process.
#[must_use]
pub fn start(verbose: bool, detached: bool) -> Diagnostics {
    let level = if verbose {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    let (queue, waiting) = mpsc::sync_channel(WAITING_MAX);
    let messages = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(Queue(queue));
    if detached || env::var_os("JOURNAL_STREAM").is_some() {
        let plain = tracing_subscriber::fmt::format()
            .without_time()
            .with_target(false);
        let messages = messages.with_ansi(false);
        if detached {
            messages.event_format(plain).init();
        } else {
            messages.event_format(WithSeverity(plain)).init();
        }
    } else {
        messages.init();
    }
    Diagnostics {
        sink: if detached {
            Sink::SystemLog
        } else {
            Sink::StandardError
        },
        waiting: Some(waiting),
    }
}

impl Diagnostics {
    /// Starts the thread that writes messages.
    pub fn run(&mut self) -> io::Result<()> {
        let Some(waiting) = self.waiting.take() else {
            return Ok(());
        };
        let sink = self.sink;
        thread::Builder::new()
            .name("diagnostics".into())
            .spawn(move || {
                let mut told = 0;
                for message in waiting {
                    sink.write(&message);
                    let lost = lost();
                    if lost > told {
                        sink.write(
                            format!("{} messages are missing here\n", lost - told).as_bytes(),
                        );
                        told = lost;
                    }
                    WRITTEN.fetch_add(1, Ordering::Release);
                }
            })
            .map(drop)
    }
}

impl Drop for Diagnostics {
    fn drop(&mut self) {
        // The thread was not started: the process ends before it served.
        for message in self.waiting.iter().flat_map(Receiver::try_iter) {
            self.sink.write(&message);
            WRITTEN.fetch_add(1, Ordering::Release);
        }
        let deadline = Instant::now() + PATIENCE;
        while WRITTEN.load(Ordering::Acquire) < SENT.load(Ordering::Acquire)
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Sink {
    /// Errors are ignored: consoles are more important.
    fn write(self, message: &[u8]) {
        match self {
            Self::StandardError => drop(io::stderr().write_all(message)),
            Self::SystemLog => {
                let line = [PRIORITY.as_bytes(), message.trim_ascii_end()].concat();
                let _unheard =
                    UnixDatagram::unbound().and_then(|socket| socket.send_to(&line, SYSTEM_LOG));
            }
        }
    }
}

/// Prefixes each line with its severity.
struct WithSeverity<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithSeverity<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let severity = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{severity}>")?;
        self.0.format_event(context, writer, event)
    }
}

struct Queue(SyncSender<Vec<u8>>);

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            queue: &self.0,
            message: Vec::new(),
        }
    }
}

/// One message, queued whole when it is complete.
struct Line<'a> {
    queue: &'a SyncSender<Vec<u8>>,
    message: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MESSAGE_MAX.saturating_sub(self.message.len());
        self.message
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self
            .queue
            .try_send(std::mem::take(&mut self.message))
            .is_ok()
        {
            SENT.fetch_add(1, Ordering::Release);
        } else {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}
