// SPDX-License-Identifier: MIT
//! What the daemon says: on standard error, or to the journal where standard
//! error leads there, or, once it has let go of its terminal, to the system
//! log.

use std::env;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const SYSTEM_LOG: &str = "/dev/log";
/// Facility "daemon", severity "notice" (RFC 3164).
const PRIORITY: &str = "<29>vconsoled: ";

/// Sets up messages for the whole process.
pub fn start(verbose: bool, detached: bool) {
    let level = if verbose {
        LevelFilter::INFO
    } else {
        LevelFilter::WARN
    };
    if !detached && env::var_os("JOURNAL_STREAM").is_some() {
        // With the severity of each as a field, and no colours.
        if let Ok(journal) = tracing_journald::layer() {
            return tracing_subscriber::registry()
                .with(level)
                .with(journal)
                .init();
        }
    }
    let messages = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false);
    if detached {
        messages
            .without_time()
            .with_ansi(false)
            .with_writer(SystemLog)
            .init();
    } else {
        messages.with_writer(io::stderr).init();
    }
}

struct SystemLog;

impl<'a> MakeWriter<'a> for SystemLog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(PRIORITY.as_bytes().to_vec())
    }
}

/// One message, sent whole when it is complete.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A small control domain has no system log, or one that is not ready:
        // consoles matter more than messages.
        let _unheard = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to(self.0.trim_ascii_end(), SYSTEM_LOG)
        });
    }
}
