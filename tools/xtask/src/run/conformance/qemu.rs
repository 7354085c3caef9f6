// SPDX-License-Identifier: MIT
//! The suite as firmware of QEMU's `virt` machine, on its own PL011. The far end of the
//! serial line is a socket; the suite's requests use another one, through semihosting.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use conformance::protocol::{Body, Peer, Reader, answer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionread};

use e2e::suite::{Results, Verdicts};
use steps::process::Running;

/// The longest wait for the suite's next request.
const PATIENCE: Duration = Duration::from_secs(60);

/// QEMU 7.2 loses the rest of an answer once semihosting's 1024 bytes are full.
const ANSWER_MAX: usize = 512;

/// How long input must stay unread before the device counts as full.
const QUIET: Duration = Duration::from_millis(20);

/// Runs the image until it has reported every case, or ends.
pub(super) fn run(image: &Path) -> Result<Results> {
    let (uart, uart_inside) = UnixStream::pair()?;
    let (mut control, control_inside) = UnixStream::pair()?;
    uart.set_nonblocking(true)?;
    let _running = start(image, &uart_inside, &control_inside)?;
    // Only QEMU holds its end: it closes when QEMU ends.
    drop(control_inside);
    let mut peer = Socket {
        outside: uart,
        inside: uart_inside,
        output: Vec::new(),
    };
    let mut verdicts = Verdicts::default();
    let mut reader = Reader::default();
    let mut buffer = [0; 4096];
    loop {
        peer.wait_for(&control)?;
        let length = control.read(&mut buffer)?;
        if length == 0 {
            return Ok(verdicts.finish());
        }
        for &byte in &buffer[..length] {
            let Some(message) = reader.push(byte) else {
                continue;
            };
            let request = message.request().context("invalid request of the suite")?;
            if verdicts.take(&request) {
                return Ok(verdicts.finish());
            }
            if let Some(message) = answer(&mut peer, &request) {
                let mut bytes = Vec::new();
                message.send(|part| bytes.extend(part));
                control.write_all(&bytes)?;
            }
        }
    }
}

/// Starts QEMU with the inner ends of the two sockets.
fn start(image: &Path, uart: &UnixStream, control: &UnixStream) -> Result<Running> {
    // If this program is killed, the kernel ends QEMU.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "qemu-system-aarch64"]);
    command.args(["-machine", "virt,gic-version=3", "-cpu", "cortex-a57"]);
    command.args(["-m", "128", "-nodefaults", "-display", "none"]);
    command.args(["-nic", "none", "-no-reboot"]);
    let mut socket = |name: &str, end: &UnixStream| -> Result<()> {
        fcntl_setfd(end, FdFlags::empty())?;
        command
            .arg("-chardev")
            .arg(format!("socket,id={name},fd={}", end.as_raw_fd()));
        Ok(())
    };
    socket("uart", uart)?;
    socket("control", control)?;
    command.args(["-serial", "chardev:uart"]);
    command.args([
        "-semihosting-config",
        "enable=on,target=native,chardev=control",
    ]);
    command.arg("-kernel").arg(image).stdin(Stdio::null());
    let running = Running::start(&mut command);
    for end in [uart, control] {
        fcntl_setfd(end, FdFlags::CLOEXEC)?;
    }
    running
}

/// The far end of the serial line. It also holds QEMU's end, to see what QEMU has not
/// read.
struct Socket {
    outside: UnixStream,
    inside: UnixStream,
    output: Vec<u8>,
}

impl Socket {
    /// Waits until the device has taken as much as it has room for.
    fn settle(&self) {
        let mut before = u64::MAX;
        let mut since = Instant::now();
        while let Ok(unread @ 1..) = ioctl_fionread(&self.inside) {
            if unread != before {
                (before, since) = (unread, Instant::now());
            } else if since.elapsed() > QUIET {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Waits until `control` is readable. QEMU stops if its output is not read, after a
    /// few hundred bytes.
    fn wait_for(&mut self, control: &UnixStream) -> Result<()> {
        let limit = Timespec::try_from(PATIENCE)?;
        loop {
            let mut fds = [
                PollFd::new(control, PollFlags::IN),
                PollFd::new(&self.outside, PollFlags::IN),
            ];
            if poll(&mut fds, Some(&limit))? == 0 {
                bail!("the suite printed nothing for {PATIENCE:?}");
            }
            let [control, output] = fds.map(|fd| !fd.revents().is_empty());
            if output {
                self.collect();
            }
            if control {
                return Ok(());
            }
        }
    }

    fn collect(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = self.outside.read(&mut buffer) {
            self.output.extend(&buffer[..length]);
        }
    }
}

impl Peer for Socket {
    fn exchange(&mut self, _take: u16, input: &[u8]) -> Body {
        // A socket has room for the data of one request; anything missing fails the
        // case.
        let _ = self.outside.write_all(input);
        self.settle();
        self.collect();
        let length = self.output.len().min(ANSWER_MAX);
        self.output.drain(..length).collect()
    }

    fn hold(&mut self, hold: bool) -> bool {
        !hold
    }

    fn send_break(&mut self) -> bool {
        false
    }

    fn reset(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(1..) = ioctl_fionread(&self.inside) {
            // QEMU will not read what it has not read by now.
            if self.inside.read(&mut buffer).is_err() {
                break;
            }
        }
        self.collect();
        self.output.clear();
    }
}
