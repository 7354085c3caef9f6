// SPDX-License-Identifier: MIT
//! The cost of a bare-metal guest's accesses, which it times itself.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::tty::Tty;
use super::with_uart;
use crate::console::Line;
use crate::guest::{Config, Guest};
use crate::report::Report;

const UART: u64 = 0x2200_0000;
const DR: u64 = 0x00;
const RSR: u64 = 0x04;
const FR: u64 = 0x18;
const IMSC: u64 = 0x38;
/// The bits of UARTIMSC for input.
const RECEIVE: u32 = 0x50;
const RIS: u64 = 0x3c;
const ICR: u64 = 0x44;

/// Accesses that a figure is the mean of. A burst of them fits the ring.
const COUNT: u64 = 1000;
/// Looks at FR in a row, which are not so many that the guest rests.
const LOOKS: u64 = 200;
/// What `prints` prints.
const TRANSFERRED: char = 'y';
/// Characters of a polled transfer.
const POLLED: u64 = 64 * 1024;
/// Of two instructions each: 300 ms of them.
const TURNS: u64 = 150_000_000;
const GUESTS: u64 = 8;
const CROWD_POLLED: u64 = 16 * 1024;

const ANSWER: Duration = Duration::from_secs(120);

/// The guest, its UART and the pace of its clock.
struct Timer {
    tty: Tty,
    /// Nanoseconds a tick.
    tick: f64,
    _guest: Guest,
}

impl Timer {
    fn start(name: &str) -> Result<Self> {
        let guest = with_uart(Config::monitor(name)).create()?;
        let mut tty = Tty::open(guest.domid, Line::Vuart)?;
        tty.write_all(b"hello\r", ANSWER)?;
        tty.read_to(b"? hello\r\n", ANSWER)?;
        let mut timer = Self {
            tty,
            tick: 0.0,
            _guest: guest,
        };
        timer.tick = 1e9 / timer.number("frequency")?;
        Ok(timer)
    }

    /// Has a command done that answers with one number.
    fn number(&mut self, command: &str) -> Result<f64> {
        self.begin(command)?;
        Ok(self.end(command)?.0)
    }

    fn begin(&mut self, command: &str) -> Result<()> {
        self.tty
            .write_all(format!("{command}\r").as_bytes(), ANSWER)
    }

    /// The number that a command answers with, and how many characters of a
    /// transfer it printed before.
    fn end(&mut self, command: &str) -> Result<(f64, u64)> {
        counted(command, &self.answer()?)
    }

    /// What comes up to the end of a command's answer.
    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut seen = self.tty.read_to(b"= 0x", ANSWER)?;
        if !seen.ends_with(b"\r\n") {
            seen.extend(self.tty.read_to(b"\r\n", ANSWER)?);
        }
        Ok(seen)
    }

    /// Has characters printed: the ticks it took, and how many came.
    fn prints(&mut self, count: u64) -> Result<(f64, u64)> {
        let command = format!("prints {count:x}");
        self.begin(&command)?;
        self.end(&command)
    }

    /// What one of `count` accesses costs, in nanoseconds.
    fn each(&mut self, command: &str, count: u64) -> Result<f64> {
        let ticks = self.number(command)?;
        // What was sent is on its way to the pty; the next starts afresh.
        thread::sleep(Duration::from_millis(50));
        Ok(ticks * self.tick / to_f64(count))
    }

    fn reads(&mut self, register: u64, count: u64) -> Result<f64> {
        self.each(&format!("reads {:x} {count:x}", UART + register), count)
    }

    fn writes(&mut self, register: u64, value: u32) -> Result<f64> {
        let command = format!("writes {:x} {value:x} {COUNT:x}", UART + register);
        self.each(&command, COUNT)
    }

    /// The same where each write changes the register, from 0 and back.
    fn changes(&mut self, register: u64, value: u32) -> Result<f64> {
        let command = format!("toggles {:x} {value:x} {COUNT:x}", UART + register);
        self.each(&command, 2 * COUNT)
    }
}

/// The number of a command's answer, and how many characters of a transfer stand
/// before it.
pub(super) fn counted(command: &str, answer: &[u8]) -> Result<(f64, u64)> {
    let text = String::from_utf8_lossy(answer);
    let digits = text.rsplit("= 0x").next().map(str::trim);
    let number = digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .map(f64::from)
        .with_context(|| format!("`{command}` was answered with {text:?}"))?;
    let printed = text.matches(TRANSFERRED).count();
    Ok((number, printed.try_into()?))
}

/// Exact: every count here is small.
fn to_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// The cost of an access, by register.
pub(crate) fn accesses(report: &mut Report) -> Result<()> {
    let mut timer = Timer::start("registers")?;
    // The stock device ignores these two without a look at its state.
    for (name, each) in [
        ("rsr_read", timer.reads(RSR, COUNT)?),
        ("fr_write", timer.writes(FR, 0)?),
        ("fr_read", timer.reads(FR, LOOKS)?),
        ("ris_read", timer.reads(RIS, COUNT)?),
        ("imsc_write", timer.writes(IMSC, 0)?),
        // Of what is not pending, so that the line stays as it is.
        ("imsc_change", timer.changes(IMSC, RECEIVE)?),
        ("icr_write", timer.writes(ICR, 0)?),
        ("dr_write", timer.writes(DR, u32::from(b'x'))?),
    ] {
        report.check(format_args!("{name} takes time"), each > 0.0, each);
        report.data(name, each);
    }
    Ok(())
}

/// A driver that looks at FR before each character.
pub(crate) fn polled(report: &mut Report) -> Result<()> {
    let mut timer = Timer::start("polled")?;
    let (ticks, printed) = timer.prints(POLLED)?;
    report.data("polled_byte", ticks * timer.tick / to_f64(POLLED));
    report.check_eq("characters that were printed", &printed, &POLLED);
    Ok(())
}

/// A guest that computes beside one that waits for a key, as it was left at its
/// prompt: by looks at FR, on the same CPU.
pub(crate) fn poller(report: &mut Report) -> Result<()> {
    let mut beside = Timer::start("poller")?;
    let mut computes = Timer::start("computes")?;
    let ticks = computes.number(&format!("turns {TURNS:x}"))?;
    report.data("beside_a_poller", ticks * computes.tick);
    let answer = beside.number("read 22000018");
    report.check("the one that waited takes a command", answer.is_ok(), "");
    Ok(())
}

/// Guests that print at the same time, each timing itself.
pub(crate) fn crowd(report: &mut Report) -> Result<()> {
    let mut timers = (0..GUESTS)
        .map(|n| Timer::start(&format!("crowd{n}")))
        .collect::<Result<Vec<_>>>()?;
    let command = format!("prints {CROWD_POLLED:x}");
    let start = Instant::now();
    for timer in &mut timers {
        timer.begin(&command)?;
    }
    let answers: Vec<Vec<u8>> = thread::scope(|scope| {
        let readers = timers
            .iter_mut()
            .map(|timer| scope.spawn(|| timer.answer()));
        let readers: Vec<_> = readers.collect();
        readers
            .into_iter()
            .map(|reader| {
                reader
                    .join()
                    .unwrap_or_else(|_| Err(anyhow::anyhow!("a reader panicked")))
            })
            .collect::<Result<_>>()
    })?;
    // What is done with the answers takes dom0 as long as some guests.
    let total = start.elapsed();
    let ended = timers.iter().zip(&answers).map(|(timer, answer)| {
        counted(&command, answer).map(|(ticks, count)| (ticks * timer.tick, count))
    });
    let ended: Vec<(f64, u64)> = ended.collect::<Result<_>>()?;
    let (each, printed): (Vec<f64>, Vec<u64>) = ended.into_iter().unzip();
    let slowest = each.iter().copied().fold(f64::MIN, f64::max);
    let fastest = each.iter().copied().fold(f64::MAX, f64::min);
    ensure!(fastest > 0.0, "a guest took no time");
    report.data("crowd_total", total.as_secs_f64() * 1e9);
    report.data("crowd_spread_ratio", slowest / fastest);
    report.data("crowd_each", json!(each));
    let printed: u64 = printed.iter().sum();
    report.check_eq(
        "characters that were printed",
        &printed,
        &(GUESTS * CROWD_POLLED),
    );
    Ok(())
}
