// SPDX-License-Identifier: MIT
//! A daemon on the fake host, viewers of its ptys, and guests.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use console_proto::Status;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::termios::{LocalModes, OptionalActions};
pub(crate) use terminal::{PATIENCE, wait_for};
use tracing_subscriber::filter::LevelFilter;
use vconsoled::config::{Filter, Logs, Sockets};
use vconsoled::{Config, Handle, Server};
use xen_io::fake::Machine;
use xen_io::{DomId, Platform};

// By path, because this file is part of other programs too.
#[path = "drivers.rs"]
mod drivers;
pub(crate) use drivers::*;

/// The warnings of a daemon.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    /// The lines so far that contain `what`.
    pub(crate) fn lines(&self, what: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        let lines = text.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Heard {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Length of the time before a line of a log.
pub(crate) const STAMP: usize = "[2026-11-29T17:03:05.123+01:00] ".len();

/// The time at the start of a log's line.
pub(crate) fn time(line: &str) -> Option<SystemTime> {
    let (time, _) = line.strip_prefix('[')?.split_once("] ")?;
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.into())
}

/// The content of all files of a log, oldest first, compressed or not.
pub(crate) fn logged(dir: &Path, log: &str) -> Vec<u8> {
    let files = old_files(dir, log).into_iter().map(|(_, path)| path);
    files
        .chain([dir.join(log)])
        .flat_map(|path| content(&path))
        .collect()
}

/// The old files of a log by number, oldest first. A number with two forms, left
/// by a kill, is listed once.
pub(crate) fn old_files(dir: &Path, log: &str) -> Vec<(u32, PathBuf)> {
    let mut old = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let number = name
            .strip_prefix(log)
            .and_then(|rest| rest.strip_prefix('.'));
        let number = number.map(|rest| rest.strip_suffix(".zst").unwrap_or(rest));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            old.insert(number, path);
        }
    }
    old.into_iter().rev().collect()
}

/// The content of a log file.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    // It may have been renamed: the caller will read again.
    let bytes = std::fs::read(path).unwrap_or_default();
    if is_compressed(path) {
        unpack(&bytes)
    } else {
        bytes
    }
}

pub(crate) fn is_compressed(path: impl AsRef<Path>) -> bool {
    let extension = path.as_ref().extension();
    extension.is_some_and(|extension| extension == "zst")
}

fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes
        .get(console_proto::archive::FRAME_SIZE..)
        .unwrap_or_default();
    let mut all = Vec::new();
    while !rest.is_empty() {
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap();
        decoder.read_to_end(&mut all).unwrap();
    }
    all
}

/// A running daemon.
pub(crate) struct Daemon {
    pub(crate) handle: Handle,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Daemon {
    pub(crate) fn start(machine: &Machine, config: Config) -> Self {
        Self::start_heard(machine, config, &Heard::default())
    }

    /// Starts a daemon and collects its messages.
    pub(crate) fn start_heard(machine: &Machine, config: Config, heard: &Heard) -> Self {
        Self::start_on(machine.platform().unwrap(), config, heard)
    }

    /// Starts a daemon on that platform.
    pub(crate) fn start_on(platform: Platform, config: Config, heard: &Heard) -> Self {
        let (daemon, ready) = Self::begin_on(platform, config, heard);
        ready.recv_timeout(PATIENCE).expect("the daemon serves");
        daemon
    }

    /// The same without waiting; the receiver reports that it serves.
    pub(crate) fn begin_on(
        platform: Platform,
        config: Config,
        heard: &Heard,
    ) -> (Self, Receiver<()>) {
        Self::begin_told(platform, config, heard, LevelFilter::WARN)
    }

    /// The same with messages of that level.
    pub(crate) fn begin_told(
        platform: Platform,
        config: Config,
        heard: &Heard,
        level: LevelFilter,
    ) -> (Self, Receiver<()>) {
        Self::begin_made(heard, level, || Server::new(platform, config).unwrap())
    }

    /// The same; clients before discovery's first reports wait up to this time
    /// for them.
    pub(crate) fn begin_patient(
        platform: Platform,
        config: Config,
        heard: &Heard,
        first_look: Duration,
    ) -> (Self, Receiver<()>) {
        Self::begin_made(heard, LevelFilter::WARN, || {
            let server = Server::new(platform, config).unwrap();
            server.with_first_look(first_look)
        })
    }

    pub(crate) fn begin_made(
        heard: &Heard,
        level: LevelFilter,
        server: impl FnOnce() -> Server,
    ) -> (Self, Receiver<()>) {
        let messages = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(heard.clone())
            .finish();
        let messages = tracing::Dispatch::new(messages);
        let server = tracing::dispatcher::with_default(&messages, server);
        let handle = server.handle();
        let (tell, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // The receiver may be gone.
            let serve = || server.run(|| tell.send(()).unwrap_or_default());
            tracing::dispatcher::with_default(&messages, serve)
        });
        let daemon = Self {
            handle,
            thread: Some(thread),
        };
        (daemon, ready)
    }

    pub(crate) fn stop(mut self) -> std::io::Result<()> {
        self.handle.stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

pub(crate) fn tty_path(domid: DomId, console: &str) -> String {
    format!("/local/domain/{domid}/{console}/tty")
}

pub(crate) const PV: &str = "console";
pub(crate) const VUART: &str = "vuart/0";

/// The pty's name in xenstore, if there is one.
pub(crate) fn tty(machine: &Machine, domid: DomId, console: &str) -> Option<String> {
    let name = machine
        .toolstack()
        .unwrap()
        .read(&tty_path(domid, console))
        .unwrap()?;
    let name = String::from_utf8(name).unwrap();
    (!name.is_empty()).then_some(name)
}

pub(crate) fn status(socket: &Path) -> Status {
    serde_json::from_str(&ask(socket, "status")).unwrap()
}

/// Connects with a timeout for connecting and reading.
pub(crate) fn connect_to(socket: &Path) -> std::io::Result<UnixStream> {
    let stream = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    set_socket_timeout(&stream, Timeout::Send, Some(PATIENCE))?;
    set_socket_timeout(&stream, Timeout::Recv, Some(PATIENCE))?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    Ok(stream.into())
}

/// The line that answers a request.
pub(crate) fn ask(socket: &Path, request: &str) -> String {
    let mut stream = connect_to(socket).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with('\n'));
    answer
}

/// A viewer that has a pty open.
pub(crate) struct Viewer(File);

impl Viewer {
    pub(crate) fn open(machine: &Machine, domid: DomId, console: &str) -> Self {
        let name = wait_for("a tty", || tty(machine, domid, console));
        let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(&name);
        Self(file.unwrap_or_else(|error| panic!("{name}: {error}")))
    }

    /// Enables echo, which is a terminal's default.
    pub(crate) fn echo(&self) {
        let mut termios = rustix::termios::tcgetattr(&self.0).unwrap();
        termios.local_modes |= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON;
        rustix::termios::tcsetattr(&self.0, OptionalActions::Now, &termios).unwrap();
    }

    fn ready(&self, flags: PollFlags, timeout: Duration) -> bool {
        let timeout = Timespec::try_from(timeout).unwrap();
        rustix::event::poll(&mut [PollFd::new(&self.0, flags)], Some(&timeout)).unwrap() > 0
    }

    /// Output that comes within `timeout`.
    pub(crate) fn some(&mut self, timeout: Duration) -> Vec<u8> {
        if !self.ready(PollFlags::IN, timeout) {
            return Vec::new();
        }
        let mut buffer = vec![0; 4096];
        let length = self.0.read(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    /// Exactly this many bytes.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let part = self.some(PATIENCE);
            assert!(!part.is_empty(), "{} of {length} bytes came", bytes.len());
            bytes.extend(part);
        }
        bytes
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            assert!(
                self.ready(PollFlags::OUT, PATIENCE),
                "{} bytes are left",
                bytes.len()
            );
            match self.0.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
    }
}

/// An introduced domain with a PV console and a private vuart.
pub(crate) fn guest(machine: &Machine, name: &str) -> (DomId, PvDriver, UartDriver) {
    let domid = machine.create_domain(name).unwrap();
    let pv = PvDriver(machine.add_pv_console(domid).unwrap());
    let uart = UartDriver::new(machine.add_private_vuart(domid).unwrap());
    machine.introduce(domid);
    (domid, pv, uart)
}

/// Waits until the daemon has handled everything written to xenstore so far: it
/// gets changes in order, and this one last.
pub(crate) fn until_looked_at(machine: &Machine) {
    let (domid, _pv, _uart) = guest(machine, "announced-last");
    wait_for("a tty", || tty(machine, domid, VUART));
    machine.destroy(domid).unwrap();
}

/// A configuration with a control socket, and its path.
pub(crate) fn with_control(dir: &tempfile::TempDir) -> (Config, PathBuf) {
    let socket = dir.path().join("run/control.sock");
    (
        Config {
            sockets: control_at(&socket),
            ..Config::default()
        },
        socket,
    )
}

/// Only a control socket.
pub(crate) fn control_at(socket: &Path) -> Sockets {
    Sockets {
        control: Some(socket.to_owned()),
        ..Sockets::default()
    }
}

/// Logs of the guests' consoles in a folder, with every byte unchanged.
pub(crate) fn logs_in(dir: &Path) -> Logs {
    Logs {
        guests: true,
        filter: Filter::None,
        dir: dir.to_owned(),
        ..Logs::default()
    }
}
