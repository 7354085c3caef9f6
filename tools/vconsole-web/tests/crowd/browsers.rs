// SPDX-License-Identifier: MIT
//! The service, and the viewers at its terminals.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Error, Message, WebSocket};

use crate::guests::{Seat, byte};

/// Tenants that the proxy names; the rate limit is per tenant.
pub(crate) const TENANTS: [&str; 4] = ["first", "second", "third", "fourth"];
/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(120);
/// More than the service and its sockets buffer for a viewer that does not read.
const OUTRUN: u64 = 2 << 20;
/// How long the crowd's thread sleeps if nothing arrives.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

pub(crate) fn control(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// The service, with a socket for a proxy; stopped when dropped.
pub(crate) struct Web {
    process: Child,
    socket: PathBuf,
}

impl Web {
    pub(crate) fn start(dir: &Path) -> Self {
        let socket = dir.join("web.sock");
        let mut process = Command::new(env!("CARGO_BIN_EXE_vconsole-web"))
            .arg("--control")
            .arg(control(dir))
            .arg("--proxy-socket")
            .arg(&socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let output = process.stdout.take().expect("a pipe");
        let mut address = String::new();
        BufReader::new(output)
            .read_line(&mut address)
            .expect("an address");
        Self { process, socket }
    }

    /// The peak of its memory, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("its state");
        let mut lines = status.lines();
        let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        let kib: f64 = peak.expect("its memory").parse().expect("a number");
        kib / 1024.0
    }

    /// A terminal of a console, and the position at which it begins.
    fn open(&self, seat: usize, tenant: &str) -> (WebSocket<UnixStream>, u64) {
        // As guests::create makes them.
        let (console, guest) = (["pv0", "vuart0"][seat % 2], seat / 2);
        let address = format!("ws://web/ws?c={console}/guest{guest}&mode=ro");
        let mut request = address.into_client_request().expect("an address");
        for (name, value) in [("x-remote-user", tenant), ("origin", "http://web")] {
            let value = value.parse().expect("a header");
            request.headers_mut().insert(name, value);
        }
        let stream = UnixStream::connect(&self.socket).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (mut socket, _) = tungstenite::client(request, stream).expect("a terminal");
        let event = match socket.read().expect("an event") {
            Message::Text(text) => event(&text),
            other => panic!("{other:?}"),
        };
        assert_eq!(event["event"], "attached", "{event}");
        let position = event["position"].as_u64().expect("a position");
        socket.get_ref().set_nonblocking(true).expect("a socket");
        (socket, position)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn event(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("JSON")
}

/// A viewer, which checks every byte.
struct Viewer {
    socket: WebSocket<UnixStream>,
    /// The console's number, and the seed of its bytes.
    seat: usize,
    seed: u64,
    /// The viewer's position.
    at: Arc<AtomicU64>,
    lost: u64,
}

impl Viewer {
    /// Reads all that has arrived.
    fn look(&mut self) {
        let mut at = self.at.load(Ordering::Relaxed);
        loop {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => {
                    for value in bytes {
                        assert_eq!(
                            value,
                            byte(self.seed, at),
                            "console {}, byte {at}",
                            self.seat
                        );
                        at += 1;
                    }
                }
                Ok(Message::Text(text)) => {
                    let event = event(&text);
                    assert_eq!(event["event"], "lost", "console {}: {event}", self.seat);
                    let lost = event["bytes"].as_u64().expect("a count");
                    self.lost += lost;
                    at += lost;
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("console {}: {error}", self.seat),
            }
        }
        self.at.store(at, Ordering::Relaxed);
    }
}

/// All viewers, on a thread of their own.
pub(crate) struct Crowd {
    places: Vec<(usize, Arc<AtomicU64>)>,
    begins: u64,
    stop: Arc<AtomicBool>,
    /// The last viewer stops reading.
    away: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Crowd {
    /// `count` viewers: `noisy` at each console of the first guest, the others
    /// spread over the calm consoles.
    pub(crate) fn gather(web: &Web, seats: &[Seat], count: usize, noisy: usize) -> Self {
        let calm = seats.len() - 2;
        let mut viewers: Vec<Viewer> = (0..count)
            .map(|number| {
                let seat = if number < 2 * noisy {
                    number % 2
                } else {
                    2 + (number - 2 * noisy) % calm
                };
                let tenant = TENANTS[number % TENANTS.len()];
                let (socket, position) = web.open(seat, tenant);
                Viewer {
                    socket,
                    seat,
                    seed: seats[seat].seed(),
                    at: Arc::new(AtomicU64::new(position)),
                    lost: 0,
                }
            })
            .collect();
        let places = viewers.iter();
        let places: Vec<_> = places.map(|one| (one.seat, Arc::clone(&one.at))).collect();
        let begins = places
            .iter()
            .map(|(_, at)| at.load(Ordering::Relaxed))
            .sum();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let away = Arc::new(AtomicBool::new(false));
        let looks_away = Arc::clone(&away);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let sockets = viewers.iter().map(|viewer| viewer.socket.get_ref());
                let mut fds: Vec<_> = sockets
                    .map(|socket| PollFd::new(socket, PollFlags::IN))
                    .collect();
                if looks_away.load(Ordering::Relaxed)
                    && let (Some(fd), Some(last)) = (fds.last_mut(), viewers.last())
                {
                    *fd = PollFd::new(last.socket.get_ref(), PollFlags::empty());
                }
                rustix::event::poll(&mut fds, Some(&LOOK)).expect("poll");
                let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
                drop(fds);
                for (viewer, _) in viewers.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
                    viewer.look();
                }
            }
            viewers.iter().map(|viewer| viewer.lost).sum()
        });
        Self {
            places,
            begins,
            stop,
            away,
            thread,
        }
    }

    /// The console of the last viewer prints while that viewer does not read, until
    /// it has missed bytes.
    pub(crate) fn outrun(&self, seats: &mut [Seat]) {
        self.away.store(true, Ordering::Relaxed);
        let seat = &mut seats[self.places.last().expect("a viewer").0];
        let end = seat.sent() + OUTRUN;
        while seat.sent() < end {
            if seat.send(2048) + seat.look() == 0 {
                std::thread::yield_now();
            }
        }
        while !seat.has_seen_all() {
            assert!(seat.await_output(PATIENCE), "a byte is lost");
            seat.look();
        }
        self.away.store(false, Ordering::Relaxed);
    }

    /// Waits until all viewers have reached the guests' positions, and closes them.
    /// Returns the bytes received, and those reported as missing.
    #[expect(clippy::cast_precision_loss, reason = "no count here is beyond 2^52")]
    pub(crate) fn finish(self, seats: &[Seat]) -> (f64, f64) {
        let until = Instant::now() + PATIENCE;
        for (seat, at) in &self.places {
            while at.load(Ordering::Relaxed) != seats[*seat].sent() {
                let has_ended = self.thread.is_finished();
                assert!(!has_ended, "a viewer was sent away");
                assert!(Instant::now() < until, "console {seat}: bytes are missing");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.stop.store(true, Ordering::Relaxed);
        let lost = self.thread.join().expect("viewers");
        let places = self.places.iter();
        let ends: u64 = places.map(|(_, at)| at.load(Ordering::Relaxed)).sum();
        ((ends - self.begins - lost) as f64, lost as f64)
    }
}
