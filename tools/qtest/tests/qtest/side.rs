// SPDX-License-Identifier: MIT
//! A device behind the qtest protocol, and the peer on its serial line.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::Qtest;

/// The device's address on both sides.
pub(crate) const BASE: u64 = 0x0900_0000;
pub(crate) const FR: u64 = 0x018;
pub(crate) const RXFE: u32 = 1 << 4;

/// One device with its serial peer.
pub(crate) struct Side {
    pub(crate) program: Qtest,
    pub(crate) peer: UnixStream,
}

impl Side {
    fn start(command: &mut Command, socket: &Path) -> Self {
        let mut program = Qtest::start(command.stderr(Stdio::null()));
        // Answered only once the socket exists.
        assert_eq!(program.read('l', BASE + 0xFE0), 0x11);
        let peer = UnixStream::connect(socket).expect("the program listens");
        peer.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self { program, peer }
    }

    pub(crate) fn ours(dir: &Path) -> Self {
        let socket = dir.join("ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_vpl011-qtest"));
        Self::start(command.arg("--chardev").arg(&socket), &socket)
    }

    pub(crate) fn qemu(dir: &Path) -> Self {
        let socket = dir.join("qemu");
        let mut command = Command::new("qemu-system-aarch64");
        command
            .args([
                "-machine",
                "virt",
                "-nodefaults",
                "-net",
                "none",
                "-accel",
                "tcg",
                "-S",
            ])
            .args([
                "-display",
                "none",
                "-qtest",
                "stdio",
                "-qtest-log",
                "/dev/null",
                "-serial",
            ])
            .arg(format!("unix:{},server=on,wait=off", socket.display()));
        Self::start(&mut command, &socket)
    }

    pub(crate) fn read(&mut self, offset: u64) -> u32 {
        self.program.read('l', BASE + offset)
    }

    pub(crate) fn write(&mut self, offset: u64, value: u32) {
        self.program.write('l', BASE + offset, value);
    }

    /// Sends one character from the peer and waits until it arrives.
    pub(crate) fn receive(&mut self, byte: u8) {
        self.peer.write_all(&[byte]).unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while self.read(FR) & RXFE != 0 {
            assert!(Instant::now() < patience, "the character never arrived");
        }
    }

    /// Receives one character at the peer.
    pub(crate) fn sent(&mut self) -> u8 {
        let mut byte = [0];
        self.peer.read_exact(&mut byte).unwrap();
        byte[0]
    }
}
