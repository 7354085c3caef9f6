// SPDX-License-Identifier: MIT
//! A service manager that stores a daemon's descriptors, like systemd, and passes
//! them to the next daemon.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::FileType;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

/// The first inherited descriptor.
const FIRST_FD: i32 = 3;

type Kept = Arc<Mutex<BTreeMap<String, Vec<OwnedFd>>>>;

pub(crate) struct Manager {
    socket: PathBuf,
    kept: Kept,
}

impl Manager {
    pub(crate) fn new(socket: PathBuf) -> Self {
        let kept = Kept::default();
        let (inbox, store) = (UnixDatagram::bind(&socket).unwrap(), Arc::clone(&kept));
        std::thread::spawn(move || {
            loop {
                hear(&inbox, &store);
            }
        });
        Self { socket, kept }
    }

    /// The names of stored descriptors of consoles, which contain a hyphen.
    pub(crate) fn kept(&self) -> Vec<String> {
        let kept = self.kept.lock().unwrap();
        let names = kept.keys().filter(|name| name.contains('-'));
        names.cloned().collect()
    }

    /// Number of bytes in the pipes of input journals.
    pub(crate) fn typed(&self) -> u64 {
        let kept = self.kept.lock().unwrap();
        let typed = kept.iter().filter(|(name, _)| name.starts_with("typed"));
        let pipes = typed.flat_map(|(_, fds)| fds).filter(|fd| {
            let stat = rustix::fs::fstat(fd).unwrap();
            FileType::from_raw_mode(stat.st_mode) == FileType::Fifo
        });
        pipes
            .map(|pipe| rustix::io::ioctl_fionread(pipe).unwrap())
            .sum()
    }

    /// Prepares a command as started by this manager.
    pub(crate) fn prepare(&self, command: &mut Command) {
        let kept = self.kept.lock().unwrap();
        let all = kept
            .iter()
            .flat_map(|(name, fds)| fds.iter().map(move |fd| (name.as_str(), fd)));
        let (names, fds): (Vec<&str>, Vec<&OwnedFd>) = all.unzip();
        let mappings = fds
            .into_iter()
            .zip(FIRST_FD..)
            .map(|(fd, child_fd)| FdMapping {
                parent_fd: fd.try_clone().unwrap(),
                child_fd,
            });
        // Only the process itself can set its own pid.
        let mut started = Command::new("/bin/sh");
        started
            .args(["-c", "LISTEN_PID=$$ exec \"$0\""])
            .arg(command.get_program())
            .env("NOTIFY_SOCKET", &self.socket)
            .envs(
                command
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        if !kept.is_empty() {
            started
                .env("LISTEN_FDS", names.len().to_string())
                .env("LISTEN_FDNAMES", names.join(":"));
        }
        started.fd_mappings(mappings.collect()).unwrap();
        *command = started;
    }
}

/// Handles one message.
fn hear(inbox: &UnixDatagram, kept: &Kept) {
    let mut bytes = [0; 1024];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = rustix::net::recvmsg(inbox, &mut parts, &mut control, flags)
        .unwrap()
        .bytes;
    let fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|part| match part {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
    let Some(name) = text.lines().find_map(|line| line.strip_prefix("FDNAME=")) else {
        return;
    };
    let mut kept = kept.lock().unwrap();
    if text.contains("FDSTOREREMOVE=1") {
        kept.remove(name);
    } else if text.contains("FDSTORE=1") {
        assert!(text.contains("FDPOLL=0"), "an idle pty would be dropped");
        kept.entry(name.to_owned()).or_default().extend(fds);
    }
}
