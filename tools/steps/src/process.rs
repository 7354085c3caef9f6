// SPDX-License-Identifier: MIT
//! Started processes, and the guarantee that none survives this program.
//!
//! Every child heads its own process group, so that a terminal's Ctrl-C reaches only
//! us, and we end the children in order. Orphans of our children become ours
//! (`PR_SET_CHILD_SUBREAPER`), so a walk down from our own pid finds every process we
//! caused, in any group or session.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, set_child_subreaper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long children may take to end before they are killed.
const GRACE: Duration = Duration::from_secs(3);

/// How long killed children may take to end. One that waits for a device may never end.
const KILLED: Duration = Duration::from_secs(20);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Held while a child is started, so that an interrupt finds it or prevents it.
static STARTING: Mutex<()> = Mutex::new(());

/// A running child, killed with all its descendants when dropped.
pub struct Running {
    child: Child,
    what: String,
}

impl Running {
    /// Starts `command` in a process group of its own.
    pub fn start(command: &mut Command) -> Result<Self> {
        let what = command.get_program().to_string_lossy().into_owned();
        let starting = STARTING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if INTERRUPTED.load(Ordering::SeqCst) {
            drop(starting);
            stop_if_interrupted();
            unreachable!("the process ends while this thread is stopped");
        }
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        Ok(Self { child, what })
    }

    /// The child's pipes.
    pub fn pipes(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The child's status once it has ended.
    pub fn poll(&mut self) -> Result<Option<ExitStatus>> {
        let status = self
            .child
            .try_wait()
            .with_context(|| format!("waiting for {}", self.what))?;
        if status.is_some() {
            stop_if_interrupted();
        }
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
                end_tree(pid);
            }
            // The result no longer matters: the child is gone or was never started.
            let _ = self.child.wait();
        }
    }
}

/// Adopts orphans of our children and ends every process of ours on a signal. `restore`
/// puts the terminal back as it was.
pub fn end_children_on_signals(restore: fn()) -> Result<()> {
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _starting = STARTING.lock();
            INTERRUPTED.store(true, Ordering::SeqCst);
            end_children();
            restore();
            // The terminal may be gone.
            let _ = writeln!(std::io::stderr(), "interrupted: no process was left behind");
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Ends every process below us.
fn end_children() {
    end_tree(rustix::process::getpid());
}

/// Ends every process below us when dropped, also by a panic.
pub struct Family;

impl Drop for Family {
    fn drop(&mut self) {
        stop_if_interrupted();
        end_children();
    }
}

/// To be called when a child has ended: if that was because of a signal to us, its end
/// is not reported. The signal thread ends us.
pub fn stop_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Ends everything below `root`, and `root` unless that is us: first with SIGTERM, then
/// with SIGKILL.
fn end_tree(root: Pid) {
    let living = || {
        let mut pids = descendants(root);
        if root != rustix::process::getpid() {
            pids.push(root);
        }
        pids.retain(|&pid| stat(pid).is_some_and(|(_, state)| state != 'Z'));
        pids
    };
    let signal_all = |signal| {
        for pid in living() {
            // It may have ended meanwhile, which is intended.
            let _ = kill_process(pid, signal);
        }
    };
    // A look misses a process whose parent ends during it.
    let gone = || living().is_empty() && living().is_empty();
    signal_all(Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while !gone() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    // Repeated, as a process may start another before it is killed.
    let deadline = Instant::now() + KILLED;
    while !gone() && Instant::now() < deadline {
        signal_all(Signal::KILL);
        thread::sleep(Duration::from_millis(1));
    }
}

/// Every process below `root`.
fn descendants(root: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<Pid>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && let Some((parent, _)) = stat(pid)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        let below = children
            .remove(&pid.as_raw_nonzero().get())
            .unwrap_or_default();
        next.extend(&below);
        found.extend(below);
    }
    found
}

/// The parent and the state letter of a process, from `/proc/PID/stat`.
fn stat(pid: Pid) -> Option<(i32, char)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name, in brackets, may contain anything.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}
