// SPDX-License-Identifier: MIT
//! A service manager that stores descriptors for the daemon and passes them to the
//! next one, as systemd does: for a dom0 without systemd, and as often as a
//! scenario requires.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

/// The first inherited descriptor.
const FIRST_FD: i32 = 3;

#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<String, Vec<OwnedFd>>>);

impl Kept {
    fn by_name(&self) -> MutexGuard<'_, BTreeMap<String, Vec<OwnedFd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stored descriptors, and the socket for them.
#[derive(Debug)]
pub(crate) struct Keeper {
    socket: String,
    kept: Arc<Kept>,
}

impl Keeper {
    /// Listens at a path. The daemon writes there as an unprivileged user.
    pub(crate) fn new(path: &str) -> Result<Self> {
        // Left by an earlier run.
        let _ = fs::remove_file(path);
        let inbox = UnixDatagram::bind(path).with_context(|| format!("making {path}"))?;
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        let kept = Arc::new(Kept::default());
        let heard = Arc::clone(&kept);
        thread::spawn(move || while hear(&inbox, &heard).is_ok() {});
        Ok(Self {
            socket: path.to_owned(),
            kept,
        })
    }

    /// A command whose program inherits all stored descriptors.
    pub(crate) fn command(&self, words: &[String]) -> Result<Command> {
        let kept = self.kept.by_name();
        let mut names = Vec::new();
        let mut mappings = Vec::new();
        let all = kept
            .iter()
            .flat_map(|(name, fds)| fds.iter().map(move |fd| (name.as_str(), fd)));
        for ((name, fd), child_fd) in all.zip(FIRST_FD..) {
            names.push(name);
            mappings.push(FdMapping {
                parent_fd: fd.try_clone()?,
                child_fd,
            });
        }
        // Only the process itself has its number.
        let mut command = Command::new("sh");
        command
            .args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"])
            .args(words)
            .env("NOTIFY_SOCKET", &self.socket);
        if !names.is_empty() {
            command
                .env("LISTEN_FDS", names.len().to_string())
                .env("LISTEN_FDNAMES", names.join(":"));
        }
        command.fd_mappings(mappings)?;
        Ok(command)
    }
}

/// Handles one message (`sd_notify(3)`).
fn hear(inbox: &UnixDatagram, kept: &Kept) -> Result<()> {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = rustix::net::recvmsg(inbox, &mut parts, &mut control, flags)?.bytes;
    let fds = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds: Vec<OwnedFd> = fds.flatten().collect();
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let Some(name) = text.lines().find_map(|line| line.strip_prefix("FDNAME=")) else {
        return Ok(());
    };
    let mut kept = kept.by_name();
    if text.contains("FDSTOREREMOVE=1") {
        kept.remove(name);
    } else if text.contains("FDSTORE=1") {
        kept.entry(name.to_owned()).or_default().extend(fds);
    }
    Ok(())
}
