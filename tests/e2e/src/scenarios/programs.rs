// SPDX-License-Identifier: MIT
//! Other projects' programs on a guest's consoles, as in the pages of
//! `docs/use/integrations`: each shows all output, and each can type.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command;
use crate::console::{Console, Line};
use crate::guest::Config;
use crate::recipe::block;
use crate::report::Report;
use crate::scenarios::boot::QUIET;
use crate::shell::{BOOT, Shell};

const CONSERVER: &str = include_str!("../../../../docs/use/integrations/conserver.md");
const SCREEN: &str = include_str!("../../../../docs/use/integrations/screen.md");
const SOCAT: &str = include_str!("../../../../docs/use/integrations/socat.md");
const WEB: &str = include_str!("../../../../docs/use/integrations/web.md");

/// The guest of the pages.
const GUEST: &str = "guest";
/// The URL of the web terminal.
const PAGE: &str = "http://127.0.0.1:4200/";
/// The limit with six programs at once, on a busy machine.
const WAIT: Duration = Duration::from_secs(60);
/// Forwards connections for the web terminal.
const WEB_SERVER: &str =
    "socat TCP-LISTEN:4200,bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:/run/console.sock";
/// From `openssl passwd -6` for "secret"; dom0 has no openssl.
const OPERATOR: &str = "operator:$6$vconsole$XUw3fHhIkfqCnMMvXxqtiNsNqp4mmTpBmuAYh9GGBf8oXhHGbiwy9T6rBknHlHuKOw7kDo.bElwG0zsMxESIO.\n";
/// How long to wait before pressing return again.
const AGAIN: Duration = Duration::from_secs(5);

/// All of them at once on ttyAMA0, and on hvc0 those that need only a socket or a
/// terminal.
pub(crate) fn programs(report: &mut Report) -> Result<()> {
    let _guest = Config::linux(GUEST).pl011().bootargs(QUIET).create()?;
    private_folder("/tmp/screens")?;
    let _conserver = conserver()?;
    // There is no web server's group, and socat acts as the web server.
    let web = block(WEB, "sh", 0)?.replace(":www-data:", ":root:");
    let _web_terminal = Console::spawn("sh", &["-c", &web])?;
    let _web_server = Console::spawn("sh", &["-c", WEB_SERVER])?;
    for line in Line::BOTH {
        let console = match line {
            Line::Vuart => "vuart0",
            Line::Pv => "pv0",
        };
        let here = |text: String| text.replace("vuart0", console);
        let ours = ["attach", &format!("{GUEST}/{console}")];
        // The first user waits for the shell.
        let ours = Shell::login(Console::spawn("vconsole", &ours)?, BOOT)?.console;
        let mut users = vec![
            ("vconsole", ours),
            ("socat", login(&here(block(SOCAT, "sh", 0)?))?),
            ("screen", login(&here(block(SCREEN, "sh", 1)?))?),
        ];
        if line == Line::Vuart {
            users.push(("vconsole in screen", login(&block(SCREEN, "sh", 0)?)?));
            users.push(("conserver", login(&block(CONSERVER, "sh", 3)?)?));
        }
        for (name, user) in &mut users {
            // Its first return shows that it is attached.
            if *name == "conserver" {
                user.expect("password:", WAIT)?;
                user.send("secret\r")?;
                user.expect("help]", WAIT)?;
            }
            answered(user, name)?;
        }
        let names: Vec<&str> = users.iter().map(|(name, _)| *name).collect();
        for (number, name) in names.iter().enumerate() {
            users[number].1.send(&typed(name))?;
            for (other, user) in &mut users {
                let seen = user.expect(&shown(name), WAIT);
                report.check_ok(
                    format_args!("{}: {other} shows what is typed in {name}", line.tty()),
                    seen,
                );
            }
        }
        if line == Line::Pv {
            continue;
        }
        let mut web = Web::open()?;
        for name in names {
            let seen = web.until(&shown(name));
            report.check_ok(
                format_args!("a browser shows what was typed in {name}"),
                seen,
            );
        }
        web.press(&typed("a browser"))?;
        let seen = web.until(&shown("a browser"));
        report.check_ok("a browser shows what is typed in it", seen);
        for (other, user) in &mut users {
            let seen = user.expect(&shown("a browser"), WAIT);
            report.check_ok(
                format_args!("{other} shows what is typed in a browser"),
                seen,
            );
        }
        let log = fs::read_to_string("/var/log/conserver/guest").unwrap_or_default();
        report.check(
            "conserver logs it",
            log.contains(&shown("a browser")),
            log.len(),
        );
    }
    Ok(())
}

/// Presses return until the guest's shell answers the command of `name`.
fn answered(user: &mut Console, name: &str) -> Result<()> {
    let end = Instant::now() + WAIT;
    loop {
        user.send(&typed(&format!("new {name}")))?;
        match user.expect(&shown(&format!("new {name}")), AGAIN) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => {}
        }
    }
}

/// A command; its quotes distinguish the guest's answer from the echo.
fn typed(name: &str) -> String {
    format!("echo \"by\" {name}\r")
}

fn shown(name: &str) -> String {
    format!("by {name}")
}

/// Runs a shell line in a session of its own, as after a login.
fn login(line: &str) -> Result<Console> {
    let line = format!("export SCREENDIR=/tmp/screens; {line}");
    Console::spawn("setsid", &["-c", "sh", "-c", &line])
}

/// conserver's server, as in its page.
fn conserver() -> Result<Console> {
    fs::create_dir_all("/etc/conserver")?;
    fs::create_dir_all("/var/log/conserver")?;
    let file = "/etc/conserver/conserver.cf";
    fs::write(file, block(CONSERVER, "conserver", 0)?).context(file)?;
    fs::write("/etc/conserver/conserver.passwd", OPERATOR)?;
    Console::spawn("sh", &["-c", &block(CONSERVER, "sh", 2)?])
}

fn private_folder(path: &str) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .with_context(|| path.to_owned())
}

/// A browser on the web terminal's page: keys are sent as hexadecimal digits, and a
/// request waits until there is output.
struct Web {
    session: String,
    shown: String,
}

impl Web {
    fn open() -> Result<Self> {
        let mut page = String::new();
        command::poll(WAIT, || {
            let got = command::run("wget", &["-q", "-O", "-", PAGE], WAIT);
            page = got.and_then(command::Finished::ok).unwrap_or_default();
            !page.is_empty()
        });
        if !page.to_ascii_lowercase().contains("<html") {
            bail!("the web terminal's page is {page:?}");
        }
        let answer = post("rooturl=http%3A%2F%2F127.0.0.1%3A4200%2F")?;
        let session = answer["session"].as_str().context("no session")?;
        Ok(Self {
            session: session.to_owned(),
            shown: String::new(),
        })
    }

    fn until(&mut self, words: &str) -> Result<()> {
        let end = Instant::now() + WAIT;
        while !self.shown.contains(words) {
            if Instant::now() > end {
                bail!("no {words:?} in {:?}", self.shown);
            }
            let more = post(&format!("session={}", self.session))?;
            self.shown
                .push_str(more["data"].as_str().unwrap_or_default());
        }
        Ok(())
    }

    fn press(&self, keys: &str) -> Result<()> {
        let keys: Vec<String> = keys.bytes().map(|key| format!("{key:02X}")).collect();
        post(&format!("session={}&keys={}", self.session, keys.concat())).map(drop)
    }
}

fn post(form: &str) -> Result<Value> {
    let form = format!("width=80&height=24&{form}");
    let url = format!("{PAGE}?");
    let words = ["-q", "-O", "-", "--post-data", &form, &url];
    let answer = command::run("wget", &words, WAIT)?.ok()?;
    // The answer to keys may be empty.
    Ok(serde_json::from_str(&answer).unwrap_or_default())
}
