// SPDX-License-Identifier: MIT
//! The load on the daemon, and its cost.
#![expect(clippy::cast_precision_loss, reason = "no count here is beyond 2^52")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use xen_io::fake::Machine;

use crate::guests::{self, Seat, byte};
use crate::process::{self, Daemon};

/// Figures by name; the name ends in the unit.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// Bytes of output per console while all write.
const EACH: u64 = 24 * 1024;
/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures with this many guests; `full` includes figures that take longer.
pub(crate) fn run(guests: usize, full: bool) -> Figures {
    let (dir, machine, mut seats) = host(guests);
    let (daemon, start) = Daemon::start(dir.path());
    let mut figures = Figures::new();
    figures.insert("guests", guests as f64);
    figures.insert("consoles", seats.len() as f64);
    figures.insert("start_s", start.as_secs_f64());
    figures.insert("rss_at_start_mib", daemon.resident());

    sit_down(&machine, &mut seats);
    everyone_talks(&daemon, &mut seats, &mut figures);
    figures.insert("open_files", daemon.files());
    latency(&mut seats, if full { 1000 } else { 50 }, &mut figures);
    let beside = one_floods(&daemon, &mut seats, if full { 5 } else { 1 });
    figures.insert("beside_noise_median_us", beside.times[0]);
    figures.insert("beside_noise_p99_us", beside.times[1]);
    figures.insert("beside_noise_worst_us", beside.times[2]);
    figures.insert("beside_noise_p99_cpu_us", beside.work[1]);
    figures.insert("beside_noise_worst_cpu_us", beside.work[2]);
    figures.insert("beside_noise_p99_bytes", beside.bytes[0]);
    figures.insert("beside_noise_worst_bytes", beside.bytes[1]);
    idle(&daemon, if full { 10 } else { 2 }, &mut figures);
    figures.insert("rss_mib", daemon.resident());
    figures.insert("rss_peak_mib", daemon.peak());
    daemon.stop();
    compare_logs(&dir.path().join("logs"), &seats);
    figures
}

/// A host with this many guests, at `host.sock` in a folder for a daemon and its logs.
pub(crate) fn host(guests: usize) -> (TempDir, Machine, Vec<Seat>) {
    process::raise_file_limit();
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("logs")).expect("a directory");
    let machine = Machine::new();
    machine
        .listen(&dir.path().join("host.sock"))
        .expect("a socket");
    let seats = guests::create(&machine, guests);
    (dir, machine, seats)
}

/// Opens every pty.
pub(crate) fn sit_down(machine: &Machine, seats: &mut [Seat]) {
    let mut store = machine.toolstack().expect("xenstore");
    for seat in seats {
        let tty = store.read(&seat.path).expect("xenstore").expect("a tty");
        seat.sit_down(&String::from_utf8(tty).expect("a name"));
    }
}

/// All consoles write at once, and all are read.
fn everyone_talks(daemon: &Daemon, seats: &mut [Seat], figures: &mut Figures) {
    let (started, time) = (Instant::now(), daemon.time());
    let mut total = 0;
    loop {
        let (mut moved, mut done) = (0, true);
        for seat in seats.iter_mut() {
            let left = EACH.saturating_sub(seat.sent());
            if left > 0 {
                moved += seat.send(left);
            }
            let seen = seat.look();
            total += seen;
            moved += seen;
            done &= seat.sent() >= EACH && seat.has_seen_all();
        }
        if done {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{total} bytes came");
        if moved == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let mib = total as f64 / f64::from(1 << 20);
    figures.insert(
        "throughput_mib_a_second",
        mib / started.elapsed().as_secs_f64(),
    );
    figures.insert("cpu_ms_a_mib", (daemon.time() - time) * 1e3 / mib);
}

/// One byte at a time, each on another console.
fn latency(seats: &mut [Seat], rounds: usize, figures: &mut Figures) {
    let calm = &mut seats[2..];
    let times = (0..rounds).map(|round| ping(&mut calm[round * 7919 % calm.len()], |_| ()));
    let [median, p99, _] = spread(times.collect());
    figures.insert("wake_median_us", median);
    figures.insert("wake_p99_us", p99);
}

/// The median, the 99th percentile and the maximum, in microseconds.
fn spread(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort();
    [times.len() / 2, times.len() * 99 / 100, times.len() - 1]
        .map(|at| times[at].as_secs_f64() * 1e6)
}

/// Time of one byte; `then` is called as soon as it is in the ring.
fn ping(seat: &mut Seat, then: impl FnOnce(&Seat)) -> Duration {
    let started = Instant::now();
    seat.send(1);
    then(seat);
    while seat.look() == 0 {
        assert!(seat.await_output(PATIENCE), "a byte is lost");
    }
    started.elapsed()
}

/// Delays of bytes of calm consoles while one floods.
pub(crate) struct Beside {
    /// Time: the median, the 99th percentile and the maximum, in microseconds.
    pub(crate) times: [f64; 3],
    /// Processor time of the daemon's event loop, the same figures.
    pub(crate) work: [f64; 3],
    /// Bytes of the flood: the 99th percentile and the maximum.
    pub(crate) bytes: [f64; 2],
}

/// The first guest writes as fast as it can on both consoles. The delay of
/// another console's byte is measured in time, which on a busy machine includes
/// other processes and the kernel; in bytes of the first guest that its viewers
/// receive meanwhile; and in processor time of the daemon's event loop until the
/// byte is written to its pty, less the time this thread waited for a processor.
pub(crate) fn one_floods(daemon: &Daemon, seats: &mut [Seat], seconds: u64) -> Beside {
    let (noisy, calm) = seats.split_at_mut(2);
    let stop = &AtomicBool::new(false);
    let shown = &AtomicU64::new(0);
    std::thread::scope(|scope| {
        let floods: Vec<_> = noisy
            .iter_mut()
            .map(|seat| {
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let seen = seat.look();
                        shown.fetch_add(seen, Ordering::Relaxed);
                        if seat.send(2048) + seen == 0 {
                            std::thread::yield_now();
                        }
                    }
                    while !seat.has_seen_all() {
                        assert!(seat.await_output(PATIENCE), "a byte is lost");
                        seat.look();
                    }
                })
            })
            .collect();
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut rounds = 0;
        let (mut times, mut work, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        while Instant::now() < until {
            let at = rounds * 7919 % calm.len();
            let before = (
                daemon.loops(),
                process::waited(),
                shown.load(Ordering::Relaxed),
            );
            let seat = &mut calm[at];
            times.push(ping(seat, |seat| {
                assert!(seat.await_taken(PATIENCE), "a byte is not taken");
                let waited = process::waited().saturating_sub(before.1);
                work.push(daemon.loops().saturating_sub(before.0 + waited));
            }));
            bytes.push(shown.load(Ordering::Relaxed) - before.2);
            rounds += 1;
        }
        stop.store(true, Ordering::Relaxed);
        for flood in floods {
            flood.join().expect("a guest");
        }
        bytes.sort_unstable();
        let bytes = [bytes.len() * 99 / 100, bytes.len() - 1].map(|at| bytes[at] as f64);
        Beside {
            times: spread(times),
            work: spread(work),
            bytes,
        }
    })
}

/// Measures without load.
fn idle(daemon: &Daemon, seconds: u64, figures: &mut Figures) {
    // Earlier work finishes first.
    std::thread::sleep(Duration::from_secs(1));
    let (time, wakeups) = (daemon.time(), daemon.wakeups());
    std::thread::sleep(Duration::from_secs(seconds));
    let span = seconds as f64;
    figures.insert("idle_cpu_percent", (daemon.time() - time) * 100.0 / span);
    figures.insert("idle_wakeups_a_second", (daemon.wakeups() - wakeups) / span);
}

/// Each log must contain the whole stream, and nothing else.
fn compare_logs(logs: &Path, seats: &[Seat]) {
    for seat in seats {
        let log = std::fs::read(logs.join(&seat.log)).expect("a log");
        // The log of a flooding guest exceeds its size and is rotated.
        if seat.sent() > 1 << 20 {
            continue;
        }
        assert_eq!(log.len() as u64, seat.sent(), "{}", seat.log);
        let wanted = (0..seat.sent()).map(|at| byte(seat.seed(), at));
        assert!(log.into_iter().eq(wanted), "{}", seat.log);
    }
}
