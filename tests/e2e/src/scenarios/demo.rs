// SPDX-License-Identifier: MIT
//! The demonstration of `cargo xtask demo`.

use anyhow::{Context, Result};
use serde_json::json;

use crate::console::Line;
use crate::daemon;
use crate::guest::Config;
use crate::report::Report;
use crate::scenarios::boot::{BOTH_LINES, report_driver};
use crate::shell::{PROMPT, SHORT, Shell};

const ASK_SYSTEM: &str = "uname -a";
const ASK_INTERRUPTS: &str = "cat /proc/interrupts | grep -i uart";

/// A different command on each console, both open at once, and the figures.
pub(crate) fn demo(report: &mut Report) -> Result<()> {
    let guest = Config::linux("guest")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    let mut open = |line: Line| {
        report.check_ok(
            format_args!("prompt on {}", line.tty()),
            Shell::open(&guest.name, line),
        )
    };
    let (Some(mut vuart), Some(mut pv)) = (open(Line::Vuart), open(Line::Pv)) else {
        return Ok(());
    };
    let driver = report_driver(report, &mut vuart, "PL011 rev3")?;

    let system = type_command(&mut vuart, ASK_SYSTEM)?;
    report.check(
        "ttyAMA0 answers",
        system.contains("Linux") && system.contains("aarch64"),
        answer(&system),
    );
    let interrupts = type_command(&mut pv, ASK_INTERRUPTS)?;
    let count = daemon::count_interrupts(&interrupts, "uart-pl011");
    report.check(
        "the PL011 interrupted the guest",
        interrupts.contains("uart-pl011") && count > 0,
        answer(&interrupts),
    );

    let status = daemon::status()?;
    let lines = [("vuart", Line::Vuart), ("pv", Line::Pv)];
    let served = |line| status.console(guest.domid, line).cloned();
    for (name, line) in lines {
        let console = served(line)?;
        report.check(
            format_args!("bytes went both ways on {name}"),
            console.from_guest > 0 && console.to_guest > 0,
            format_args!(
                "{} from the guest, {} to it",
                console.from_guest, console.to_guest
            ),
        );
    }
    let (serial, hvc) = (served(Line::Vuart)?, served(Line::Pv)?);
    report.check(
        "the ring is private",
        serial.kind == "vuart-private",
        &serial.kind,
    );
    let exe =
        std::fs::read_link(format!("/proc/{}/exe", status.pid)).context("the daemon's program")?;
    report.check(
        "vconsoled serves both",
        exe.ends_with("vconsoled"),
        exe.display(),
    );

    report.data("transcripts", json!({"vuart": system, "pv": interrupts}));
    let bytes = |c: &daemon::Served| json!({"from_guest": c.from_guest, "to_guest": c.to_guest});
    report.data("bytes", json!({"vuart": bytes(&serial), "pv": bytes(&hvc)}));
    let bells = |c: &daemon::Served| json!({"in": c.doorbells_in, "out": c.doorbells_out});
    report.data(
        "doorbells",
        json!({"vuart": bells(&serial), "pv": bells(&hvc)}),
    );
    report.data("guest_interrupts", count);
    report.data("driver", driver);
    report.data("served_by", format!("vconsoled pid {}", status.pid));
    Ok(())
}

/// Types a command as a user does; returns the output from the prompt on, without
/// the next prompt.
fn type_command(shell: &mut Shell, command: &str) -> Result<String> {
    let before = shell.console.expect(PROMPT, SHORT)?;
    shell.console.send(&format!("{command}\r"))?;
    let shown = shell.console.expect(PROMPT, SHORT)?;
    Ok(from_prompt(&before, &shown))
}

fn from_prompt(before: &[u8], shown: &[u8]) -> String {
    let lines = |bytes| without_escapes(&String::from_utf8_lossy(bytes)).replace("\r\n", "\n");
    let (before, shown) = (lines(before), lines(shown));
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let end = shown.rfind('\n').map_or(shown.len(), |at| at + 1);
    format!("{}{PROMPT}{}", &before[start..], &shown[..end])
}

/// Removes sequences for the terminal: `ESC [ … letter`.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| {
        kept + part
            .trim_start_matches(|c: char| !c.is_alphabetic())
            .get(1..)
            .unwrap_or_default()
    })
}

/// The command's output: the second line.
fn answer(shown: &str) -> &str {
    shown.lines().nth(1).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_runs_from_prompt_to_prompt() {
        let shown = from_prompt(
            b"0.\r\n\x1b[0;1mguest:~",
            b"\x1b[6nuname\r\nLinux\r\nguest:~",
        );
        assert_eq!(shown, "guest:~# uname\nLinux\n");
        assert_eq!(answer(&shown), "Linux");
    }
}
