// SPDX-License-Identifier: MIT
//! `vconsole list`: what the daemon says of its consoles.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The version of the answer that is understood.
const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Status {
    version: u32,
    consoles: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    domid: u16,
    name: String,
    console: String,
    kind: String,
    tty: String,
    viewers: usize,
    from_guest: u64,
    to_guest: u64,
    dropped: u64,
    state: String,
}

/// Prints the daemon's consoles.
pub(crate) fn print(control: &Path, json: bool) -> anyhow::Result<()> {
    let answer = ask(control).with_context(|| format!("vconsoled at {}", control.display()))?;
    let mut stdout = std::io::stdout().lock();
    if json {
        stdout.write_all(answer.as_bytes())?;
        return Ok(());
    }
    let status: Status = serde_json::from_str(&answer).context("an answer like no other")?;
    if status.version != VERSION {
        bail!(
            "the daemon speaks version {}, this program {VERSION}",
            status.version
        );
    }
    stdout.write_all(table(&status.consoles).as_bytes())?;
    Ok(())
}

fn ask(control: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(control)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"status\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}

fn table(consoles: &[Row]) -> String {
    const HEAD: [&str; 10] = [
        "ID",
        "DOMAIN",
        "CONSOLE",
        "KIND",
        "TTY",
        "VIEWERS",
        "FROM GUEST",
        "TO GUEST",
        "DROPPED",
        "STATE",
    ];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(consoles.iter().map(|one| {
        [
            one.domid.to_string(),
            // A name may hold anything; the terminal sees only plain text.
            one.name
                .chars()
                .filter(|letter| !letter.is_control())
                .collect(),
            one.console.clone(),
            one.kind.clone(),
            one.tty.clone(),
            one.viewers.to_string(),
            one.from_guest.to_string(),
            one.to_guest.to_string(),
            one.dropped.to_string(),
            one.state.clone(),
        ]
    }));
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_plain() {
        let console = |domid, name: &str, kind: &str| Row {
            domid,
            name: name.into(),
            console: "pv0".into(),
            kind: kind.into(),
            tty: "/dev/pts/3".into(),
            viewers: 0,
            from_guest: 10,
            to_guest: 2,
            dropped: 0,
            state: "connected".into(),
        };
        let text = table(&[
            console(1, "web", "pv"),
            console(12, "e\u{1b}[2Jvil", "vuart-private"),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let at = lines[0].find("STATE").unwrap();
        assert!(
            lines
                .iter()
                .skip(1)
                .all(|line| line[at..].starts_with("connected"))
        );
        assert!(lines[2].contains("e[2Jvil") && !text.contains('\u{1b}'));
    }
}
