// SPDX-License-Identifier: MIT
//! A tenant's terminal in dom0: vconsole-web as an unprivileged user, and its page.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::command;
use crate::console::Line;
use crate::daemon::{self, Daemon};
use crate::guest::{self, Config};
use crate::page::{ADDRESS, Session};
use crate::report::Report;
use crate::scenarios::restart::counting;
use crate::shell::{BOOT, SHORT};

const GUEST: &str = "web";
const NEIGHBOUR: &str = "db";
const PROGRAM: &str = "/usr/sbin/vconsole-web";
const CONFIG: &str = "/etc/vconsoled.toml";
const RULE: &str = "\n[[access]]\ntenants = [\"alice\"]\nby = [\"vconsole-web\"]\n\
                    domains = [\"web\"]\nrights = [\"log\", \"type\"]\n";
const TENANTS: &str = "/run/tenants";
/// The kernel must not print between the counted lines.
const BOOTARGS: &str = "console=ttyAMA0 quiet nowatchdog";
/// Lines that the guest prints meanwhile: far more than its ring holds, so that it
/// is not finished before the daemon ends.
const LINES: usize = 8000;
/// The guest's last line.
const ALL: &str = "all counted";
/// The limit from one state to the next, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn web(report: &mut Report) -> Result<()> {
    let daemon = add_rule()?;
    let service = Service::start()?;
    let first = Config::linux(GUEST).pl011().bootargs(BOOTARGS).create()?;
    let _neighbour = Config::monitor(NEIGHBOUR).pl011().create()?;
    let stranger = Session::begin("no-token");
    report.check(
        "no access without a token",
        stranger.is_err(),
        format_args!("{:?}", stranger.err().map(|error| error.to_string())),
    );
    let session = Session::begin(&service.token)?;
    let mut page = session.open(GUEST)?;
    page.shell(BOOT)?;
    let refused = session.attach(NEIGHBOUR, None).err();
    let refused = refused.map(|error| error.to_string()).unwrap_or_default();
    report.check(
        "not another guest's console",
        refused.contains("may not watch"),
        refused,
    );
    page.type_in("echo $((6 * 7))\r")?;
    let echo = page.expect("echo $((6 * 7))\r\n42\r\n", SHORT);
    report.check_ok("what is typed is echoed, and its output is shown", echo);

    page.type_in("reboot -f\r")?;
    page.another_stream(BOOT)?;
    page.shell(BOOT)?;
    let again = guest::domid(GUEST)?;
    report.check(
        "the page follows the guest over its reboot",
        again != first.domid && page.streams == 2,
        format_args!("domain {} and then {again}", first.domid),
    );

    page.type_in(&format!(
        "seq {LINES} | sed 's/.*/count &./'; echo all \"\"counted\r"
    ))?;
    page.expect("count 50.", SHORT)?;
    let before = page.connections;
    daemon.end(Signal::KILL)?;
    let log = daemon::log(GUEST, Line::Vuart)?;
    report.check(
        "the guest was in the middle",
        !log.contains(ALL),
        format_args!("{} bytes of output", log.len()),
    );
    daemon.start_again()?;
    page.expect(ALL, PATIENCE)?;
    let counted = counting(&String::from_utf8_lossy(&page.shown), ALL);
    report.check(
        "every byte once on the page, after the daemon was killed",
        counted == Ok(LINES) && page.lost == 0,
        format_args!("{counted:?} of {LINES} lines, {} bytes lost", page.lost),
    );
    report.check(
        "the page continued in the same stream",
        page.connections > before && page.streams == 2,
        format_args!("by connection {}", page.connections),
    );
    page.type_in("echo $((7 * 8))\r")?;
    let typed = page.expect("\n56\r\n", SHORT);
    report.check_ok("what is typed then has its output too", typed);
    report.data("bytes on the page", page.shown.len());
    Ok(())
}

/// Adds the tenant's rule. Nothing else runs in this dom0, so it stays.
fn add_rule() -> Result<Daemon> {
    let text = fs::read_to_string(CONFIG)?;
    fs::write(CONFIG, text + RULE)?;
    let daemon = Daemon::running()?;
    let pid = Pid::from_raw(i32::try_from(daemon.pid())?).context("a process")?;
    kill_process(pid, Signal::HUP)?;
    Ok(daemon)
}

/// The service, at the package's address.
struct Service {
    process: Child,
    /// The tenant's token.
    token: String,
}

impl Service {
    fn start() -> Result<Self> {
        let made = Command::new(PROGRAM)
            .args(["--new-token", "alice"])
            .output()?;
        fs::write(TENANTS, &made.stdout)?;
        let users = fs::read_to_string("/etc/passwd")?;
        let user = users.lines().find(|line| line.starts_with("vconsole-web:"));
        let user = user.and_then(|line| line.split(':').nth(2)?.parse().ok());
        let user = user.context("no user vconsole-web")?;
        let process = Command::new(PROGRAM)
            .args(["--tenants", TENANTS])
            .uid(user)
            .gid(user)
            .stdout(Stdio::null())
            .spawn()
            .context("starting vconsole-web")?;
        let service = Self {
            process,
            token: String::from_utf8(made.stderr)?.trim().to_owned(),
        };
        if !command::poll(PATIENCE, || TcpStream::connect(ADDRESS).is_ok()) {
            bail!("vconsole-web does not serve");
        }
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}
