// SPDX-License-Identifier: MIT
//! The loop that serves both the commands and the serial peer.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::machine::Machine;
use crate::protocol;

/// A longer line is invalid.
const LINE_MAX: usize = 4096;
/// Bytes of guest output held outside the ring while the peer is slow.
const CHUNK: usize = 256;
/// While this much input of disconnected peers waits, the next one waits too.
const LEFT_BEHIND: usize = 1 << 20;

/// The serial peer: a stream socket that one program at a time connects to.
pub(crate) struct Chardev {
    listener: UnixListener,
    stream: Option<UnixStream>,
    /// Taken from the ring, not yet by the peer; kept for the next peer.
    unsent: VecDeque<u8>,
    /// Input of disconnected peers, for which there was no room.
    left_behind: VecDeque<u8>,
}

impl Chardev {
    /// Serves `listener`.
    pub(crate) fn new(listener: UnixListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            stream: None,
            unsent: VecDeque::new(),
            left_behind: VecDeque::new(),
        })
    }

    /// Accepts, reads and writes as far as possible without waiting.
    fn pump(&mut self, machine: &mut Machine) -> Result<()> {
        self.deliver(machine);
        // After a peer disconnects, the next one is accepted; the first one's last
        // bytes are delivered first.
        while self.attach()? {
            if !self.hung_up()? && self.read(machine) && self.write(machine) {
                return Ok(());
            }
            self.part();
            self.deliver(machine);
        }
        Ok(())
    }

    /// Whether the peer has closed its end: only the bytes already in the socket
    /// remain.
    fn hung_up(&self) -> Result<bool> {
        let Some(stream) = &self.stream else {
            return Ok(true);
        };
        let mut fds = [PollFd::new(stream, PollFlags::empty())];
        poll(&mut fds, Some(&Timespec::default())).context("looking at the serial peer")?;
        Ok(fds[0].revents().contains(PollFlags::HUP))
    }

    /// Drops the peer and keeps the input that it had still written.
    fn part(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let mut buffer = [0; 4096];
        // An error ends it like an end of file: nothing more will come.
        while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
            self.left_behind.extend(&buffer[..bytes]);
        }
    }

    /// Delivers earlier peers' input, as far as there is room.
    fn deliver(&mut self, machine: &mut Machine) {
        while !self.left_behind.is_empty() && machine.input_space() > 0 {
            let (head, _) = self.left_behind.as_slices();
            let bytes = head.len().min(machine.input_space());
            machine.put_input(&head[..bytes]);
            self.left_behind.drain(..bytes);
        }
    }

    /// Whether there is a peer; accepts one if there is none.
    fn attach(&mut self) -> Result<bool> {
        if self.stream.is_none() {
            if self.is_crowded() {
                return Ok(false);
            }
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.stream = Some(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("accepting the serial peer"),
            }
        }
        Ok(true)
    }

    fn is_crowded(&self) -> bool {
        self.left_behind.len() >= LEFT_BEHIND
    }

    /// Reads as much as the ring has room for, after earlier peers' input; `false` once
    /// the peer is gone.
    fn read(&mut self, machine: &mut Machine) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        loop {
            let mut buffer = [0; 1024];
            let room = machine.input_space().min(buffer.len());
            if room == 0 {
                return true;
            }
            match stream.read(&mut buffer[..room]) {
                Ok(0) => return false,
                Ok(bytes) => machine.put_input(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Writes as much as the peer takes; `false` once the peer is gone.
    fn write(&mut self, machine: &mut Machine) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        loop {
            if self.unsent.is_empty() {
                machine.take_guest_output(&mut self.unsent, CHUNK);
            }
            let (head, _) = self.unsent.as_slices();
            if head.is_empty() {
                return true;
            }
            match stream.write(head) {
                Ok(bytes) => drop(self.unsent.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// The events to wait for on the peer's socket.
    fn interest(&self, machine: &Machine) -> PollFlags {
        let mut flags = PollFlags::empty();
        if machine.input_space() > 0 {
            flags |= PollFlags::IN;
        }
        if !self.unsent.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }
}

/// Splits standard input into lines.
#[derive(Default)]
struct Lines {
    partial: Vec<u8>,
    /// The rest of an overlong line is being dropped.
    skipping: bool,
}

/// A whole line, or one that is too long.
enum Line {
    Whole(String),
    TooLong,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' if self.skipping => self.skipping = false,
                b'\n' => {
                    let line = String::from_utf8_lossy(&self.partial).into_owned();
                    self.partial.clear();
                    lines.push(Line::Whole(line));
                }
                _ if self.skipping => {}
                _ if self.partial.len() == LINE_MAX => {
                    self.partial.clear();
                    self.skipping = true;
                    lines.push(Line::TooLong);
                }
                _ => self.partial.push(byte),
            }
        }
        lines
    }
}

/// Serves until `input` ends.
pub(crate) fn serve(
    machine: &mut Machine,
    mut chardev: Option<Chardev>,
    input: BorrowedFd,
    output: &mut impl Write,
) -> Result<()> {
    let mut lines = Lines::default();
    loop {
        let mut buffer = [0; 4096];
        pump(chardev.as_mut(), machine, output)?;
        if !wait(chardev.as_ref(), machine, input)? {
            continue;
        }
        let bytes = match rustix::io::read(input, &mut buffer) {
            Ok(0) => return pump(chardev.as_mut(), machine, output),
            Ok(bytes) => bytes,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => return Err(error).context("reading commands"),
        };
        for line in lines.push(&buffer[..bytes]) {
            // A peer that connected or wrote before the command is served before its
            // answer.
            pump(chardev.as_mut(), machine, output)?;
            match line {
                Line::Whole(line) => match protocol::parse(&line) {
                    Ok(command) => machine.run(&command),
                    Err(error) => machine.fail(&error),
                },
                Line::TooLong => machine.fail(&"Line too long"),
            }
            print(machine, output)?;
        }
    }
}

fn pump(
    chardev: Option<&mut Chardev>,
    machine: &mut Machine,
    output: &mut impl Write,
) -> Result<()> {
    if let Some(chardev) = chardev {
        chardev.pump(machine)?;
    }
    print(machine, output)
}

fn print(machine: &mut Machine, output: &mut impl Write) -> Result<()> {
    let said = machine.take_output();
    output
        .write_all(said.as_bytes())
        .context("writing answers")?;
    output.flush().context("writing answers")
}

/// Sleeps until there is work; returns whether commands can be read.
fn wait(chardev: Option<&Chardev>, machine: &Machine, input: BorrowedFd) -> Result<bool> {
    let mut fds = vec![PollFd::from_borrowed_fd(input, PollFlags::IN)];
    if let Some(chardev) = chardev {
        match &chardev.stream {
            Some(stream) => {
                // Nothing to wait for: a hang-up would only wake the loop in vain, and
                // the peer's last bytes wait for room in the ring.
                let interest = chardev.interest(machine);
                if !interest.is_empty() {
                    fds.push(PollFd::new(stream, interest));
                }
            }
            // Another peer is accepted only once the guest has read.
            None if chardev.is_crowded() => {}
            None => fds.push(PollFd::from_borrowed_fd(
                chardev.listener.as_fd(),
                PollFlags::IN,
            )),
        }
    }
    match poll(&mut fds, None) {
        Ok(_) => Ok(!fds[0].revents().is_empty()),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("waiting"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_the_input_is_cut() {
        let mut lines = Lines::default();
        assert!(lines.push(b"rea").is_empty());
        let got = lines.push(b"dl 0\nx\n");
        let [Line::Whole(first), Line::Whole(second)] = got.as_slice() else {
            panic!("two lines expected");
        };
        assert_eq!((first.as_str(), second.as_str()), ("readl 0", "x"));
    }

    #[test]
    fn an_overlong_line_is_reported_once_and_skipped() {
        let mut lines = Lines::default();
        let got = lines.push(&vec![b'a'; 3 * LINE_MAX]);
        assert!(matches!(got.as_slice(), [Line::TooLong]));
        let got = lines.push(b"aaa\nreadl 0\n");
        assert!(matches!(got.as_slice(), [Line::Whole(line)] if line == "readl 0"));
    }
}
