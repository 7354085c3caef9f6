// SPDX-License-Identifier: MIT
//! The demo for web browsers: the embedded host with two guests, and vconsole-web
//! on loopback.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use steps::process::Running;
use steps::{Cx, Steps, cargo, files};

use crate::xterm;

/// The tenant of the demo's token.
const TENANT: &str = "demo";
/// Timeout of both programs' start, and the pause between two checks.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Both programs; dropping this ends them.
struct Demo {
    web: Running,
    _host: Running,
    /// The origin of the pages, as `http://127.0.0.1:PORT`.
    origin: String,
    token: String,
}

/// Runs the demo until it is interrupted.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    let assets = xterm(steps);
    let mut demo = start(steps, assets)?;
    let (origin, token) = (&demo.origin, &demo.token);
    println!("\nOpen {origin}/login#{token}\nEnd with Ctrl-C.");
    while demo.web.poll()?.is_none() {
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// Logs in and waits for both guests on the page. It needs no xterm.js.
pub(crate) fn check(steps: &Steps) -> Result<()> {
    let demo = start(steps, None)?;
    steps.always("web demo", |_| {
        let body = format!("token={}", demo.token);
        let answer = demo.ask("POST", "/login", &format!("origin: {}", demo.origin), &body)?;
        let cookie = answer
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
        let cookie = format!("cookie: {}", cookie.context("no session has begun")?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = demo.ask("GET", "/", &cookie, "")?;
            let links = ["vuart0/first", "pv0/second"].map(|name| format!("/view?c={name}\""));
            if links.iter().all(|link| page.contains(link)) {
                return Ok("two guests on the page".to_owned());
            }
            ensure!(Instant::now() < deadline, "no two guests: {page}");
            std::thread::sleep(LOOK);
        }
    })
}

impl Demo {
    fn ask(&self, method: &str, path: &str, header: &str, body: &str) -> Result<String> {
        let host = self.origin.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{header}\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// `None` if npm cannot fetch it: then the pages have no terminals.
fn xterm(steps: &Steps) -> Option<PathBuf> {
    let missing = |error: &anyhow::Error| {
        eprintln!("The pages have no terminals, because npm has fetched no xterm.js: {error:#}");
    };
    xterm::fetch(steps).inspect_err(missing).ok()
}

fn start(steps: &Steps, assets: Option<PathBuf>) -> Result<Demo> {
    steps.value("web demo's programs", |cx| {
        build(cx)?;
        let demo = begin(cx, assets)?;
        Ok((demo.origin.clone(), demo))
    })
}

fn build(cx: &Cx) -> Result<()> {
    cx.run(
        cargo::locked("build")
            .args(cargo::WORKSPACE)
            .args(["--example", "embedded", "--bin", "vconsole-web"])
            .current_dir(&cx.dirs.root),
    )
}

fn begin(cx: &Cx, assets: Option<PathBuf>) -> Result<Demo> {
    let folder = cx.dirs.target.join("tmp/web-demo");
    files::empty(&folder)?;
    let host = Running::start(
        Command::new(cx.dirs.target.join("debug/examples/embedded"))
            .arg("serve")
            .args([&folder])
            .arg(TENANT)
            .stdin(Stdio::piped()),
    )?;
    let program = cx.dirs.target.join("debug/vconsole-web");
    let made = Command::new(&program)
        .args(["--new-token", TENANT])
        .output()?;
    ensure!(made.status.success(), "no token was made");
    let tenants = folder.join("tenants");
    steps::write(&tenants, &made.stdout)?;
    let mut command = Command::new(&program);
    command
        .arg("--control")
        .arg(folder.join("control.sock"))
        .arg("--tenants")
        .arg(&tenants)
        .arg("--assets")
        .arg(assets.unwrap_or_else(|| folder.join("none")))
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped());
    let mut web = Running::start(&mut command)?;
    let output = web.pipes().stdout.take().context("no output")?;
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address)?;
    ensure!(
        address.starts_with("http://"),
        "vconsole-web does not serve"
    );
    Ok(Demo {
        web,
        _host: host,
        origin: address.trim().trim_end_matches('/').to_owned(),
        token: String::from_utf8(made.stderr)?.trim().to_owned(),
    })
}
