// SPDX-License-Identifier: MIT
//! The daemon's process, and its figures from the system.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use vconsoled::config::{Filter, Logs};
use vconsoled::{Config, Server};
use xen_io::Platform;

use crate::DAEMON;

/// Descriptors of a console: its pty's two ends, its output buffer, its log and
/// its two sockets.
pub(crate) const FILES_A_CONSOLE: f64 = 6.0;
/// Descriptors of the daemon itself.
pub(crate) const FILES: f64 = 64.0;

/// Clock ticks per second (`USER_HZ`, 100 on every current Linux).
const TICKS: f64 = 100.0;

/// Serves the host at `DIR/host.sock`, with all features of a console and the
/// changes of `change`.
pub(crate) fn serve(dir: &Path, change: impl FnOnce(&mut Config)) {
    raise_file_limit();
    let platform = Platform::connect_fake(&dir.join("host.sock")).expect("the host");
    let mut config = Config {
        log: Logs {
            guests: true,
            filter: Filter::None,
            dir: dir.join("logs"),
            ..Logs::default()
        },
        ..Config::default()
    };
    config.sockets.consoles = Some(dir.join("consoles"));
    change(&mut config);
    let server = Server::new(platform, config).expect("a server");
    let handle = server.handle();
    // The daemon ends with its input.
    std::thread::spawn(move || {
        let _end = std::io::stdin().lines().next();
        handle.stop();
    });
    let ready = || fs::write(dir.join("ready"), "").expect("a file");
    server.run(ready).expect("an orderly end");
}

pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a limit within what is allowed");
}

/// The running daemon; it ends when this is dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts a daemon, and returns how long it took to serve every console.
    pub(crate) fn start(dir: &Path) -> (Self, Duration) {
        let started = Instant::now();
        let child = Command::new(std::env::current_exe().expect("this program"))
            .env(DAEMON, dir)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut daemon = Self(child);
        while !dir.join("ready").exists() {
            let ended = daemon.0.try_wait().expect("a child");
            assert!(ended.is_none(), "the daemon ended: {ended:?}");
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "the daemon does not serve"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        (daemon, started.elapsed())
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.status("VmRSS:") / 1024.0
    }

    /// Peak of that, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM:") / 1024.0
    }

    /// Open descriptors.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    pub(crate) fn files(&self) -> f64 {
        fs::read_dir(self.path("fd")).expect("its files").count() as f64
    }

    /// Processor time it has used, in seconds.
    pub(crate) fn time(&self) -> f64 {
        let stat = fs::read_to_string(self.path("stat")).expect("its state");
        // Fields 14 and 15, after a name in brackets.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: f64 = fields
            .skip(11)
            .take(2)
            .map(|field| field.parse::<f64>().expect("ticks"))
            .sum();
        ticks / TICKS
    }

    /// Processor time of its event loop, which is its first thread.
    pub(crate) fn loops(&self) -> Duration {
        let path = self.path(&format!("task/{}/schedstat", self.0.id()));
        scheduled(path.as_ref(), 0)
    }

    /// Number of wake-ups of its threads.
    pub(crate) fn wakeups(&self) -> f64 {
        let threads = fs::read_dir(self.path("task")).expect("its threads");
        threads
            .map(|thread| {
                let path = thread.expect("a thread").path().join("status");
                field(&path, "voluntary_ctxt_switches:")
            })
            .sum()
    }

    /// Ends it in an orderly way.
    pub(crate) fn stop(mut self) {
        drop(self.0.stdin.take());
        let ended = self.0.wait().expect("a child");
        assert!(ended.success(), "the daemon ended with {ended}");
    }

    fn status(&self, name: &str) -> f64 {
        field(self.path("status").as_ref(), name)
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.id())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already, unless this run has failed.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// How long this thread waited for a processor.
pub(crate) fn waited() -> Duration {
    scheduled("/proc/thread-self/schedstat".as_ref(), 1)
}

/// A time of a thread from the scheduler: 0 running, 1 waiting to run.
fn scheduled(path: &Path, field: usize) -> Duration {
    let stat = fs::read_to_string(path).expect("its state");
    let time = stat
        .split(' ')
        .nth(field)
        .and_then(|word| word.parse().ok());
    Duration::from_nanos(time.expect("nanoseconds"))
}

fn field(path: &Path, name: &str) -> f64 {
    let text = fs::read_to_string(path).expect("the system's file");
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or_else(|| panic!("no {name} in {}", path.display()))
}
