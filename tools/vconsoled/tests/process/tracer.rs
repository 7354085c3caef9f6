// SPDX-License-Identifier: MIT
//! A traced daemon (ptrace(2)): stopped at each system call, so that it can be
//! killed there.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::host::Running;
use crate::support::{PATIENCE, wait_for};

/// Time without a system call after which a waiting daemon counts as idle.
const REST: Duration = Duration::from_millis(100);

/// Some or all threads of a process, traced by this thread.
pub(crate) struct Tracer {
    group: Pid,
    threads: Vec<Pid>,
}

impl Tracer {
    /// Stops all threads.
    pub(crate) fn seize(child: &Child) -> Self {
        Self::stop(child, |_| true)
    }

    /// Stops the threads with that name until this is dropped. A thread gets its
    /// name when it first runs.
    pub(crate) fn hold(child: &Child, name: &str) -> Self {
        wait_for(&format!("a thread called {name}"), || {
            let named = threads(child).any(|(_, one)| one == name);
            named.then_some(())
        });
        Self::stop(child, |one| one == name)
    }

    fn stop(child: &Child, which: impl Fn(&str) -> bool) -> Self {
        let pid = i32::try_from(child.id()).unwrap();
        let named = threads(child).filter(|(_, name)| which(name));
        let threads: Vec<Pid> = named.map(|(thread, _)| thread).collect();
        for thread in &threads {
            let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
            ptrace::seize(*thread, options).expect("a child of ours can be traced");
            ptrace::interrupt(*thread).unwrap();
        }
        let tracer = Self {
            group: Pid::from_raw(-pid),
            threads,
        };
        for _ in &tracer.threads {
            let stopped = tracer.wait(PATIENCE).expect("it stops");
            assert!(
                matches!(stopped, WaitStatus::PtraceEvent(..)),
                "{stopped:?}"
            );
        }
        tracer
    }

    /// Runs the process until it was stopped `stops` times, at the beginning or
    /// the end of a system call, or until it is idle and `done`; returns the
    /// number of stops.
    pub(crate) fn run(&mut self, stops: usize, done: impl Fn() -> bool) -> usize {
        let deadline = Instant::now() + PATIENCE;
        for thread in &self.threads {
            ptrace::syscall(*thread, None).unwrap();
        }
        let mut seen = 0;
        while seen < stops {
            match self.wait(REST) {
                None if done() && self.waits() => break,
                None => assert!(Instant::now() < deadline, "it does not get done"),
                Some(WaitStatus::PtraceSyscall(thread)) => {
                    seen += 1;
                    if seen < stops {
                        ptrace::syscall(thread, None).unwrap();
                    }
                }
                Some(other) => panic!("{other:?}"),
            }
        }
        seen
    }

    /// Runs the process until it is `done`, with each system call delayed by
    /// `pause`.
    pub(crate) fn slow_down(&mut self, pause: Duration, done: impl Fn() -> bool) {
        for thread in &self.threads {
            ptrace::syscall(*thread, None).unwrap();
        }
        while !done() {
            if let Some(WaitStatus::PtraceSyscall(thread)) = self.wait(REST) {
                std::thread::sleep(pause);
                ptrace::syscall(thread, None).unwrap();
            }
        }
    }

    /// Kills the process at its current stop.
    pub(crate) fn kill(self, mut daemon: Running) {
        daemon.0.kill().unwrap();
        // A traced thread is not gone before its tracer has waited for it.
        for thread in &self.threads {
            while *thread != self.leader()
                && !matches!(
                    waitpid(*thread, Some(WaitPidFlag::__WALL)),
                    Ok(WaitStatus::Signaled(..) | WaitStatus::Exited(..)) | Err(Errno::ECHILD)
                )
            {}
        }
        daemon.0.wait().unwrap();
    }

    /// Whether each thread is blocked, but not runnable and not stopped by the
    /// tracer.
    fn waits(&self) -> bool {
        self.threads.iter().all(|thread| {
            let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
            // The state follows the name, which may contain anything.
            let (_, state) = stat.rsplit_once(") ").unwrap();
            state.starts_with('S')
        })
    }

    fn leader(&self) -> Pid {
        Pid::from_raw(-self.group.as_raw())
    }

    /// The next stop within this time.
    fn wait(&self, patience: Duration) -> Option<WaitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
            match waitpid(self.group, Some(flags)) {
                Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_micros(50));
                }
                Ok(WaitStatus::StillAlive) => return None,
                Ok(status) => return Some(status),
                Err(Errno::EINTR) => {}
                Err(error) => panic!("waiting for a traced process: {error}"),
            }
        }
    }
}

/// The threads of a process, and their names.
fn threads(child: &Child) -> impl Iterator<Item = (Pid, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    tasks.map(|entry| {
        let path = entry.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap();
        let thread = path.file_name().unwrap().to_str().unwrap().parse();
        (Pid::from_raw(thread.unwrap()), name.trim_end().to_owned())
    })
}

impl Drop for Tracer {
    fn drop(&mut self) {
        for thread in &self.threads {
            if ptrace::detach(*thread, None).is_ok() || ptrace::interrupt(*thread).is_err() {
                continue;
            }
            // It was running, and must stop before it can be detached.
            let _stopped = waitpid(*thread, Some(WaitPidFlag::__WALL));
            let _gone = ptrace::detach(*thread, None);
        }
    }
}
