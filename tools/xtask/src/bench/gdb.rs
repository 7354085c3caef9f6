// SPDX-License-Identifier: MIT
//! A stopped machine, one instruction at a time: as much of GDB's remote serial
//! protocol as that takes, spoken to QEMU over a socket.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// For QEMU to make its socket, and to answer.
const PATIENCE: Duration = Duration::from_secs(180);

/// The PC's number, behind X0 to X30 and SP.
const PC: u32 = 32;

/// The machine's debugger.
pub(crate) struct Debugger {
    stream: UnixStream,
    left: Vec<u8>,
}

impl Debugger {
    /// Connects to a machine that waits for it; it stands before its first
    /// instruction.
    pub(crate) fn attach(socket: &Path) -> Result<Self> {
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => {
                    return Err(error).context("the machine offers no debugger");
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        };
        let mut debugger = Self::new(stream)?;
        debugger.ask("?")?;
        // Only who has asked what registers there are may ask for one.
        debugger.ask("qXfer:features:read:target.xml:0,ffb")?;
        Ok(debugger)
    }

    fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            left: Vec::new(),
        })
    }

    /// Stops when an instruction at `address` is next.
    pub(crate) fn break_at(&mut self, address: u64) -> Result<()> {
        self.order(&format!("Z0,{address:x},4"))
    }

    /// No longer does.
    pub(crate) fn pass(&mut self, address: u64) -> Result<()> {
        self.order(&format!("z0,{address:x},4"))
    }

    /// Goes on until a stop.
    pub(crate) fn go(&mut self) -> Result<u64> {
        self.ask("c")?;
        self.register(PC)
    }

    /// Goes on by one instruction, with interrupts held back.
    pub(crate) fn step(&mut self) -> Result<u64> {
        self.ask("s")?;
        self.register(PC)
    }

    /// A register's value.
    pub(crate) fn register(&mut self, number: u32) -> Result<u64> {
        let digits = self.ask(&format!("p{number:x}"))?;
        let value = u64::from_str_radix(&digits, 16)
            .with_context(|| format!("register {number} is {digits:?}"))?;
        Ok(value.swap_bytes())
    }

    fn order(&mut self, packet: &str) -> Result<()> {
        let answer = self.ask(packet)?;
        ensure!(answer == "OK", "{packet} was answered with {answer:?}");
        Ok(())
    }

    /// Sends a packet and gives the answer to it.
    fn ask(&mut self, packet: &str) -> Result<String> {
        let sum = packet.bytes().fold(0, u8::wrapping_add);
        self.stream
            .write_all(format!("${packet}#{sum:02x}").as_bytes())?;
        loop {
            if let Some(answer) = self.packet() {
                self.stream.write_all(b"+")?;
                return Ok(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("the machine is off"),
                Ok(length) => self.left.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the machine does not answer"),
            }
        }
    }

    /// The next whole packet that has come.
    fn packet(&mut self) -> Option<String> {
        let start = self.left.iter().position(|byte| *byte == b'$')?;
        let end = start + self.left[start..].iter().position(|byte| *byte == b'#')?;
        // Behind it stand two digits of a sum.
        if self.left.len() < end + 3 {
            return None;
        }
        let packet = String::from_utf8_lossy(&self.left[start + 1..end]).into_owned();
        self.left.drain(..end + 3);
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that gives `answers` in pieces, whatever it is asked.
    fn machine(answers: &'static [&str]) -> (Debugger, thread::JoinHandle<String>) {
        let (near, mut far) = UnixStream::pair().unwrap();
        let machine = thread::spawn(move || {
            for piece in answers {
                far.write_all(piece.as_bytes()).unwrap();
            }
            far.shutdown(std::net::Shutdown::Write).unwrap();
            let mut heard = String::new();
            far.read_to_string(&mut heard).unwrap();
            heard
        });
        (Debugger::new(near).unwrap(), machine)
    }

    #[test]
    fn a_register_comes_lowest_byte_first() {
        let (mut debugger, machine) = machine(&["+$c80f00", "4000000000#", "a1"]);
        assert_eq!(debugger.register(PC).unwrap(), 0x4000_0fc8);
        drop(debugger);
        assert_eq!(machine.join().unwrap(), "$p20#d2+");
    }

    #[test]
    fn a_step_says_where_it_ended() {
        let (mut debugger, _machine) = machine(&["+$T05thread:01;#07", "+$0100000000000000#aa"]);
        assert_eq!(debugger.step().unwrap(), 1);
    }

    #[test]
    fn refusal_and_end_are_errors() {
        let (mut debugger, _machine) = machine(&["+$E22#a9"]);
        let error = debugger.break_at(0x1000).unwrap_err().to_string();
        assert!(
            error.contains("Z0,1000,4") && error.contains("E22"),
            "{error}"
        );
        assert!(debugger.go().is_err());
    }
}
