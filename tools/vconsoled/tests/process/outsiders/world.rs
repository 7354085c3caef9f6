// SPDX-License-Identifier: MIT
//! A host with a daemon and all programs that it communicates with.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use xen_io::DomId;

use super::{ANSWERS, Outsider, When};
use crate::host::{Host, Running, pattern};
use crate::support::{PV, PvDriver, Serial as _, Viewer, connect_to, guest, status, wait_for};
use crate::tracer::Tracer;

/// A host with a daemon and all other programs.
pub(super) struct World {
    pub(super) host: Arc<Host>,
    pub(super) daemon: Running,
    /// The guest whose answers are timed, its client, and its viewer on the pty.
    /// The kernel moves a pty's bytes in a worker that needs a processor; a
    /// socket's bytes it moves directly.
    pub(super) pv: PvDriver,
    pub(super) asker: UnixStream,
    pub(super) viewer: Viewer,
    /// A guest with much output.
    pub(super) noisy: PvDriver,
    pub(super) noisy_id: DomId,
    pub(super) manager: Reader,
    pub(super) journald: Reader,
    pub(super) messages: Reader,
}

impl World {
    pub(super) fn start(outsider: Outsider, when: When) -> Self {
        Self::start_with(outsider, when, "")
    }

    pub(super) fn start_with(outsider: Outsider, when: When, rules: &str) -> Self {
        let mut host = Host::new("journal = true\njournal-socket = \"JOURNAL\"");
        let at = |name: &str| host.dir.path().join(name);
        let (journal, notify) = (at("journal"), at("notify"));
        let metrics = format!("metrics = \"{}\"", at("metrics.sock").display());
        host.config = host
            .config
            .replace("JOURNAL", journal.to_str().unwrap())
            .replace("metrics = \"\"", &metrics);
        host.config += rules;
        let (domid, pv, _uart) = guest(&host.machine, "guest");
        let (noisy_id, noisy, _uart) = guest(&host.machine, "noisy");
        let manager = Reader::new(UnixDatagram::bind(&notify).unwrap().into());
        let journald = Reader::new(UnixDatagram::bind(&journal).unwrap().into());
        let (pipe, stderr) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&pipe, 4096).unwrap();
        let messages = Reader::new(pipe.into());
        let at_start = when == When::AtStart;
        match outsider {
            Outsider::ServiceManager => manager.stop(at_start),
            Outsider::Journald => journald.stop(at_start),
            Outsider::StandardError => messages.stop(at_start),
            _ => {}
        }
        let host = Arc::new(host);
        let store = host.machine.store().clone();
        let held = (at_start && outsider == Outsider::Xenstored).then(|| store.stop());
        let starting = {
            let host = Arc::clone(&host);
            std::thread::spawn(move || {
                host.start(|command| {
                    command
                        .env("NOTIFY_SOCKET", notify)
                        .stderr(Stdio::from(OwnedFd::from(stderr)));
                })
            })
        };
        if held.is_some() {
            // Without xenstored nothing is served, but clients are accepted.
            wait_for("the control socket", || connect_to(&host.control()).ok());
            assert!(status(&host.control()).consoles.is_empty());
        }
        drop(held);
        let daemon = starting.join().unwrap();
        let viewer = Viewer::open(&host.machine, domid, PV);
        let asker = connect_to(&socket(&host, domid, "pv0.sock")).unwrap();
        Self {
            host,
            daemon,
            pv,
            asker,
            viewer,
            noisy,
            noisy_id,
            manager,
            journald,
            messages,
        }
    }

    /// Median and longest time of some answers of the guest, and the event loop's
    /// processor time meanwhile, for each.
    pub(super) fn answer(&mut self) -> (Duration, Duration, Duration) {
        let mut ran = Duration::ZERO;
        let mut took: Vec<Duration> = (0..ANSWERS)
            .map(|_| {
                let (asked, before) = (Instant::now(), self.loop_time());
                self.asker.write_all(b"?").unwrap();
                assert_eq!(self.pv.receive(1), b"?");
                self.pv.send(b"!");
                let mut answer = [0];
                self.asker.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"!");
                let took = asked.elapsed();
                ran += self.loop_time().saturating_sub(before);
                // The kernel hands over what is written to a pty when it has time.
                assert_eq!(self.viewer.read(1), b"!");
                took
            })
            .collect();
        took.sort_unstable();
        let ran = ran / u32::try_from(ANSWERS).unwrap();
        (took[ANSWERS / 2], took[ANSWERS - 1], ran)
    }

    /// Makes the daemon use every other program.
    pub(super) fn knock(&mut self) {
        for _ in 0..40 {
            // The service manager stores them.
            let _come_and_gone = connect_to(&self.socket("pv0.ro.sock")).unwrap();
        }
        self.noisy.send(&pattern(0, 200_000));
    }

    /// The same, until the daemon has done so.
    pub(super) fn provoke(&mut self) {
        self.knock();
        status(&self.host.control());
    }

    pub(super) fn socket(&self, name: &str) -> PathBuf {
        socket(&self.host, self.noisy_id, name)
    }

    pub(super) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.daemon.0.id());
        let text = std::fs::read_to_string(path).unwrap();
        let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    /// Processor time of the event loop.
    fn loop_time(&self) -> Duration {
        let id = self.daemon.0.id();
        let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/schedstat")).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    }

    /// Everything that needs another program happens.
    pub(super) fn goes_on(&mut self) {
        let (domid, mut later, _uart) = guest(&self.host.machine, "later");
        let mut viewer = Viewer::open(&self.host.machine, domid, PV);
        later.send(b"said\n");
        assert_eq!(viewer.read(5), b"said\n");
        let log = self.host.dir.path().join("log/guest-later.log");
        wait_for("its log", || {
            (std::fs::read(&log).ok()? == b"said\n").then_some(())
        });
        let (told, written, heard) = (
            self.manager.count(),
            self.journald.count(),
            self.messages.count(),
        );
        self.host.machine.destroy(domid).unwrap();
        self.pv.send(b"\none line\n");
        self.viewer.read(10);
        self.asker.read_exact(&mut [0; 10]).unwrap();
        wait_for("the service manager", || {
            (self.manager.count() > told).then_some(())
        });
        wait_for("journald", || {
            (self.journald.count() > written).then_some(())
        });
        wait_for("messages", || (self.messages.count() > heard).then_some(()));
        self.answer();
    }
}

fn socket(host: &Host, domid: DomId, name: &str) -> PathBuf {
    let dir = host.dir.path().join("consoles");
    dir.join(domid.to_string()).join(name)
}

/// A program that is stopped until this is dropped.
pub(super) enum Stopped<'a> {
    Reader(Reader),
    Store(#[expect(dead_code, reason = "held")] xen_io::fake::Stopped<'a>),
    Thread(#[expect(dead_code, reason = "held")] Tracer),
    /// Clients that do not read.
    Silent(#[expect(dead_code, reason = "held")] Vec<OwnedFd>),
}

impl<'a> Stopped<'a> {
    pub(super) fn new(outsider: Outsider, host: &'a Host, world: &World) -> Self {
        let reader = |reader: &Reader| {
            reader.stop(true);
            Self::Reader(reader.clone())
        };
        match outsider {
            Outsider::ServiceManager => reader(&world.manager),
            Outsider::Journald => reader(&world.journald),
            Outsider::StandardError => reader(&world.messages),
            Outsider::Xenstored => {
                // It stops just when it is asked about a domain.
                let domid = host.machine.create_domain("asked").unwrap();
                host.machine.introduce(domid);
                Self::Store(host.machine.store().stop())
            }
            Outsider::Disk => Self::Thread(Tracer::hold(&world.daemon.0, "logs")),
            Outsider::Viewer => {
                let viewers = (0..8).map(|_| connect_to(&world.socket("pv0.sock")));
                Self::Silent(viewers.map(|one| one.unwrap().into()).collect())
            }
            Outsider::PtyReader => {
                let name = crate::support::tty(&host.machine, world.noisy_id, PV).unwrap();
                Self::Silent(vec![File::open(name).unwrap().into()])
            }
            Outsider::MetricsClient => {
                let ask = |_| {
                    let path = host.dir.path().join("metrics.sock");
                    let mut client = connect_to(&path).unwrap();
                    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                    client.into()
                };
                Self::Silent((0..8).map(ask).collect())
            }
            Outsider::Toolstack => {
                // It began to create a guest.
                let domid = host.machine.create_domain("half").unwrap();
                let mut store = host.machine.toolstack().unwrap();
                let path = format!("/local/domain/{domid}/console");
                store.write(&format!("{path}/ring-ref"), "5").unwrap();
                host.machine.introduce(domid);
                store.write(&format!("{path}/port"), "99").unwrap();
                Self::Silent(Vec::new())
            }
        }
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if let Self::Reader(reader) = self {
            reader.stop(false);
        }
    }
}

/// A reader that discards what it reads, unless it is stopped.
#[derive(Clone)]
pub(super) struct Reader {
    stopped: Arc<AtomicBool>,
    count: Arc<std::sync::atomic::AtomicUsize>,
}

impl Reader {
    pub(super) fn new(from: OwnedFd) -> Self {
        rustix::io::ioctl_fionbio(from.as_fd(), true).unwrap();
        let reader = Self {
            stopped: Arc::default(),
            count: Arc::default(),
        };
        let (stopped, count) = (Arc::clone(&reader.stopped), Arc::clone(&reader.count));
        std::thread::spawn(move || {
            let (mut from, mut bytes) = (File::from(from), [0; 4096]);
            loop {
                if !stopped.load(Ordering::Acquire) {
                    match from.read(&mut bytes) {
                        Ok(0) => return,
                        Ok(_) => {
                            count.fetch_add(1, Ordering::Release);
                            continue;
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        reader
    }

    pub(super) fn stop(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Release);
    }

    /// Number of successful reads.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}
