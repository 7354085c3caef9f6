// SPDX-License-Identifier: MIT
//! Events as journald entries, with a field for each property.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::event::Stamped;
use super::outlet::Done;
use crate::sink::journal::{Journal, field};

/// How long the journal may be full before an event is lost, and the interval
/// between attempts.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(5);

/// The loss of events was reported.
static SAID: AtomicBool = AtomicBool::new(false);

/// Sends an event.
pub(super) fn send(journal: &Journal, event: &Stamped) -> Done {
    let entry = entry(event);
    let began = Instant::now();
    loop {
        match journal.send(&entry) {
            Ok(()) => return Done::Written,
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && began.elapsed() < PATIENCE =>
            {
                thread::sleep(RETRY);
            }
            Err(error) => {
                if !SAID.swap(true, Ordering::Relaxed) {
                    tracing::warn!("the audit does not reach the journal: {error}");
                }
                return Done::Lost;
            }
        }
    }
}

fn entry(event: &Stamped) -> Vec<u8> {
    let mut entry = Vec::new();
    let mut add = |name: &str, value: &str| field(&mut entry, name, value.as_bytes());
    add("PRIORITY", "5");
    add("SYSLOG_IDENTIFIER", "vconsoled-audit");
    add("MESSAGE", &event.event.to_string());
    add("VCONSOLED_EVENT", event.event.name);
    for (key, value) in &event.event.fields {
        let name = match *key {
            // The same names as for guests' lines.
            "console" => "CONSOLE".to_owned(),
            "domain" => "DOMAIN".to_owned(),
            key => format!("VCONSOLED_{}", key.to_uppercase()),
        };
        match value {
            Value::String(text) => add(&name, text),
            value => add(&name, &value.to_string()),
        }
    }
    entry
}
