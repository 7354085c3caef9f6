// SPDX-License-Identifier: MIT
//! A Xen host that runs the daemon.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::JoinHandle;

use serde_json::Value;
use vconsoled::{Config, Handle, Server};
use xen_io::DomId;
use xen_io::fake::Machine;

use crate::{Guest, PATIENCE, Program, Terminal, wait_for};

/// The host, including its daemon; both end when this is dropped.
pub struct Host {
    /// The folder for all files.
    pub dir: tempfile::TempDir,
    /// The hypervisor and xenstore.
    pub machine: Machine,
    config: Config,
    daemon: Option<(Handle, JoinHandle<io::Result<()>>)>,
}

impl Host {
    /// Starts a host without guests.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|_| ())
    }

    /// Starts a host whose daemon's configuration is changed by `change`.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        let xenstored = dir.path().join("xenstored");
        machine.store().listen(&xenstored).unwrap();
        let run = dir.path().join("run");
        let mut config = Config {
            state_dir: Some(run.join("state")),
            ..Config::default()
        };
        config.log.dir = dir.path().join("log");
        std::fs::create_dir(&config.log.dir).unwrap();
        config.sockets.control = Some(run.join("control.sock"));
        config.sockets.consoles = Some(run.join("consoles"));
        change(&mut config);
        let mut host = Self {
            dir,
            machine,
            config,
            daemon: None,
        };
        host.start_daemon();
        host
    }

    /// Starts the daemon again after it has ended.
    ///
    /// # Panics
    ///
    /// When it does not serve in time.
    pub fn start_daemon(&mut self) {
        self.await_locks();
        let platform = self.machine.platform().unwrap();
        let server = Server::new(platform, self.config.clone()).unwrap();
        let handle = server.handle();
        let (tell, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || server.run(|| tell.send(()).unwrap()));
        ready.recv_timeout(PATIENCE).expect("the daemon serves");
        self.daemon = Some((handle, thread));
    }

    /// Waits until the last daemon's files are closed everywhere: a process that
    /// another test is just starting has them for a moment, because the daemon is a
    /// thread of this process.
    fn await_locks(&self) {
        let state = self.config.state_dir.as_ref();
        let entries = state.and_then(|dir| std::fs::read_dir(dir).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let inode = entry.metadata().unwrap().ino();
            wait_for("a file that nobody has locked", || {
                let locks = std::fs::read_to_string("/proc/locks").unwrap();
                (!locks.contains(&format!(":{inode} "))).then_some(())
            });
        }
    }

    /// Ends the daemon in an orderly way.
    ///
    /// # Panics
    ///
    /// When it ends with an error.
    pub fn stop_daemon(&mut self) {
        if let Some((handle, thread)) = self.daemon.take() {
            handle.stop();
            thread.join().unwrap().unwrap();
        }
    }

    /// Makes the daemon reopen its logs.
    pub fn reopen_logs(&self) {
        if let Some((handle, _)) = &self.daemon {
            handle.reopen_logs();
        }
    }

    /// Creates a domain with both consoles; returns its number, and its ends of the
    /// PV console and of the UART.
    ///
    /// # Panics
    ///
    /// When it is not served in time.
    #[must_use]
    pub fn guest(&self, name: &str) -> (DomId, Guest, Guest) {
        let domid = self.machine.create_domain(name).unwrap();
        let pv = Guest::new(self.machine.add_pv_console(domid).unwrap());
        let vuart = Guest::new(self.machine.add_private_vuart(domid).unwrap());
        self.machine.introduce(domid);
        wait_for("both consoles", || {
            let served = self.consoles();
            let ours = served
                .iter()
                .filter(|one| one["domid"] == domid.0 && one["state"] == "connected");
            (ours.count() == 2).then_some(())
        });
        (domid, pv, vuart)
    }

    /// The folder of the daemon's sockets: `/run/vconsoled` elsewhere.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// The control socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.run().join("control.sock")
    }

    /// The daemon's consoles, as the client prints them.
    ///
    /// # Panics
    ///
    /// When the client fails.
    #[must_use]
    pub fn consoles(&self) -> Vec<Value> {
        let output = self.vconsole("list --json").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["consoles"].as_array().unwrap().clone()
    }

    /// The same, or nothing while there is no daemon.
    ///
    /// # Panics
    ///
    /// When the client cannot be run.
    #[must_use]
    pub fn consoles_or_none(&self) -> Vec<Value> {
        match &self.daemon {
            Some(_) => self.consoles(),
            None => Vec::new(),
        }
    }

    /// One console of the first domain.
    ///
    /// # Panics
    ///
    /// When there is none of that name.
    #[must_use]
    pub fn console(&self, name: &str) -> Value {
        let consoles = self.consoles();
        let found = consoles.iter().find(|one| one["console"] == name);
        found
            .cloned()
            .unwrap_or_else(|| panic!("no {name}: {consoles:?}"))
    }

    /// Waits until a console of the first domain has so many viewers.
    pub fn until_viewers(&self, console: &str, count: usize) {
        wait_for(&format!("{count} viewers of {console}"), || {
            (self.console(console)["viewers"] == count).then_some(())
        });
    }

    /// The client with these arguments, for this host.
    #[must_use]
    pub fn vconsole(&self, arguments: &str) -> Command {
        let mut command = Command::new(vconsole());
        command.args(arguments.split_whitespace());
        self.environment(&mut command);
        command
    }

    /// The client by its other name, for this host.
    ///
    /// # Panics
    ///
    /// When the link cannot be made.
    #[must_use]
    pub fn xenconsole(&self, arguments: &str) -> Command {
        let link = self.dir.path().join("xenconsole");
        if !link.exists() {
            std::os::unix::fs::symlink(vconsole(), &link).unwrap();
        }
        let mut command = Command::new(link);
        command.args(arguments.split_whitespace());
        self.environment(&mut command);
        command
    }

    /// A shell line on this host: `/run/vconsoled` is replaced by
    /// [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// When the client cannot be built.
    #[must_use]
    pub fn shell(&self, line: &str) -> Command {
        let line = line.replace("/run/vconsoled", &self.run().to_string_lossy());
        let ours = vconsole().parent().expect("a folder");
        // The programs that `cargo xtask test` unpacks are beside it.
        let unpacked = ours.with_file_name("programs");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = [
            ours.display().to_string(),
            path,
            unpacked.join("usr/bin").display().to_string(),
            unpacked.join("usr/sbin").display().to_string(),
        ];
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env("PATH", path.join(":"));
        self.environment(&mut command);
        command
    }

    /// A shell line with a terminal of its own, as after a login.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn login(&self, user: &Terminal, line: &str) -> Program {
        let inner = self.shell(line);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(inner.get_program());
        command.args(inner.get_args()).env("TERM", "vt100");
        for (name, value) in inner.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        user.run(command)
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("XENSTORED_PATH", self.dir.path().join("xenstored"))
            .env("VCONSOLED_CONTROL", self.control());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some((handle, thread)) = self.daemon.take() {
            handle.stop();
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

/// The client's program. It is built first, because it belongs to another package.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn vconsole() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["build", "--locked", "--quiet", "--package", "vconsole"])
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "vconsole is not built"
        );
        // .../debug/deps/this-test
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("vconsole")
    })
}
