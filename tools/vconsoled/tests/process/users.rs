// SPDX-License-Identifier: MIT
//! Users other than root on a host with rules. Only root can connect as another
//! user, and a thread is enough: the kernel keeps identities by thread.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Uid};
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use vconsoled::Config;
use vconsoled::config::{Audit, Sockets};
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::domain_path;

use crate::peer::{Attached, Frame, line};
use crate::support::{Daemon, Heard, PATIENCE, PvDriver, UartDriver, guest, until_looked_at};

/// A user, and its groups besides its own.
#[derive(Clone, Copy)]
pub(crate) struct User(pub(crate) u32, pub(crate) &'static [u32]);

pub(crate) const ALICE: User = User(1000, &[]);
pub(crate) const BOB: User = User(1001, &[2000]);
pub(crate) const CAROL: User = User(1002, &[]);

impl User {
    /// Runs `work` as this user.
    pub(crate) fn act<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let act = || {
            let groups: Vec<Gid> = self.1.iter().map(|group| Gid::from_raw(*group)).collect();
            rustix::thread::set_thread_groups(&groups).unwrap();
            let (uid, gid) = (Uid::from_raw(self.0), Gid::from_raw(self.0));
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(act).join().unwrap())
    }

    pub(crate) fn try_connect(self, socket: &Path) -> std::io::Result<UnixStream> {
        let stream = self.act(|| UnixStream::connect(socket))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    pub(crate) fn connect(self, socket: &Path) -> UnixStream {
        self.try_connect(socket)
            .unwrap_or_else(|error| panic!("{} for {}: {error}", socket.display(), self.0))
    }

    /// The line that answers a request, as JSON.
    pub(crate) fn ask(self, socket: &Path, request: &str) -> Value {
        let mut stream = self.connect(socket);
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        serde_json::from_str(&line(&mut stream)).unwrap()
    }

    /// The consoles that this user sees.
    pub(crate) fn sees(self, socket: &Path) -> BTreeSet<String> {
        let status = self.ask(socket, "status");
        let rows = status["consoles"].as_array().unwrap().iter();
        rows.map(|row| format!("{}/{}", row["name"].as_str().unwrap(), row["console"]))
            .map(|name| name.replace('"', ""))
            .collect()
    }

    pub(crate) fn attach(self, socket: &Path, members: &str) -> Result<Attached, Value> {
        let mut stream = self.connect(socket);
        let request = format!("{{\"version\":1,\"attach\":{{{members}}}}}\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&line(&mut stream)).unwrap();
        if answer["error"].is_null() {
            Ok(Attached::of(stream, answer))
        } else {
            Err(answer)
        }
    }

    /// The output of a console's own socket until it closes.
    pub(crate) fn refusal(self, socket: &Path) -> String {
        let mut said = String::new();
        self.connect(socket).read_to_string(&mut said).unwrap();
        said
    }
}

pub(crate) fn of(name: &str) -> String {
    format!(r#""name":"{name}","console":"pv0""#)
}

/// A host with its daemon.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) machine: Machine,
    daemon: Daemon,
    /// The daemon's messages.
    pub(crate) heard: Heard,
}

impl Host {
    pub(crate) fn new(rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        let machine = Machine::new();
        let (platform, heard) = (machine.platform().unwrap(), Heard::default());
        let config = config(dir.path(), rules);
        let (daemon, ready) = Daemon::begin_told(platform, config, &heard, LevelFilter::INFO);
        ready.recv_timeout(PATIENCE).expect("the daemon serves");
        Self {
            dir,
            machine,
            daemon,
            heard,
        }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("run").join(name)
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.at("control.sock")
    }

    pub(crate) fn guest(&self, name: &str) -> (DomId, PvDriver, UartDriver) {
        let guest = guest(&self.machine, name);
        until_looked_at(&self.machine);
        guest
    }

    pub(crate) fn reload(&self, rules: &str) {
        self.daemon
            .handle
            .reload(Ok(config(self.dir.path(), rules)));
        // The reload is applied in the iteration that handles discovery's next
        // reports, or before.
        until_looked_at(&self.machine);
    }

    pub(crate) fn write(&self, domid: DomId, node: &str, value: &str) {
        let path = format!("{}/{node}", domain_path(domid));
        let mut store = self.machine.toolstack().unwrap();
        store.write(&path, value).unwrap();
    }

    pub(crate) fn rename(&self, domid: DomId, name: &str) {
        self.write(domid, "name", name);
        until_looked_at(&self.machine);
    }

    /// Number of denied requests of a kind.
    pub(crate) fn denied(&self, request: &str) -> u64 {
        let mut stream = UnixStream::connect(self.at("metrics.sock")).unwrap();
        stream.write_all(b"\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let start = format!("vconsoled_denied_total{{request=\"{request}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&start));
        count.unwrap().parse().unwrap()
    }
}

fn config(dir: &Path, rules: &str) -> Config {
    let run = dir.join("run");
    Config {
        sockets: Sockets {
            control: Some(run.join("control.sock")),
            metrics: Some(run.join("metrics.sock")),
            consoles: Some(run.join("consoles")),
            ..Sockets::default()
        },
        access: Config::parse(rules).unwrap().access,
        audit: Audit {
            file: Some(dir.join("audit.log")),
            ..Audit::default()
        },
        ..Config::default()
    }
}

/// Alice may watch web's consoles; the group 2000 has more rights on its PV console.
pub(crate) const WEB: &str = "[[access]]\nusers = ['1000']\ndomains = ['web']\nrights = ['watch']\n\
    [[access]]\ngroups = ['2000']\ndomains = ['web']\nconsoles = ['pv*']\n\
    rights = ['type', 'log', 'break']\n\
    [[access]]\ngroups = ['2000']\ndomains = ['web']\nconsoles = ['vuart0']\n\
    rights = ['break']\n";

pub(crate) fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or_default()
}

/// Reads a session to its end: the frames before it, and the reason.
pub(crate) fn ended(session: &mut Attached) -> (Vec<Frame>, String) {
    let mut before = Vec::new();
    loop {
        match session.frame() {
            Frame::Ended(why) => return (before, why),
            other => before.push(other),
        }
    }
}
