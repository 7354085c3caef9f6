// SPDX-License-Identifier: MIT
//! Transfers through a terminal, measured by the guest's own clock.
//!
//! Each prints `ready`, waits for a line on standard input, and after the work
//! prints `found` and its result in JSON.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::time::Instant;

use anyhow::Result;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcdrain, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::{daemon, pattern};

/// Writes `len` bytes of the text of `seed` and waits until they are sent.
pub fn send(tty: &str, seed: u32, len: usize) -> Result<()> {
    let mut terminal = open(tty)?;
    let bytes = pattern::text(seed, len);
    timed(|| {
        terminal.write_all(&bytes)?;
        tcdrain(&terminal)?;
        Ok(json!({}))
    })
}

/// Reads `len` bytes. The time begins with the first.
pub fn take(tty: &str, len: usize) -> Result<()> {
    let mut terminal = open(tty)?;
    let mut bytes = vec![0; len];
    timed(|| {
        terminal.read_exact(&mut bytes[..1])?;
        let start = Instant::now();
        terminal.read_exact(&mut bytes[1..])?;
        let ns = u64::try_from(start.elapsed().as_nanos())?;
        Ok(json!({"ns": ns, "sha256": pattern::sha256(&bytes)}))
    })
}

/// Echoes `count` bytes, one at a time.
pub fn echo(tty: &str, count: usize) -> Result<()> {
    let mut terminal = open(tty)?;
    timed(|| {
        for _ in 0..count {
            let mut byte = [0];
            terminal.read_exact(&mut byte)?;
            terminal.write_all(&byte)?;
        }
        Ok(json!({}))
    })
}

/// A terminal in raw mode.
fn open(path: &str) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut mode = tcgetattr(&terminal)?;
    mode.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &mode)?;
    Ok(terminal)
}

/// Does the work, and prints its time, its interrupts and its own result.
fn timed(work: impl FnOnce() -> Result<Value>) -> Result<()> {
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    let before = interrupts()?;
    let start = Instant::now();
    let said = work()?;
    let ns = u64::try_from(start.elapsed().as_nanos())?;
    let mut found = json!({"ns": ns, "interrupts": interrupts()? - before});
    if let (Some(found), Value::Object(said)) = (found.as_object_mut(), said) {
        found.extend(said);
    }
    println!("found {found}");
    Ok(())
}

/// The UART's interrupts so far.
fn interrupts() -> Result<u64> {
    let table = fs::read_to_string("/proc/interrupts")?;
    Ok(daemon::count_interrupts(&table, "uart-pl011"))
}
