// SPDX-License-Identifier: MIT
//! The pages behind nginx as in docs/use/web.md, literally except for paths and the
//! port. nginx asks PAM, with a service of the test's own. Requires root, and
//! Debian's nginx with its module for PAM; otherwise the tests are ignored and the
//! reason is printed.

#[path = "../web/client.rs"]
#[expect(dead_code, reason = "the other tests use all of it")]
mod client;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tungstenite::client::IntoClientRequest as _;
use viewers::{Host, PATIENCE, wait_for};

use client::{Answer, Terminal, Web, ask, host, member};

const PAGE: &str = include_str!("../../../../docs/use/web.md");
const PROGRAM: &str = "/usr/sbin/nginx";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_http_auth_pam_module.so";
/// As in the page.
const SOCKET: &str = "/run/vconsole-web/web.sock";
const ORIGIN: &str = "https://consoles.example.com";

/// alice with her password, alice with another, and a user whom PAM does not have.
const RIGHT: &str = "Basic YWxpY2U6c2VjcmV0";
const WRONG: &str = "Basic YWxpY2U6d3Jvbmc=";
const UNKNOWN: &str = "Basic Ym9iOnNlY3JldA==";

/// The PAM service: a script checks the password.
const SERVICE: &str = "auth required pam_exec.so expose_authtok quiet SCRIPT\n\
                       account required pam_permit.so\n";
const SCRIPT: &str = "#!/bin/sh\n[ \"$PAM_USER:$(tr -d '\\0')\" = alice:secret ]\n";

fn main() -> ExitCode {
    let missing = [
        (PROGRAM, "needs nginx"),
        (MODULE, "needs nginx's module for PAM"),
    ]
    .into_iter()
    .find_map(|(path, why)| (!Path::new(path).exists()).then_some(why))
    .or_else(|| (!geteuid().is_root()).then_some("needs root"));
    let trials = [
        ("nginx_authenticates_tenants_by_pam", pam as fn()),
        ("nginx_admits_tenants_of_its_file", file),
        ("tries_to_guess_a_password_run_out", tries),
    ];
    let trials = trials.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        trial
            .with_kind(missing.unwrap_or("behind nginx"))
            .with_ignored_flag(missing.is_some())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// The page's first block with that beginning, without its indentation.
fn block(begin: &str) -> String {
    let lines = PAGE.lines().skip_while(|line| line.trim() != begin);
    let block: Vec<&str> = lines.take_while(|line| line.starts_with("    ")).collect();
    assert!(!block.is_empty(), "no {begin} on the page");
    block.join("\n")
}

/// A line of the page, by its beginning.
fn line(begin: &str) -> &'static str {
    let mut lines = PAGE.lines().map(str::trim);
    lines.find(|line| line.starts_with(begin)).expect("a line")
}

struct Nginx {
    process: Child,
    _web: Web,
    socket: PathBuf,
}

impl Nginx {
    /// Replaces the page's lines for PAM by `instead`, if given.
    fn start(host: &Host, instead: Option<&str>) -> Self {
        let dir = host.dir.path();
        // nginx's workers run as another user.
        fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
        let [web_socket, socket, passwords, script, config, pam] = [
            "web.sock",
            "nginx.sock",
            "passwords",
            "check",
            "nginx.conf",
            "pam.d",
        ]
        .map(|name| dir.join(name));
        let words = line("vconsole-web --proxy-socket")
            .split_whitespace()
            .skip(1);
        let web_path = web_socket.to_str().unwrap();
        let words = words.map(|word| if word == SOCKET { web_path } else { word });
        let web = Web::with(host, &words.collect::<Vec<_>>(), "");
        fs::create_dir(&pam).unwrap();
        let service = SERVICE.replace("SCRIPT", script.to_str().unwrap());
        fs::write(pam.join("vconsole-web"), service).unwrap();
        terminal::install(&script, SCRIPT);
        fs::write(&passwords, "alice:{PLAIN}secret\n").unwrap();
        fs::set_permissions(&passwords, Permissions::from_mode(0o644)).unwrap();
        let mut location = block("location / {").replace(SOCKET, web_path);
        if let Some(instead) = instead {
            let lines = location.lines();
            let kept: Vec<&str> = lines.filter(|line| !line.contains("auth_pam")).collect();
            location = kept.join("\n").replace("{\n", &format!("{{\n{instead}\n"));
        }
        let passwords = passwords.to_str().unwrap();
        let location = location.replace("/etc/nginx/consoles.passwd", passwords);
        let zone = line("limit_req_zone");
        let at = dir.display();
        let text = format!(
            "load_module {MODULE};\nuser www-data;\ndaemon off;\npid {at}/pid;\n\
             error_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\n\
             scgi_temp_path {at}/scgi;\n{zone}\n\
             server {{\nlisten unix:{};\n{location}\n}}\n}}\n",
            socket.display()
        );
        fs::write(&config, text).unwrap();
        let process = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg("mount --bind \"$1\" /etc/pam.d && exec \"$2\" -e stderr -c \"$3\"")
            .arg("sh")
            .args([pam.as_path(), Path::new(PROGRAM), config.as_path()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self {
            process,
            _web: web,
            socket,
        };
        wait_for("nginx", || UnixStream::connect(&nginx.socket).ok());
        nginx
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn get(&self, headers: &[(&str, &str)]) -> Answer {
        ask(
            self.connect(),
            "consoles.example.com",
            "GET",
            "/",
            headers,
            None,
        )
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // By a signal, so that nginx ends its workers.
        if let Ok(pid) = i32::try_from(self.process.id())
            && let Some(pid) = Pid::from_raw(pid)
        {
            let _gone = kill_process(pid, Signal::TERM);
        }
        let _ended = self.process.wait();
    }
}

/// Only alice gets in, as alice.
fn asks(nginx: &Nginx) {
    for headers in [
        &[][..],
        &[("authorization", WRONG)],
        &[("authorization", UNKNOWN)],
        &[("x-remote-user", "alice")],
    ] {
        let refused = nginx.get(headers);
        assert_eq!(refused.status, 401, "{headers:?}: {refused:?}");
    }
    let list = nginx.get(&[("authorization", RIGHT), ("x-remote-user", "bob")]);
    assert!(list.body.contains("<span>alice</span>"), "{list:?}");
    assert!(list.body.contains("/view?c=pv0/web\""), "{list:?}");
}

fn pam() {
    let host = host();
    let (_, mut pv, _) = host.guest("web");
    let nginx = Nginx::start(&host, None);
    asks(&nginx);
    let address = "ws://consoles.example.com/ws?c=pv0/web&mode=rw";
    let mut request = address.into_client_request().unwrap();
    for (name, value) in [("authorization", RIGHT), ("origin", ORIGIN)] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (socket, _) = tungstenite::client(request, nginx.connect()).unwrap();
    let mut terminal = Terminal(socket);
    assert_eq!(member(&terminal.event(), "mode"), "rw");
    terminal.type_in(b"ls");
    assert_eq!(pv.receive(2), b"ls");
    pv.send(b"echo");
    assert_eq!(terminal.read(4), b"echo");
}

fn file() {
    let host = host();
    let _guest = host.guest("web");
    let lines = ["auth_basic \"", "auth_basic_user_file"].map(line);
    asks(&Nginx::start(&host, Some(&lines.join("\n"))));
}

fn tries() {
    let host = host();
    let nginx = Nginx::start(&host, None);
    let mut refused = 0;
    // More than the page's rate limit allows at once and during these requests.
    let denied = (0..2000).find(|_| {
        refused += 1;
        nginx.get(&[("authorization", WRONG)]).status == 429
    });
    assert!(denied.is_some(), "{refused} tries");
    assert!(refused > 20, "a page takes as many requests at once");
}
