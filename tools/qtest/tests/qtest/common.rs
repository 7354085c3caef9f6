// SPDX-License-Identifier: MIT
//! A program that serves the qtest protocol.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program; ends when dropped.
pub(crate) struct Qtest {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// Changes of the interrupt line, in order, not yet checked.
    pub(crate) irqs: Vec<bool>,
}

impl Qtest {
    /// Starts `command`.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {}: {error}", command.get_program().display())
            });
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self {
            child,
            stdin,
            stdout,
            irqs: Vec::new(),
        }
    }

    /// Sends one line and returns its answer; records the interrupts before it.
    pub(crate) fn command(&mut self, line: &str) -> String {
        let stdin = self.stdin.as_mut().expect("still open");
        writeln!(stdin, "{line}").expect("the program reads");
        loop {
            let mut answer = String::new();
            assert_ne!(
                self.stdout.read_line(&mut answer).expect("text"),
                0,
                "{line}: no answer"
            );
            match answer.trim_end() {
                "IRQ raise 0" => self.irqs.push(true),
                "IRQ lower 0" => self.irqs.push(false),
                answer => return answer.to_owned(),
            }
        }
    }

    /// The next line that the program prints unasked.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// A read; panics unless it is answered with a value.
    pub(crate) fn read(&mut self, width: char, address: u64) -> u32 {
        let answer = self.command(&format!("read{width} {address:#x}"));
        let value = answer.strip_prefix("OK 0x").expect("a value");
        u32::try_from(u64::from_str_radix(value, 16).expect("hexadecimal")).expect("32 bits")
    }

    /// A write; panics unless it is accepted.
    pub(crate) fn write(&mut self, width: char, address: u64, value: u32) {
        assert_eq!(
            self.command(&format!("write{width} {address:#x} {value:#x}")),
            "OK"
        );
    }

    /// Ends standard input and returns whether the program then succeeded.
    pub(crate) fn end(mut self) -> bool {
        drop(self.stdin.take());
        self.child.wait().expect("ours").success()
    }
}

impl Drop for Qtest {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Fails only if the child has ended, which is intended.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
