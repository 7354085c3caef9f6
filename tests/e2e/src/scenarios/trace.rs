// SPDX-License-Identifier: MIT
//! Xen's trace buffers, as xentrace writes them to a file in dom0: a guest's use of
//! its PL011, by the records of `VPL011_TRACE`.

use std::fs;
use std::process::{Child, Command};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::console::Line;
use crate::guest::{Config, xl};
use crate::report::Report;
use crate::shell::{BOOT, SHORT, Shell};

/// xentrace's output file.
const FILE: &str = "/run/trace";
/// Its mask for emulated devices (Xen `TRC_HVM_EMUL`).
const DEVICES: &str = "0x84000";

/// An access to the PL011, and a change of its interrupt line.
const ACCESS: u32 = 0x8_4020;
const LINE: u32 = 0x8_4021;
/// Fields of an access's second word.
const WRITE: u32 = 1 << 31;
const OFFSET: u32 = 0xfff;

/// One record: its time, event and words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    cycles: u64,
    event: u32,
    words: Vec<u32>,
}

/// Commands in a guest's shell, and the trace of them.
pub(crate) fn trace(report: &mut Report) -> Result<()> {
    let guest = Config::linux("traced").pl011().bootargs("console=ttyAMA0");
    let guest = guest.create()?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;

    // Xen's example policy forbids writing to the buffers.
    xl(&["setenforce", "0"])?;
    let mut tracer = start()?;
    // xentrace does not report that it has begun; the first record shows it.
    let begun = command::poll(BOOT, || {
        shell.run("true", SHORT).is_ok() && read().is_ok_and(|records| !records.is_empty())
    });
    ensure!(begun, "xentrace wrote no record");
    shell.run("echo traced$((6 * 7))", SHORT)?;
    // It reads every CPU's buffer once more before it ends.
    end(&mut tracer)?;
    let records = read()?;
    xl(&["setenforce", "1"])?;

    let count = format!("{} records", records.len());
    report.check(
        "what the guest printed is in Xen's trace",
        text(&records, guest.domid, WRITE).contains("traced42"),
        &count,
    );
    report.check(
        "and what was typed at it",
        text(&records, guest.domid, 0).contains("echo traced$((6 * 7))"),
        &count,
    );
    let line = |rises: bool| {
        records.iter().any(|record| {
            record.event == LINE
                && matches!(record.words[..], [domid, was, is]
                    if domid == u32::from(guest.domid) && (was == 0) == rises && (is != 0) == rises)
        })
    };
    report.check("its line rose and fell", line(true) && line(false), &count);
    guest.destroy()
}

fn start() -> Result<Child> {
    Command::new("xentrace")
        .args(["--discard-buffers", "-e", DEVICES, FILE])
        .spawn()
        .context("starting xentrace")
}

fn end(tracer: &mut Child) -> Result<()> {
    kill_process(Pid::from_child(tracer), Signal::TERM)?;
    let status = command::wait(tracer, SHORT)?.context("xentrace did not end")?;
    ensure!(status.success(), "xentrace: {status}");
    Ok(())
}

/// The file's records, in the order of their times.
fn read() -> Result<Vec<Record>> {
    let mut records = parse(&fs::read(FILE)?);
    records.sort();
    Ok(records)
}

/// The complete records of a trace. A record's header has the event, whether a time
/// follows, and how many words follow.
fn parse(bytes: &[u8]) -> Vec<Record> {
    let mut words = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let mut records = Vec::new();
    let mut next = || {
        let header = words.next()?;
        let cycles = if header >> 31 == 1 {
            u64::from(words.next()?) | u64::from(words.next()?) << 32
        } else {
            0
        };
        let wanted = (header >> 28 & 7) as usize;
        let found: Vec<u32> = words.by_ref().take(wanted).collect();
        (found.len() == wanted).then_some(Record {
            cycles,
            event: header & 0xfff_ffff,
            words: found,
        })
    };
    records.extend(std::iter::from_fn(&mut next));
    records
}

/// The characters that a guest wrote to its UARTDR, or read from it.
fn text(records: &[Record], domid: u16, write: u32) -> String {
    records
        .iter()
        .filter_map(|record| match record.words[..] {
            [guest, place, value]
                if record.event == ACCESS
                    && guest == u32::from(domid)
                    && place & (WRITE | OFFSET) == write =>
            {
                Some(char::from(value.to_le_bytes()[0]))
            }
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_trace_is_read_record_by_record() {
        // A change of CPU, without a time; two accesses with one; a truncated
        // record.
        let trace = bytes(&[
            0x2001_f003,
            0,
            48,
            0xb008_4020,
            7,
            1,
            5,
            0x8000_0000,
            u32::from(b'b'),
            0xb008_4020,
            6,
            1,
            5,
            0x8000_0000,
            u32::from(b'a'),
            0xb008_4020,
            8,
            1,
            5,
        ]);
        let mut records = parse(&trace);
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[0].event, &records[0].words[..]),
            (0x1_f003, &[0, 48][..])
        );
        records.sort();
        assert_eq!(text(&records, 5, WRITE), "ab");
        assert_eq!(
            (text(&records, 5, 0), text(&records, 4, WRITE)),
            (String::new(), String::new())
        );
    }
}
