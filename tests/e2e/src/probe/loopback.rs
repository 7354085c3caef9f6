// SPDX-License-Identifier: MIT
//! The loopback of a Linux guest's serial port: with `TIOCM_LOOP` its outputs are
//! its inputs, both data and modem lines.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, Termios, tcdrain, tcgetattr, tcsetattr,
};

use crate::pattern;

/// The pattern that is sent.
pub(crate) const SEED: u32 = 42;
pub(crate) const LEN: usize = 4096;

/// How long each batch of bytes may take, in seconds.
const PATIENCE: i64 = 10;

/// Linux's numbers of modem lines (`asm-generic/termios.h`).
const DTR: i32 = 0x0002;
const RTS: i32 = 0x0004;
const OUT1: i32 = 0x2000;
const OUT2: i32 = 0x4000;
const LOOP: i32 = 0x8000;
const NAMES: [(i32, &str); 8] = [
    (DTR, "DTR"),
    (RTS, "RTS"),
    (0x0020, "CTS"),
    (0x0040, "CD"),
    (0x0080, "RI"),
    (0x0100, "DSR"),
    (OUT1, "OUT1"),
    (OUT2, "OUT2"),
];

/// Tests the loopback of the terminal on standard input, and prints one JSON object
/// with the result of each step.
pub fn tell() -> Result<()> {
    println!("{}", serde_json::to_string(&try_out()?)?);
    Ok(())
}

/// Tests the loopback of the terminal on standard input, and restores the terminal.
/// Returns the lines that were on at each step, and under `bytes` the SHA-256 sum
/// of the received bytes.
fn try_out() -> Result<BTreeMap<&'static str, String>> {
    let port = io::stdin();
    let saved = tcgetattr(&port)?;
    tcsetattr(&port, OptionalActions::Drain, &raw(&saved))?;
    let fd = port.as_raw_fd();
    let outputs = ioctl_rs::tiocmget(fd)? & (DTR | RTS | OUT1 | OUT2);
    let found = looped(fd);
    ioctl_rs::tiocmset(fd, outputs)?;
    let after = lines(fd);
    tcsetattr(&port, OptionalActions::Flush, &saved)?;
    let mut found = found?;
    found.insert("after", after?);
    Ok(found)
}

/// Modes in which only the pattern is on the line.
fn raw(modes: &Termios) -> Termios {
    let mut modes = modes.clone();
    modes.make_raw();
    // A nearly full terminal would send XOFF into the loop: a getty may have set
    // IXOFF, and raw modes keep it.
    modes.input_modes -= InputModes::IXOFF | InputModes::IXANY;
    // Otherwise the kernel hangs up when CD falls.
    modes.control_modes |= ControlModes::CLOCAL;
    modes
}

fn looped(fd: i32) -> Result<BTreeMap<&'static str, String>> {
    let mut found = BTreeMap::from([("before", lines(fd)?)]);
    for (step, outputs) in [
        ("all off", 0),
        ("RTS on", RTS),
        ("DTR on", DTR),
        ("OUT1 on", OUT1),
        ("OUT2 on", OUT2),
        ("all on", DTR | RTS | OUT1 | OUT2),
    ] {
        ioctl_rs::tiocmset(fd, LOOP | outputs)?;
        found.insert(step, lines(fd)?);
    }
    let came = send_around()?;
    found.insert("bytes", pattern::sha256(&came));
    found.insert("length", came.len().to_string());
    Ok(found)
}

/// The names of the lines that are on.
fn lines(fd: i32) -> io::Result<String> {
    let lines = ioctl_rs::tiocmget(fd)?;
    let on = NAMES.iter().filter(|(line, _)| lines & line != 0);
    Ok(on.map(|(_, name)| *name).collect::<Vec<_>>().join(" "))
}

/// Sends the pattern; returns the bytes received.
fn send_around() -> Result<Vec<u8>> {
    let mut port = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")?;
    let mut out = port.try_clone()?;
    let sender = thread::spawn(move || -> Result<()> {
        out.write_all(&pattern::bytes(SEED, LEN))?;
        tcdrain(&out)?;
        Ok(())
    });
    let mut came = Vec::new();
    let mut buffer = [0; LEN];
    // A little longer than necessary: no byte may arrive twice.
    while is_readable(&port, if came.len() < LEN { PATIENCE } else { 1 })? {
        let length = port.read(&mut buffer)?;
        came.extend_from_slice(&buffer[..length]);
    }
    if came.len() >= LEN {
        // Otherwise it may never end.
        sender.join().unwrap_or(Ok(()))?;
    }
    Ok(came)
}

fn is_readable(port: &impl AsFd, seconds: i64) -> Result<bool> {
    let limit = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    Ok(poll(&mut [PollFd::new(port, PollFlags::IN)], Some(&limit))? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, openpt};

    #[test]
    fn nothing_but_the_pattern_is_on_the_line() {
        let port = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let mut modes = tcgetattr(&port).unwrap();
        // As a getty leaves them.
        modes.input_modes |= InputModes::IXON | InputModes::IXOFF | InputModes::IXANY;
        let raw = raw(&modes);
        let flow = InputModes::IXON | InputModes::IXOFF | InputModes::IXANY;
        assert!(!raw.input_modes.intersects(flow));
        assert!(raw.control_modes.contains(ControlModes::CLOCAL));
        assert!(modes.input_modes.contains(flow), "what is restored");
    }
}
