// SPDX-License-Identifier: MIT
//! A daemon that is killed at any moment, and its successor: every byte is once
//! in the log, and once in a viewer's stream.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use terminal::is_ready;
use vconsoled::service::diagnostics;
use vconsoled::{Config, Server};
use vpl011::ring::memory::RingMemory;
use xen_io::fake::Machine;
use xen_io::{GrantRef, Platform};

use crate::ROLE;
use crate::broker;
use crate::manager::Manager;
use crate::support::{PATIENCE, PV, Serial, VUART, Viewer, guest, tty, wait_for};
use crate::tracer::Tracer;

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

    fn log(&self, name: &str) -> PathBuf {
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
    fn take_old(&self, name: &str, into: &mut Vec<u8>) {
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

/// Follows a console on a socket across daemons, until it has `total` bytes.
fn follow(control: &Path, total: &AtomicUsize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = String::new();
    let deadline = Instant::now() + 10 * PATIENCE;
    while bytes.len() < total.load(Ordering::Acquire) {
        assert!(Instant::now() < deadline, "{} bytes came", bytes.len());
        // The daemon ended: retry.
        let _ended = follow_one(control, total, &mut stream, &mut bytes);
        std::thread::sleep(Duration::from_millis(1));
    }
    bytes
}

fn follow_one(
    control: &Path,
    total: &AtomicUsize,
    stream: &mut String,
    bytes: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut socket = UnixStream::connect(control)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let from = bytes.len();
    let resume = match stream.as_str() {
        "" => String::new(),
        name => format!(",\"stream\":\"{name}\",\"from\":{from}"),
    };
    let attach = format!("\"domid\":1,\"console\":\"pv0\",\"mode\":\"ro\"{resume}");
    writeln!(socket, "{{\"version\":1,\"attach\":{{{attach}}}}}")?;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        line.extend(byte);
    }
    let answer: Value = serde_json::from_slice(&line)?;
    let Some(position) = answer["position"].as_u64() else {
        // The console does not exist yet.
        return Ok(());
    };
    let name = answer["stream"].as_str().unwrap();
    assert!(stream.is_empty() || stream == name, "the stream is another");
    name.clone_into(stream);
    assert_eq!(position, from as u64, "the stream does not go on");
    while bytes.len() < total.load(Ordering::Acquire) {
        let mut header = [0; 5];
        socket.read_exact(&mut header)?;
        let [kind, length @ ..] = header;
        let mut payload = vec![0; u32::from_le_bytes(length) as usize];
        socket.read_exact(&mut payload)?;
        match kind {
            1 => bytes.extend(payload),
            3 => return Ok(()),
            other => panic!("a frame of type {other} after {} bytes", bytes.len()),
        }
    }
    Ok(())
}

pub(crate) fn a_hundred_kills_lose_nothing_and_repeat_nothing() {
    let host = Host::new("size = \"100KiB\"\ncount = 1000");
    let (domid, pv, uart) = guest(&host.machine, "guest");
    let hypervisor = host.machine.platform().unwrap().hypervisor;
    let page = hypervisor.map_grant(domid, GrantRef::CONSOLE).unwrap();
    let (pv, uart) = (Sender::start(pv), Sender::start(uart));
    let total = Arc::new(AtomicUsize::new(usize::MAX));
    let viewer = {
        let (control, total) = (host.control(), Arc::clone(&total));
        std::thread::spawn(move || follow(&control, &total))
    };
    for round in 0..100_u64 {
        let daemon = host.start(|_| ());
        let before = page.load_u32(3080);
        pv.allow(40_000);
        uart.allow(20_000);
        wait_for("the guest to be heard", || {
            (page.load_u32(3080) != before).then_some(())
        });
        // At some moment after this.
        std::thread::sleep(Duration::from_micros(round * 7919 % 4000));
        daemon.kill();
        wait_for("Xen to notice", || {
            (host.machine.mapped_pages(domid) == 1).then_some(())
        });
    }
    let last = host.start(|_| ());
    let (pv, uart) = (pv.finish(), uart.finish());
    assert!(pv > 100_000 && uart > 100_000, "{pv}, {uart}");
    total.store(pv, Ordering::Release);
    same("the stream", &viewer.join().unwrap(), pv);
    last.stop();
    same("the log", &host.logged("guest-guest.log"), pv);
    same(
        "the uart's log",
        &host.logged("guest-guest-vuart0.log"),
        uart,
    );
}

pub(crate) fn a_kill_at_every_system_call_loses_nothing_and_repeats_nothing() {
    // Small enough for a rotation each time.
    let host = Host::new("size = 1200\ncount = 1000");
    let (domid, mut pv, uart) = guest(&host.machine, "guest");
    drop(uart);
    let (mut sent, mut taken) = (0, Vec::new());
    for kill_at in 1.. {
        let daemon = host.start(|_| ());
        wait_for("what the last one left", || {
            let logged = taken.len() + host.logged("guest-guest.log").len();
            assert!(logged <= sent, "{logged} bytes in the log of {sent}");
            // The ring releases the bytes last.
            (logged == sent && pv.index(3080) == pv.index(3084)).then_some(())
        });
        let mut tracer = Tracer::seize(&daemon.0);
        let length = 1500 + sent % 501;
        pv.send(&pattern(sent, length));
        sent += length;
        let complete = || taken.len() + host.logged("guest-guest.log").len() == sent;
        let stops = tracer.run(kill_at, complete);
        tracer.kill(daemon);
        wait_for("Xen to notice", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        host.take_old("guest-guest.log", &mut taken);
        if stops < kill_at {
            assert!(stops > 30, "{stops} stops are too few");
            break;
        }
    }
    host.start(|_| ()).stop();
    taken.extend(host.logged("guest-guest.log"));
    same("the log", &taken, sent);
}

pub(crate) fn a_disk_that_does_not_answer_delays_no_guest() {
    let host = Host::new("");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let daemon = host.start(|_| ());
    pv.send(b"before\n");
    let log = host.log("guest-guest.log");
    wait_for("the log", || {
        (std::fs::read(&log).ok()? == b"before\n").then_some(())
    });
    // For the rest of the daemon the reason of the stall does not matter.
    let tracer = Tracer::hold(&daemon.0, "logs");
    let flood = pattern(0, 3_000_000);
    pv.send(&flood);
    wait_for("all of it taken", || {
        (pv.index(3080) == pv.index(3084)).then_some(())
    });
    assert_eq!(std::fs::read(&log).unwrap(), b"before\n");
    drop(tracer);
    daemon.stop();
    let logged = host.logged("guest-guest.log");
    let rest = logged.strip_prefix(b"before\n\r\n[").unwrap();
    let end = rest
        .windows(13)
        .position(|part| part == b" bytes lost]\r")
        .unwrap();
    let lost: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
    let kept = &rest[end + b" bytes lost]\r\n".len()..];
    assert_eq!(7 + flood.len(), 7 + lost + kept.len());
    assert!(kept.len() >= 1_000_000 && flood.ends_with(kept));
}

pub(crate) fn a_disk_that_is_slow_slows_the_guest_and_loses_nothing() {
    let host = Host::new("size = 0");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let daemon = host.start(|_| ());
    pv.send(b"\n");
    let log = host.log("guest-guest.log");
    let length = || std::fs::metadata(&log).map_or(0, |log| log.len());
    wait_for("the log", || (length() == 1).then_some(()));
    let mut tracer = Tracer::hold(&daemon.0, "logs");
    let sender = std::thread::spawn(move || {
        for chunk in pattern(0, 4_000_000).chunks(10_000) {
            pv.send(chunk);
        }
    });
    let deadline = Instant::now() + 6 * PATIENCE;
    tracer.slow_down(Duration::from_micros(300), || {
        assert!(Instant::now() < deadline, "{} bytes in the log", length());
        length() >= 4_000_001 || sender.is_finished() && length() > 3_500_000
    });
    sender.join().unwrap();
    drop(tracer);
    daemon.stop();
    same("the log", &host.logged("guest-guest.log")[1..], 4_000_000);
}

pub(crate) fn a_full_disk_costs_what_does_not_fit_and_no_more() {
    let host = Host::new("size = 0");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let log = host.log("guest-guest.log");
    let errors = host.dir.path().join("errors");
    let daemon = host.start(|command| {
        command.stderr(std::fs::File::create(&errors).unwrap());
    });
    let limit = |bytes| limit_files(&daemon, bytes);
    // The buffer is smaller.
    limit(Some(2_000_000));
    let sent = pattern(0, 2_500_000);
    for chunk in sent.chunks(100_000) {
        pv.send(chunk);
    }
    wait_for("a full log", || {
        let said = std::fs::read_to_string(&errors).ok()?;
        said.contains("ERROR").then_some(())
    });
    limit(None);
    wait_for("the rest", || {
        (std::fs::metadata(&log).ok()?.len() == 2_500_000).then_some(())
    });
    daemon.stop();
    assert!(std::fs::read(&log).unwrap() == sent);
    let errors = std::fs::read_to_string(errors).unwrap();
    let said = errors.lines().filter(|line| line.contains("ERROR"));
    assert_eq!(said.count(), 1, "{errors}");
}

/// Limits the size of files: for a program this is like a full disk.
fn limit_files(daemon: &Running, bytes: Option<u64>) {
    let pid = rustix::process::Pid::from_child(&daemon.0);
    let limit = rustix::process::Rlimit {
        current: bytes,
        maximum: None,
    };
    rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit).unwrap();
}

/// More output comes than is kept for a log that is behind. No guest waits, and
/// the log has the exact number of missing bytes.
pub(crate) fn a_disk_that_stays_full_costs_what_the_log_says() {
    let host = Host::new("size = 0");
    let (_, mut pv, _uart) = guest(&host.machine, "guest");
    let log = host.log("guest-guest.log");
    let daemon = host.start(|_| {});
    limit_files(&daemon, Some(1_500_000));
    let sent = pattern(0, 5_000_000);
    for chunk in sent.chunks(100_000) {
        pv.send(chunk);
    }
    limit_files(&daemon, None);
    let end = &sent[sent.len() - 1000..];
    wait_for("the rest", || {
        // A failed log is retried when there is something to write.
        pv.send(b".");
        let seen = std::fs::read(&log).ok()?;
        seen.trim_ascii_end()
            .windows(end.len())
            .rev()
            .take(100_000)
            .any(|part| part == end)
            .then_some(())
    });
    daemon.stop();
    let log = std::fs::read(&log).unwrap();
    // Bytes lost while a note waits for the disk have their own note.
    let (mut at, mut position, mut lost) = (0, 0, 0);
    loop {
        let run = in_common(&log[at..], &sent[position..]);
        at += run;
        position += run;
        if position == sent.len() {
            break;
        }
        // Lost bytes may begin like the note.
        let common = (0..3).find(|common| log[at - common..].starts_with(b"\r\n["));
        at -= common.unwrap_or(0);
        position -= common.unwrap_or(0);
        let rest = &log[at..];
        let note = String::from_utf8_lossy(&rest[..rest.len().min(40)]).into_owned();
        let count = note
            .strip_prefix("\r\n[")
            .and_then(|note| note.split_once(" bytes lost]\r\n"));
        let (count, _) = count.unwrap_or_else(|| panic!("{note:?} at {position}"));
        at += format!("\r\n[{count} bytes lost]\r\n").len();
        let count: usize = count.parse().unwrap();
        position += count;
        lost += count;
    }
    assert!(lost > 1_000_000, "{lost}");
}

/// Length of the common prefix of two streams.
fn in_common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The lengths of all repeated pieces of a stream; it must reach the end of what
/// is expected.
fn steps_back(stream: &[u8], expected: &[u8]) -> Vec<usize> {
    let (mut at, mut position, mut steps) = (0, 0, Vec::new());
    loop {
        let run = in_common(&stream[at..], &expected[position..]);
        at += run;
        position += run;
        if at == stream.len() {
            assert_eq!(position, expected.len(), "something is missing at the end");
            return steps;
        }
        assert!(run > 0 && steps.len() < 1000, "wrong from {position} on");
        let likely = (1..=position.min(65536))
            .max_by_key(|back| in_common(&stream[at..], &expected[position - back..]));
        let back = likely.expect("somewhere to go back to");
        position -= back;
        steps.push(back);
    }
}

pub(crate) fn a_terminal_loses_nothing_and_sees_a_piece_twice_at_most() {
    const ROUNDS: u64 = 25;
    const EACH: usize = 60_000;
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, _pv, uart) = guest(&host.machine, "guest");
    let first = host.start(|command| manager.prepare(command));
    let mut viewer = Viewer::open(&host.machine, domid, VUART);
    wait_for("it to be kept", || {
        (manager.kept().len() == 6).then_some(())
    });
    first.kill();
    let count = Arc::new(AtomicUsize::new(0));
    let total = Arc::new(AtomicUsize::new(usize::MAX));
    let reader = {
        let (count, total) = (Arc::clone(&count), Arc::clone(&total));
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            let deadline = Instant::now() + 10 * PATIENCE;
            loop {
                seen.extend(viewer.some(Duration::from_millis(10)));
                count.store(seen.len(), Ordering::Release);
                let end = total.load(Ordering::Acquire);
                if end < usize::MAX && seen.ends_with(&pattern(end - 1000, 1000)) {
                    return seen;
                }
                assert!(Instant::now() < deadline, "{} bytes came", seen.len());
            }
        })
    };
    let uart = Sender::start(uart);
    for round in 0..ROUNDS {
        let daemon = host.start(|command| manager.prepare(command));
        let before = count.load(Ordering::Acquire);
        uart.allow(EACH);
        wait_for("the terminal to show something", || {
            (count.load(Ordering::Acquire) > before + 4096).then_some(())
        });
        // At some moment after this.
        std::thread::sleep(Duration::from_micros(round * 7919 % 5000));
        daemon.kill();
        wait_for("Xen to notice", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
    }
    let last = host.start(|command| manager.prepare(command));
    let sent = uart.finish();
    total.store(sent, Ordering::Release);
    let steps = steps_back(&reader.join().unwrap(), &pattern(0, sent));
    // What an empty pty takes at once, by each daemon except the last.
    assert!(steps.iter().all(|back| *back <= 8192), "{steps:?}");
    assert!(steps.len() as u64 <= ROUNDS, "{steps:?}");
    last.stop();
}

pub(crate) fn a_terminal_survives_with_those_who_have_it_open() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, mut pv, mut uart) = guest(&host.machine, "guest");
    let mut viewer = None;
    let mut names = Vec::new();
    for round in 0..4 {
        let daemon = host.start(|command| manager.prepare(command));
        let tty = tty(&host.machine, domid, PV).unwrap();
        let viewer = viewer.get_or_insert_with(|| Viewer::open(&host.machine, domid, PV));
        pv.send(b"served ");
        assert_eq!(viewer.read(7), b"served ");
        viewer.write(b"typed");
        assert_eq!(pv.receive(5), b"typed");
        wait_for("it to be kept", || {
            (manager.kept().len() == 6).then_some(())
        });
        names.push((tty, manager.kept()));
        // In either case both ends continue meanwhile.
        if round % 2 == 0 {
            daemon.kill();
        } else {
            daemon.stop();
        }
        wait_for("Xen to notice", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        pv.send(b"alone ");
        viewer.write(b"early");
        let daemon = host.start(|command| manager.prepare(command));
        assert_eq!(viewer.read(6), b"alone ", "nothing twice, nothing lost");
        assert_eq!(pv.receive(5), b"early");
        daemon.stop();
        wait_for("Xen to notice", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
    }
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");

    // It is not open any more: output is kept for the next viewer.
    drop(viewer);
    let daemon = host.start(|command| manager.prepare(command));
    let sent = pattern(0, 60_000);
    pv.send(&sent);
    uart.send(b"x");
    let mut late = Viewer::open(&host.machine, domid, PV);
    assert!(late.read(60_000) == sent);
    host.machine.destroy(domid).unwrap();
    wait_for("it to be forgotten", || {
        manager.kept().is_empty().then_some(())
    });
    daemon.stop();
}
