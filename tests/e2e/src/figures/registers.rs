// SPDX-License-Identifier: MIT
//! The cost of a bare-metal guest's accesses, which measures its own time.

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

/// The number of accesses over which a figure is averaged. As a burst they fit into
/// the ring.
const COUNT: u64 = 1000;
/// Reads of FR in a row: too few for the guest to be descheduled.
const LOOKS: u64 = 200;
/// The character that `prints` prints.
const TRANSFERRED: char = 'y';
/// Characters of a polled transfer.
const POLLED: u64 = 64 * 1024;
/// Loop turns of two instructions each: 300 ms in total.
const TURNS: u64 = 150_000_000;
const GUESTS: u64 = 8;
const CROWD_POLLED: u64 = 16 * 1024;

const ANSWER: Duration = Duration::from_secs(120);

/// The guest, its UART and its clock's period.
struct Timer {
    tty: Tty,
    /// Nanoseconds per tick.
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

    /// Runs a command that answers with one number.
    fn number(&mut self, command: &str) -> Result<f64> {
        self.begin(command)?;
        Ok(self.end(command)?.0)
    }

    fn begin(&mut self, command: &str) -> Result<()> {
        self.tty
            .write_all(format!("{command}\r").as_bytes(), ANSWER)
    }

    /// The number in a command's answer, and how many characters of a transfer came
    /// before it.
    fn end(&mut self, command: &str) -> Result<(f64, u64)> {
        counted(command, &self.answer()?)
    }

    /// The output up to the end of a command's answer.
    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut seen = self.tty.read_to(b"= 0x", ANSWER)?;
        if !seen.ends_with(b"\r\n") {
            seen.extend(self.tty.read_to(b"\r\n", ANSWER)?);
        }
        Ok(seen)
    }

    /// Prints characters: the ticks it took, and how many arrived.
    fn prints(&mut self, count: u64) -> Result<(f64, u64)> {
        let command = format!("prints {count:x}");
        self.begin(&command)?;
        self.end(&command)
    }

    /// The cost of one of `count` accesses, in nanoseconds.
    fn each(&mut self, command: &str, count: u64) -> Result<f64> {
        let ticks = self.number(command)?;
        // The sent characters are on their way to the pty; the next measurement
        // must not overlap.
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

    /// The same, with writes that alternate between the value and 0.
    fn changes(&mut self, register: u64, value: u32) -> Result<f64> {
        let command = format!("toggles {:x} {value:x} {COUNT:x}", UART + register);
        self.each(&command, 2 * COUNT)
    }
}

/// The number in a command's answer, and how many characters of a transfer come
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
    // The stock device ignores these two without reading its state.
    for (name, each) in [
        ("rsr_read", timer.reads(RSR, COUNT)?),
        ("fr_write", timer.writes(FR, 0)?),
        ("fr_read", timer.reads(FR, LOOKS)?),
        ("ris_read", timer.reads(RIS, COUNT)?),
        ("imsc_write", timer.writes(IMSC, 0)?),
        // Bits that are not pending, so that the interrupt line does not change.
        ("imsc_change", timer.changes(IMSC, RECEIVE)?),
        ("icr_write", timer.writes(ICR, 0)?),
        ("dr_write", timer.writes(DR, u32::from(b'x'))?),
    ] {
        report.check(format_args!("{name} takes time"), each > 0.0, each);
        report.data(name, each);
    }
    Ok(())
}

/// A driver that reads FR before each character.
pub(crate) fn polled(report: &mut Report) -> Result<()> {
    let mut timer = Timer::start("polled")?;
    let (ticks, printed) = timer.prints(POLLED)?;
    report.data("polled_byte", ticks * timer.tick / to_f64(POLLED));
    report.check_eq("characters that were printed", &printed, &POLLED);
    Ok(())
}

/// A guest that computes beside one that waits for a key at its prompt, by polling
/// FR on the same CPU.
pub(crate) fn poller(report: &mut Report) -> Result<()> {
    let mut beside = Timer::start("poller")?;
    let mut computes = Timer::start("computes")?;
    let ticks = computes.number(&format!("turns {TURNS:x}"))?;
    report.data("beside_a_poller", ticks * computes.tick);
    let answer = beside.number("read 22000018");
    report.check("the waiting guest accepts a command", answer.is_ok(), "");
    Ok(())
}

/// Guests that print at the same time, each measuring its own time.
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
    // Parsing the answers takes dom0 as long as the output of some guests.
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
