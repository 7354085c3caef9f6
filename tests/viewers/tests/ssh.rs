// SPDX-License-Identifier: MIT
//! A tenant who connects by ssh: OpenSSH's server on the loopback interface, as in
//! docs/use/integrations/ssh.md. The server requires users of its own, so it runs
//! in a mount namespace with its own user database, which requires root.

use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Trial};
use rustix::process::Signal;
use vconsoled::Config;
use viewers::{Host, Program, vconsole, wait_for};

const ALICE: u32 = 1000;
const RULES: &str = "[[access]]\nusers = [\"1000\"]\ndomains = [\"web\"]\n\
    rights = [\"watch\", \"log\", \"type\"]\n";

fn main() -> ExitCode {
    let name = "a_tenant_reaches_its_consoles_and_nothing_else";
    let missing = missing();
    let kind = missing.unwrap_or("by sshd");
    let trial = Trial::test(name, || {
        a_tenant_reaches_its_consoles_and_nothing_else();
        Ok(())
    });
    let trial = trial.with_kind(kind).with_ignored_flag(missing.is_some());
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// The missing prerequisite, if any.
fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        Some("needs root")
    } else if sshd().is_none() {
        Some("needs sshd")
    } else if !Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        Some("needs mounts")
    } else {
        None
    }
}

/// The installed server, or the one that is unpacked beside this program.
fn sshd() -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().nth(3).unwrap();
    let places = [PathBuf::from("/"), target.join("programs")];
    let mut places = places.iter().map(|root| root.join("usr/sbin/sshd"));
    places.find(|sshd| sshd.exists())
}

/// A server, and the keys that it accepts.
struct Server {
    dir: PathBuf,
    port: u16,
    sshd: Program,
}

impl Server {
    fn start(host: &Host) -> Self {
        let dir = host.dir.path().to_owned();
        fs::set_permissions(&dir, Permissions::from_mode(0o711)).unwrap();
        let shell = dir.join("vconsole-login");
        fs::copy(vconsole(), &shell).unwrap();
        for name in ["server", "free", "forced"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(dir.join(name))
                .status();
            assert!(made.unwrap().success());
        }
        let key = |name: &str| fs::read_to_string(dir.join(name).with_extension("pub")).unwrap();
        let keys = format!(
            "restrict,pty {}restrict,command=\"web\" {}",
            key("free"),
            key("forced")
        );
        put(&dir.join("authorized"), &keys);
        let users = format!(
            "root:x:0:0::/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n\
             alice:x:{ALICE}:{ALICE}::/:{}\n",
            shell.display()
        );
        put(&dir.join("passwd"), &users);
        put(
            &dir.join("group"),
            &format!("root:x:0:\nalice:x:{ALICE}:\nnogroup:x:65534:\n"),
        );
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = dir.display();
        let settings = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {at}/server\nPidFile none\nUsePAM no\n\
             StrictModes no\nAuthorizedKeysFile {at}/authorized\nPasswordAuthentication no\n\
             PrintMotd no\nPrintLastLog no\nDisableForwarding yes\nPermitUserRC no\n\
             Subsystem sftp /usr/lib/openssh/sftp-server\n"
        );
        put(&dir.join("config"), &settings);
        // The daemon's sockets are at the login shell's default path.
        let line = format!(
            "mount --bind {at}/passwd /etc/passwd && mount --bind {at}/group /etc/group && \
             mkdir {at}/mnt && mount --bind {at}/run {at}/mnt && mount -t tmpfs none /run && \
             mkdir -p /run/sshd /run/vconsoled && mount --bind {at}/mnt /run/vconsoled && \
             exec {} -D -e -f {at}/config",
            sshd().unwrap().display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &line]);
        let sshd = Program::piped(command);
        wait_for("the server", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { dir, port, sshd }
    }

    /// The ssh client with one of the keys, and a command for the server.
    fn ssh(&self, key: &str, words: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-p", &self.port.to_string(), "-i"]);
        command.arg(self.dir.join(key));
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
        ] {
            command.args(["-o", option]);
        }
        command.arg("alice@127.0.0.1").args(words);
        command
    }

    fn output(&self, key: &str, words: &[&str]) -> Output {
        self.ssh(key, words).stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.sshd.signal(Signal::TERM);
        self.sshd.wait();
    }
}

fn put(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
}

fn a_tenant_reaches_its_consoles_and_nothing_else() {
    let host = Host::with(|config| config.access = Config::parse(RULES).unwrap().access);
    let (_, mut pv, mut vuart) = host.guest("web");
    let (_, mut secret, _vuart) = host.guest("db");
    pv.send(b"welcome");
    vuart.send(b"by the uart");
    secret.send(b"secret");
    let server = Server::start(&host);

    // The only guest in the rules, and each of its consoles by name.
    for (key, words, said) in [
        ("free", &[][..], "welcome"),
        ("free", &["web/vuart0"], "by the uart"),
        ("forced", &[], "welcome"),
        ("forced", &["web"], "welcome"),
    ] {
        let mut session = Program::piped(server.ssh(key, words));
        assert_eq!(session.read(said.len()), said.as_bytes(), "{key} {words:?}");
        session.write(b"typed");
        let guest = if words == ["web/vuart0"] {
            &mut vuart
        } else {
            &mut pv
        };
        assert_eq!(guest.receive(5), b"typed", "{key} {words:?}");
        session.signal(Signal::TERM);
        session.wait();
    }
    let evil = server.dir.join("evil");
    let touch = format!("touch {}", evil.display());
    for (key, words) in [
        ("free", &["db"][..]),
        ("free", &["db/pv0"]),
        ("free", &[&touch]),
        ("free", &["sh"]),
        ("free", &["web;", &touch]),
        ("free", &["-s", "sftp"]),
        ("free", &["scp", "-t", "/tmp"]),
        ("forced", &["db"]),
        ("forced", &["web/vuart0"]),
        ("forced", &[&touch]),
    ] {
        let output = server.output(key, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
        // A subsystem's messages on standard error do not reach the client.
        if words.first() == Some(&"-s") {
            continue;
        }
        let why = ["is not the name of a console", "only console"];
        assert!(
            why.iter().any(|why| said.contains(why)),
            "{words:?}: {said}"
        );
    }
    assert!(!evil.exists());
}
