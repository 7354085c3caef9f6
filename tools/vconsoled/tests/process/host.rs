// SPDX-License-Identifier: MIT
//! A fake host whose daemon is another process, which can be killed, and guests that
//! print a pattern.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use terminal::is_ready;
use vconsoled::service::diagnostics;
use vconsoled::{Config, Server};
use xen_io::Platform;
use xen_io::fake::Machine;

use crate::ROLE;
use crate::broker;
use crate::support::{PATIENCE, Serial, wait_for};

/// The socket of the fake host in another process.
pub(crate) const HOST: &str = "VCONSOLED_TEST_HOST";

/// Serves that host until standard input ends, and reports when it serves.
pub(crate) fn serve(host: &str, config: &str) {
    let mut diagnostics = diagnostics::start(true, false);
    // As in the daemon itself: exceeding the file size limit is an error of that write.
    let ignored = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, ignored).unwrap();
    let mut platform = Platform::connect_fake(Path::new(host)).unwrap();
    let config = Config::parse(config).unwrap();
    if std::env::var_os(broker::CONFINED).is_some() {
        broker::confine(&mut platform, &config);
    }
    // No thread may run before this.
    diagnostics.run().unwrap();
    let server = Server::new(platform, config).unwrap();
    let handle = server.handle();
    std::thread::spawn(move || {
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        handle.stop();
    });
    server.run(|| println!("ready")).unwrap();
}

/// A host whose daemon can be killed.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) machine: Machine,
    pub(crate) config: String,
}

impl Host {
    /// `log` has keys of the section of that name.
    pub(crate) fn new(log: &str) -> Self {
        // In memory, like the daemon's own folder: only such files are mapped.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::create_dir(dir.path().join("log")).unwrap();
        let machine = Machine::new();
        machine.listen(&dir.path().join("xen")).unwrap();
        let at = dir.path().display();
        let config = format!(
            "state-dir = \"{at}/state\"\nhistory = \"512KiB\"\n\
             [log]\nguests = true\nfilter = \"none\"\ndir = \"{at}/log\"\n{log}\n\
             [audit]\njournal = false\n[sockets]\ncontrol = \"{at}/control.sock\"\nmetrics = \"\"\nconsoles = \"{at}/consoles\"\n\
             [process]\nuser = \"\"\nsandbox = false\nfolders = []\n"
        );
        Self {
            dir,
            machine,
            config,
        }
    }

    /// Starts a daemon, and waits until it serves.
    pub(crate) fn start(&self, prepare: impl FnOnce(&mut Command)) -> Running {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .env(ROLE, &self.config)
            .env(HOST, self.dir.path().join("xen"))
            .env_remove("NOTIFY_SOCKET");
        prepare(&mut command);
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = child.stdout.take().unwrap();
        let daemon = Running(child);
        assert!(is_ready(&said, PATIENCE), "the daemon serves in time");
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        daemon
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("log").join(name)
    }

    /// The files of a log, oldest first. One may be missing after an interrupted
    /// rotation.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut old: Vec<(u32, PathBuf)> = std::fs::read_dir(self.dir.path().join("log"))
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let number = path.file_name()?.to_str()?.strip_prefix(name)?;
                Some((number.strip_prefix('.')?.parse().ok()?, path))
            })
            .collect();
        old.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let old = old.into_iter().map(|(_, path)| path);
        old.chain([self.log(name)]).collect()
    }

    /// Everything that was logged.
    pub(crate) fn logged(&self, name: &str) -> Vec<u8> {
        let files = self.files(name).into_iter();
        files
            .flat_map(|path| std::fs::read(path).unwrap_or_default())
            .collect()
    }

    /// Removes old files of a log except for the last two, while no daemon runs.
    pub(crate) fn take_old(&self, name: &str, into: &mut Vec<u8>) {
        let mut files = self.files(name);
        files.truncate(files.len().saturating_sub(2));
        for path in files {
            into.extend(std::fs::read(&path).unwrap());
            std::fs::remove_file(path).unwrap();
        }
    }
}

/// A running daemon.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Kills it.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Ends it in an orderly way.
    pub(crate) fn stop(mut self) {
        drop(self.0.stdin.take());
        let ended = wait_for("the daemon's end", || self.0.try_wait().unwrap());
        assert!(ended.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless a test failed.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The bytes at a position of a stream.
pub(crate) fn pattern(from: usize, length: usize) -> Vec<u8> {
    (from as u64..)
        .take(length)
        .map(|at| match at % 61 {
            60 => b'\n',
            _ => (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0],
        })
        .collect()
}

/// Reports the position of the first difference, without the streams.
pub(crate) fn same(what: &str, stream: &[u8], length: usize) {
    let expected = pattern(0, length);
    let wrong = stream.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(wrong, None, "{what}: wrong from that position on");
    assert_eq!(stream.len(), length, "{what}");
}

/// A guest that sends as much as allowed.
pub(crate) struct Sender {
    allowed: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Sender {
    pub(crate) fn start(mut serial: impl Serial + Send + 'static) -> Self {
        let allowed = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (limit, end) = (Arc::clone(&allowed), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while !end.load(Ordering::Acquire) {
                if sent >= limit.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                // Different lengths, and none that fits the ring.
                let length = 500 + sent % 2999;
                serial.send(&pattern(sent, length));
                sent += length;
            }
            sent
        });
        Self {
            allowed,
            over,
            thread,
        }
    }

    pub(crate) fn allow(&self, more: usize) {
        self.allowed.fetch_add(more, Ordering::AcqRel);
    }

    pub(crate) fn finish(self) -> usize {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// Length of the common prefix of two streams.
pub(crate) fn in_common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}
