// SPDX-License-Identifier: MIT
//! A stopped machine: its registers, its memory, and single steps. Implements the part
//! of GDB's remote serial protocol that this needs, for QEMU.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Timeout of an answer by QEMU.
const PATIENCE: Duration = Duration::from_secs(180);

/// The PC's number, after X0 to X30 and SP.
const PC: u32 = 32;

/// The machine's debugger.
pub struct Debugger {
    stream: UnixStream,
    left: Vec<u8>,
    /// Their description, once it was requested.
    system_registers: String,
}

impl Debugger {
    /// The debugger at the other end of `stream`; the machine is stopped.
    pub fn attach(stream: UnixStream) -> Result<Self> {
        let mut debugger = Self::new(stream)?;
        debugger.ask("?")?;
        // QEMU serves registers only after a request for their description.
        debugger.ask("qXfer:features:read:target.xml:0,ffb")?;
        Ok(debugger)
    }

    fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            left: Vec::new(),
            system_registers: String::new(),
        })
    }

    /// Sets a breakpoint at `address`.
    pub fn break_at(&mut self, address: u64) -> Result<()> {
        self.order(&format!("Z0,{address:x},4"))
    }

    /// Removes the breakpoint.
    pub fn pass(&mut self, address: u64) -> Result<()> {
        self.order(&format!("z0,{address:x},4"))
    }

    /// Continues until a stop. Returns the PC.
    pub fn go(&mut self) -> Result<u64> {
        self.ask("c")?;
        self.register(PC)
    }

    /// Executes one instruction, with interrupts held back. Returns the PC.
    pub fn step(&mut self) -> Result<u64> {
        self.ask("s")?;
        self.register(PC)
    }

    /// A register's value.
    pub fn register(&mut self, number: u32) -> Result<u64> {
        let digits = self.ask(&format!("p{number:x}"))?;
        let value = u64::from_str_radix(&digits, 16)
            .with_context(|| format!("register {number} is {digits:?}"))?;
        Ok(value.swap_bytes())
    }

    /// Selects a CPU, of which the first is 0: registers are its own, and memory is as
    /// it sees it.
    pub fn turn_to(&mut self, cpu: u8) -> Result<()> {
        self.order(&format!("Hg{:x}", cpu + 1))
    }

    /// The number of a system register.
    pub fn system_register(&mut self, name: &str) -> Result<u32> {
        if self.system_registers.is_empty() {
            let file = "qXfer:features:read:system-registers.xml";
            loop {
                let at = self.system_registers.len();
                let piece = self.ask(&format!("{file}:{at:x},ff0"))?;
                self.system_registers += piece.get(1..).unwrap_or_default();
                if !piece.starts_with('m') {
                    break;
                }
            }
        }
        let number = |text: &str| {
            let (_, entry) = text.split_once(&format!("name=\"{name}\""))?;
            let (_, number) = entry.split_once("regnum=\"")?;
            number.split_once('"')?.0.parse().ok()
        };
        number(&self.system_registers).with_context(|| format!("there is no register {name}"))
    }

    /// The words from `address`.
    pub fn words(&mut self, address: u64, count: usize) -> Result<Vec<u64>> {
        let mut words = Vec::new();
        while words.len() < count {
            // A packet's limit.
            let wanted = (count - words.len()).min(128);
            let from = address + 8 * words.len() as u64;
            let digits = self.ask(&format!("m{from:x},{:x}", 8 * wanted))?;
            ensure!(
                digits.len() == 16 * wanted,
                "memory at {from:#x} is {digits:?}"
            );
            for word in digits.as_bytes().chunks(16) {
                let word = u64::from_str_radix(std::str::from_utf8(word)?, 16)?;
                words.push(word.swap_bytes());
            }
        }
        Ok(words)
    }

    fn order(&mut self, packet: &str) -> Result<()> {
        let answer = self.ask(packet)?;
        ensure!(answer == "OK", "{packet} was answered with {answer:?}");
        Ok(())
    }

    /// Sends a packet and returns the answer to it.
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

    /// The next complete packet received.
    fn packet(&mut self) -> Option<String> {
        let start = self.left.iter().position(|byte| *byte == b'$')?;
        let end = start + self.left[start..].iter().position(|byte| *byte == b'#')?;
        // Two digits of a checksum follow it.
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
    use std::thread;

    use super::*;

    /// A machine that sends `answers` in pieces, whatever the request.
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
    fn a_step_returns_where_it_ended() {
        let (mut debugger, _machine) = machine(&["+$T05thread:01;#07", "+$0100000000000000#aa"]);
        assert_eq!(debugger.step().unwrap(), 1);
    }

    #[test]
    fn a_system_register_is_found_by_its_name() {
        let (mut debugger, machine) = machine(&[
            "+$m<reg name=\"CNTV_CVAL_EL0\" bitsize=\"64\" regnum=\"167\"/><reg name=\"CNTV_#00",
            "+$lCTL_EL0\" bitsize=\"64\" regnum=\"170\"/>#00",
        ]);
        assert_eq!(debugger.system_register("CNTV_CTL_EL0").unwrap(), 170);
        assert_eq!(debugger.system_register("CNTV_CVAL_EL0").unwrap(), 167);
        assert!(debugger.system_register("CNTV").is_err());
        drop(debugger);
        let asked = machine.join().unwrap();
        assert_eq!(asked.matches("qXfer").count(), 2, "{asked}");
    }

    #[test]
    fn memory_is_read_a_packet_at_a_time() {
        let many = "0200000000000000".repeat(128);
        let first: &'static str = format!("+${many}#00").leak();
        let (mut debugger, machine) = machine(vec![first, "+$0300000000000000#00"].leak());
        let words = debugger.words(0x1000, 129).unwrap();
        assert_eq!((words[0], words[128], words.len()), (2, 3, 129));
        drop(debugger);
        assert!(machine.join().unwrap().contains("$m1400,8#"));
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        let (mut debugger, _machine) = machine(&["+$E14#00"]);
        let error = debugger.words(0x1000, 1).unwrap_err().to_string();
        assert!(error.contains("0x1000") && error.contains("E14"), "{error}");
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
