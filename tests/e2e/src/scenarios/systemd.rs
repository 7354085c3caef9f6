// SPDX-License-Identifier: MIT
//! The package as an administrator uses it: dpkg installs it, systemd runs it,
//! restarts it and stores its descriptors, journald stores guests' output and
//! forwards it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::{self, Finished};
use crate::console::Line;
use crate::daemon;
use crate::guest::Config;
use crate::report::Report;
use crate::scenarios::restart::counting;
use crate::shell::{SHORT, Shell};

const PACKAGE: &str = "/guest/vconsoled.deb";
const GUEST: &str = "svc";
/// Its channel, in the daemon's folder.
const SOCKET: &str = "/run/vconsoled/channels/svc.sock";
/// The guest's last line.
const ALL: &str = "all counted";
/// Lines that the guest prints for the journal.
const LINES: usize = 40;
/// Address and folder of the host that collects journals.
const GATHERER: &str = "127.0.0.1:19532";
const GATHERED: &str = "/tmp/gathered";

/// The time limit of any command here, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// The package's programs in place of Xen's.
const DIVERTED: [&str; 2] = ["xenconsole", "xenconsoled"];

/// Lines of the guest's UART go to the journal.
const CONFIG: &str = "[[console]]\nconsole = \"vuart0\"\njournal = true\n";

pub(crate) fn systemd(report: &mut Report) -> Result<()> {
    let before = Before::look()?;
    install(report, &before)?;
    unit(report)?;
    fs::write("/etc/vconsoled.toml", CONFIG)?;
    run("systemctl", &["restart", "vconsoled"])?;
    // The kernel's messages must not be mixed with the counted lines; it prints
    // many when its console's output is not read.
    let guest = Config::linux(GUEST)
        .pl011()
        .bootargs("console=ttyAMA0 nosoftlockup")
        .with(&format!(
            "channel = [ \"name=org.example.agent.0,connection=socket,path={SOCKET}\" ]"
        ))
        .create()?;
    // The unit's restrictions apply to what makes it.
    let there = command::poll(SHORT, || Path::new(SOCKET).exists());
    report.check("a channel has its socket", there, SOCKET);
    let mut shell = Shell::open(GUEST, Line::Vuart)?;
    shell.run("touch /tmp/on", SHORT)?;
    ends(report, guest.domid, &mut shell)?;
    journal(report, &mut shell)?;
    drop(shell);
    guest.destroy()?;
    remove(report, &before)
}

/// dom0 without the package.
struct Before {
    /// Xen's programs by their paths, with their contents.
    programs: Vec<(String, Vec<u8>)>,
    /// Files with the package's name.
    files: Vec<String>,
}

impl Before {
    fn look() -> Result<Self> {
        let mut programs = Vec::new();
        for entry in fs::read_dir("/usr/lib")? {
            let folder = entry?.path().join("bin");
            for path in DIVERTED.map(|name| folder.join(name)) {
                if path.exists() {
                    let contents = fs::read(&path)?;
                    programs.push((path.display().to_string(), contents));
                }
            }
        }
        let files = files()?;
        Ok(Self { programs, files })
    }
}

/// The files with the package's name.
fn files() -> Result<Vec<String>> {
    let folders = ["/etc", "/lib/", "/run", "/usr", "/var"];
    let found = run("find", &[&folders[..], &["-name", "*vconsole*"]].concat())?;
    Ok(found.lines().map(str::to_owned).collect())
}

/// Runs a command that must succeed; returns its output.
fn run(program: &str, args: &[&str]) -> Result<String> {
    command::run(program, args, PATIENCE)
        .and_then(Finished::ok)
        .with_context(|| format!("{program} {}", args.join(" ")))
}

/// A property of the service.
fn property(name: &str) -> Result<String> {
    let text = run("systemctl", &["show", "vconsoled", "--value", "-p", name])?;
    Ok(text.trim().to_owned())
}

fn install(report: &mut Report, before: &Before) -> Result<()> {
    run("dpkg", &["--install", PACKAGE])?;
    let shown = run(
        "dpkg-query",
        &["--show", "-f", "${db:Status-Status}", "vconsoled"],
    )?;
    report.check_eq(
        "dpkg has installed the package",
        &shown.as_str(),
        &"installed",
    );
    let users = fs::read_to_string("/etc/passwd")?;
    let user = users.lines().find(|line| line.starts_with("vconsoled:"));
    report.check(
        "there is a user for it",
        user.is_some(),
        format_args!("{user:?}"),
    );
    report.check_eq("Xen's programs", &before.programs.len(), &DIVERTED.len());
    for (program, contents) in &before.programs {
        let aside = fs::read(format!("{program}.stock")).unwrap_or_default();
        let now = fs::read(program).unwrap_or_default();
        report.check(
            format_args!("{program} is diverted"),
            aside == *contents && now != *contents,
            format_args!("{} bytes aside, {} in its place", aside.len(), now.len()),
        );
    }
    Ok(())
}

/// The service is ready by the daemon's notification, and has a watchdog.
fn unit(report: &mut Report) -> Result<()> {
    for (name, wanted) in [
        ("Type", "notify"),
        ("ActiveState", "active"),
        ("UnitFileState", "enabled"),
        ("WatchdogUSec", "30s"),
    ] {
        report.check_eq(name, &property(name)?.as_str(), &wanted);
    }
    let verified = command::run(
        "systemd-analyze",
        &["verify", "--man=no", "vconsoled.service"],
        PATIENCE,
    )?;
    // Keys for a newer systemd than Debian 12's.
    let newer = |line: &&str| line.contains("'RestartSteps'") || line.contains("'RestartMaxDelay");
    let mut lines = verified.text.lines().filter(|line| !newer(line));
    let about_it = lines.any(|line| line.contains("vconsoled"));
    report.check(
        "systemd-analyze verify finds nothing",
        verified.success && !about_it,
        verified.text.trim(),
    );
    Ok(())
}

/// Two readers while the guest counts: at the terminal and at the socket.
struct Readers {
    programs: Vec<(Child, String)>,
}

impl Readers {
    fn start(tty: &str) -> Result<Self> {
        let socket = format!("UNIX-CONNECT:/run/vconsoled/consoles/by-name/{GUEST}/pv0.ro.sock");
        let mut programs = Vec::new();
        for (name, program, args) in [
            ("terminal", "cat", vec![tty]),
            ("socket", "socat", vec!["-u", &socket, "STDOUT"]),
        ] {
            let seen = format!("/tmp/{name}.seen");
            let child = Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .stdout(File::create(&seen)?)
                .spawn()?;
            programs.push((child, seen));
        }
        Ok(Self { programs })
    }

    fn seen(path: &str) -> String {
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Waits until each reader has more output than now, or `what`.
    fn go_on(&self, what: Option<&str>) -> bool {
        let lengths: Vec<usize> = self.lengths();
        command::poll(PATIENCE, || match what {
            Some(what) => (self.programs.iter()).all(|(_, path)| Self::seen(path).contains(what)),
            None => (self.lengths().iter().zip(&lengths)).all(|(now, then)| *now > then + 200),
        })
    }

    fn lengths(&self) -> Vec<usize> {
        let paths = self.programs.iter().map(|(_, path)| path);
        paths.map(|path| Self::seen(path).len()).collect()
    }

    /// Ends the readers; returns what each has read.
    fn finish(self) -> Result<[String; 2]> {
        let mut seen = [const { String::new() }; 2];
        for ((mut child, path), seen) in self.programs.into_iter().zip(&mut seen) {
            child.kill()?;
            child.wait()?;
            *seen = Self::seen(&path);
        }
        Ok(seen)
    }

    /// Whether all readers still run.
    fn are_there(&mut self) -> bool {
        let mut programs = self.programs.iter_mut();
        programs.all(|(child, _)| matches!(child.try_wait(), Ok(None)))
    }
}

/// The daemon ends in three ways while the guest counts.
fn ends(report: &mut Report, domid: u16, shell: &mut Shell) -> Result<()> {
    let mut store = xen_io::xenstore::Client::open()?;
    let mut tty = move || -> Result<String> {
        let node = format!("/local/domain/{domid}/console/tty");
        Ok(String::from_utf8(store.read(&node)?.unwrap_or_default())?)
    };
    let name = tty()?;
    let mut readers = Readers::start(&name)?;
    shell.run(
        "(i=0; while [ -e /tmp/on ]; do i=$((i+1)); echo count $i.; usleep 2000; done; \
         echo all counted) >/dev/hvc0 2>&1 & true",
        SHORT,
    )?;
    let counts = readers.go_on(Some("count 50."));
    report.check(
        "the guest counts",
        counts,
        format_args!("{:?}", readers.lengths()),
    );
    let ways: [(&str, &[&str]); 3] = [
        ("systemctl restart", &["systemctl", "restart", "vconsoled"]),
        (
            "kill -9",
            &[
                "systemctl",
                "kill",
                "--signal=KILL",
                "--kill-whom=main",
                "vconsoled",
            ],
        ),
        (
            "dpkg --install, an upgrade in place",
            &["dpkg", "--install", PACKAGE],
        ),
    ];
    for (way, words) in ways {
        let before = property("MainPID")?;
        run(words[0], &words[1..])?;
        let another = command::poll(PATIENCE, || {
            property("ActiveState").is_ok_and(|state| state == "active")
                && property("MainPID").is_ok_and(|pid| pid != before && pid != "0")
        });
        let goes_on = readers.go_on(None);
        report.check(
            format_args!("{way}: another daemon serves, and no connection ends"),
            another && goes_on && readers.are_there() && tty()? == name,
            format_args!("after process {before} process {}", property("MainPID")?),
        );
    }
    shell.run("rm /tmp/on", SHORT)?;
    let complete = readers.go_on(Some(ALL));
    report.check(
        "the guest is done",
        complete,
        format_args!("{:?}", readers.lengths()),
    );
    // A terminal and two sockets for each console, a viewer with its pending
    // output, and its input.
    let kept = property("NFileDescriptorStore")?;
    report.check_eq("what systemd stores", &kept.as_str(), &"10");
    let logged = command::poll(PATIENCE, || {
        daemon::log(GUEST, Line::Pv).is_ok_and(|log| log.contains(ALL))
    });
    let counted = counting(&daemon::log(GUEST, Line::Pv)?, ALL);
    report.check(
        "every byte once in the log",
        logged && counted.as_ref().is_ok_and(|lines| *lines > 50),
        format_args!("{counted:?}"),
    );
    let lines = counted.unwrap_or_default();
    let [terminal, socket] = readers.finish()?;
    let counted = counting(&socket, ALL);
    report.check(
        "every byte once on the socket",
        counted == Ok(lines),
        format_args!("{counted:?}"),
    );
    // A kill may repeat the bytes that were being written.
    let missing = missing(&terminal, lines);
    report.check(
        "every line on the terminal",
        missing.is_none(),
        format_args!("missing: {missing:?}"),
    );
    Ok(())
}

/// The first of so many lines that a text does not have.
fn missing(text: &str, lines: usize) -> Option<String> {
    // A prompt may come before the first.
    let start = text.find("count 1.").unwrap_or_default();
    let mut there: BTreeSet<&str> = text[start..].lines().map(str::trim_end).collect();
    let wanted = (1..=lines).map(|line| format!("count {line}."));
    let missing: Vec<String> = wanted.filter(|line| !there.remove(line.as_str())).collect();
    // The rest may be lines with a repeated part.
    let lost = |line: &&String| !there.iter().any(|said| repeats(said, line));
    missing.iter().find(lost).cloned()
}

/// Whether `said` is `line` with a repeated part.
fn repeats(said: &str, line: &str) -> bool {
    (1..=line.len()).any(|end| {
        let rest = said.strip_prefix(&line[..end]);
        rest.is_some_and(|rest| (0..end).any(|from| rest == &line[from..]))
    })
}

/// The guest's lines are in the journal, with their fields, and are forwarded to
/// another journal over a network.
fn journal(report: &mut Report, shell: &mut Shell) -> Result<()> {
    shell.run(
        &format!("for i in $(seq {LINES}); do echo line $i for the journal; done"),
        SHORT,
    )?;
    let wanted: Vec<String> = (1..=LINES)
        .map(|line| format!("line {line} for the journal"))
        .collect();
    let domain = format!("DOMAIN={GUEST}");
    let there = ["-o", "json", "--no-pager", &domain, "CONSOLE=vuart0"];
    let mut found = Vec::new();
    let complete = command::poll(PATIENCE, || {
        found = entries(&there).unwrap_or_default();
        said(&found) == wanted
    });
    let last = found.last().cloned().unwrap_or_default();
    report.check(
        "each line is in the journal once",
        complete,
        format_args!("{} entries, the last {last:?}", found.len()),
    );
    let fields: BTreeMap<&str, &str> = ["DOMAIN", "CONSOLE", "PRIORITY", "SYSLOG_IDENTIFIER"]
        .into_iter()
        .filter_map(|name| Some((name, last.get(name)?.as_str()?)))
        .collect();
    let expected = BTreeMap::from([
        ("CONSOLE", "vuart0"),
        ("DOMAIN", GUEST),
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "vconsoled-guest"),
    ]);
    report.check_eq("with its fields", &fields, &expected);

    fs::create_dir_all(GATHERED)?;
    let mut gatherer = Command::new("/lib/systemd/systemd-journal-remote")
        .args([
            &format!("--listen-http={GATHERER}"),
            &format!("--output={GATHERED}"),
        ])
        .stdin(Stdio::null())
        .spawn()?;
    let url = format!("--url=http://{GATHERER}");
    let listens = command::poll(PATIENCE, || std::net::TcpStream::connect(GATHERER).is_ok());
    let sent = run(
        "/lib/systemd/systemd-journal-upload",
        &[&url, "--follow=no"],
    );
    report.check(
        "systemd-journal-upload sends the journal",
        listens && sent.is_ok(),
        format_args!("{sent:?}"),
    );
    let elsewhere = [&["--directory", GATHERED][..], &there].concat();
    let arrived = command::poll(PATIENCE, || {
        entries(&elsewhere).is_ok_and(|found| said(&found) == wanted)
    });
    gatherer.kill()?;
    gatherer.wait()?;
    report.check("each line is at the other end once", arrived, GATHERED);
    Ok(())
}

type Entry = serde_json::Map<String, Value>;

fn entries(args: &[&str]) -> Result<Vec<Entry>> {
    let text = run("journalctl", args)?;
    let lines = text.lines().filter(|line| line.starts_with('{'));
    Ok(lines
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?)
}

/// The lines for the journal.
fn said(entries: &[Entry]) -> Vec<String> {
    let messages = entries
        .iter()
        .filter_map(|entry| entry.get("MESSAGE")?.as_str());
    messages
        .map(str::trim_end)
        .filter(|line| line.starts_with("line "))
        .map(str::to_owned)
        .collect()
}

/// Nothing is left of the package, and Xen's programs are back.
fn remove(report: &mut Report, before: &Before) -> Result<()> {
    let removed = run("dpkg", &["--purge", "vconsoled"]);
    report.check_ok("dpkg removes the package", removed);
    for (program, contents) in &before.programs {
        let there = fs::read(program).unwrap_or_default();
        report.check(
            format_args!("{program} is back"),
            there == *contents && !Path::new(&format!("{program}.stock")).exists(),
            format_args!("{} bytes", there.len()),
        );
    }
    let diverted = run("dpkg-divert", &["--list", "*xenconsole*"])?;
    report.check("nothing is diverted", diverted.is_empty(), diverted.trim());
    let mut left = files()?;
    left.retain(|file| !before.files.contains(file));
    report.check("no file is left", left.is_empty(), format_args!("{left:?}"));
    report.check(
        "no daemon runs",
        daemon::status().is_err(),
        "nobody answers",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_line_is_an_error_and_a_repeated_piece_is_not() {
        let whole = "guest:/# count 1.\r\ncount 2.\r\ncount 3.\r\n";
        assert_eq!(missing(whole, 3), None);
        let repeated = "count 1.\r\ncount 2.\r\ncou.\r\ncount 2.\r\ncount 3.\r\n";
        assert_eq!(missing(repeated, 3), None);
        for torn in ["councount 2.", "count 2t 2.", "count 22.", "count 2.."] {
            let text = format!("count 1.\r\n{torn}\r\ncount 3.\r\n");
            assert_eq!(missing(&text, 3), None, "{torn}");
        }
        for lost in [
            "count 1.\r\ncount 3.\r\n",
            "count 1.\r\ncou 2.\r\ncount 3.\r\n",
        ] {
            assert_eq!(missing(lost, 3).as_deref(), Some("count 2."));
        }
        assert_eq!(missing(whole, 4).as_deref(), Some("count 4."));
        // Line 22 is not line 2 with a repeated part.
        let text: Vec<String> = (1..=22).map(|line| format!("count {line}.\n")).collect();
        let lost = text.concat().replacen("count 2.\n", "", 1);
        assert_eq!(missing(&lost, 22).as_deref(), Some("count 2."));
    }
}
