// SPDX-License-Identifier: MIT
//! A directory of sockets, two a console, that speak plain bytes: for programs
//! that know nothing of us.
//!
//! ```text
//! DIR/3/vuart0.sock         reads and types
//! DIR/3/vuart0.ro.sock      reads
//! DIR/by-name/guest         -> ../3
//! ```
//!
//! Nobody else may change the directories; who may connect is for the sockets
//! to say. Every step is taken from an open directory, never through a link.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use mio::Registry;
use mio::Token;
use mio::net::{UnixListener, UnixStream};
use nix::unistd::Group;
use rustix::fs::{AtFlags, Dir, FileType, Mode as Permissions, OFlags};
use rustix::io::Errno;
use xen_io::DomId;

use crate::attach::Mode;
use crate::listener::Access;
use crate::log::is_plain;

/// Everybody may look.
const DIRECTORY: Permissions = Permissions::from_raw_mode(0o755);
const BY_NAME: &str = "by-name";

/// The directory, ours while this lives.
pub(crate) struct Sockets {
    path: PathBuf,
    dir: OwnedFd,
    by_name: OwnedFd,
}

impl Sockets {
    /// Makes the directory, and takes away what a daemon that was killed left
    /// in it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let dir = directory(rustix::fs::CWD, path)?;
        let by_name = directory(&dir, Path::new(BY_NAME))?;
        let sockets = Self {
            path: path.to_owned(),
            dir,
            by_name,
        };
        sockets.sweep()?;
        Ok(sockets)
    }

    /// Opens the door to a console.
    pub(crate) fn listen(
        &self,
        domid: DomId,
        console: &str,
        mode: Mode,
        access: Access,
    ) -> io::Result<Door> {
        let dir = directory(&self.dir, Path::new(&domid.to_string()))?;
        let file = match mode {
            Mode::ReadWrite => format!("{console}.sock"),
            Mode::ReadOnly => format!("{console}.ro.sock"),
        };
        remove_socket(&dir, &file)?;
        let socket = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
            None,
        )?;
        // Before it has a name, so that it never has other permissions.
        rustix::fs::fchmod(&socket, Permissions::from_raw_mode(access.mode.0))?;
        // A short name of the directory, whatever its path and links in it.
        let address = format!("/proc/self/fd/{}/{file}", dir.as_raw_fd());
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(address)?)?;
        if let Some(name) = access.group {
            let group = Group::from_name(name)?
                .ok_or_else(|| io::Error::other(format!("there is no group {name}")))?;
            let gid = rustix::fs::Gid::from_raw(group.gid.as_raw());
            rustix::fs::chownat(&dir, &file, None, Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::net::listen(&socket, 16)?;
        let inode = rustix::fs::statat(&dir, &file, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
        let listener = std::os::unix::net::UnixListener::from(socket);
        Ok(Door {
            listener: UnixListener::from_std(listener),
            mode,
            dir,
            name: file,
            inode,
        })
    }

    /// Lets a domain's directory be found by the domain's name.
    pub(crate) fn link(&self, domid: DomId, name: &str) -> io::Result<()> {
        if !is_plain(name) {
            return Ok(());
        }
        // The newest of that name is meant, as after a reboot.
        match rustix::fs::unlinkat(&self.by_name, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        rustix::fs::symlinkat(format!("../{domid}"), &self.by_name, name)?;
        Ok(())
    }

    /// Takes away a domain's directory, from which all doors are gone, and its
    /// name.
    pub(crate) fn forget(&self, domid: DomId, name: &str) {
        let ours = format!("../{domid}");
        if is_plain(name)
            && rustix::fs::readlinkat(&self.by_name, name, Vec::new())
                .is_ok_and(|target| target.as_bytes() == ours.as_bytes())
        {
            let _gone = rustix::fs::unlinkat(&self.by_name, name, AtFlags::empty());
        }
        // Not if another console is served still.
        let _gone = rustix::fs::unlinkat(&self.dir, domid.to_string(), AtFlags::REMOVEDIR);
    }

    fn sweep(&self) -> io::Result<()> {
        for name in names(&self.by_name)? {
            let _kept = rustix::fs::unlinkat(&self.by_name, &name, AtFlags::empty());
        }
        for domid in names(&self.dir)? {
            if domid.parse::<u16>().is_err() {
                continue;
            }
            let Ok(dir) = directory(&self.dir, Path::new(&domid)) else {
                continue;
            };
            for name in names(&dir)? {
                // What is no socket is not ours, and stays.
                let _kept = remove_socket(&dir, &name);
            }
            let _kept = rustix::fs::unlinkat(&self.dir, &domid, AtFlags::REMOVEDIR);
        }
        Ok(())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Unless something is left in them.
        let _gone = rustix::fs::unlinkat(&self.dir, BY_NAME, AtFlags::REMOVEDIR);
        let _gone = std::fs::remove_dir(&self.path);
    }
}

/// A socket that waits for viewers. It is taken away with this.
pub(crate) struct Door {
    listener: UnixListener,
    mode: Mode,
    dir: OwnedFd,
    name: String,
    inode: u64,
}

impl Door {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, mio::Interest::READABLE)
    }

    /// Everybody who waits, and what they may do.
    pub(crate) fn accept(&self) -> Vec<(UnixStream, Mode)> {
        let mut came = Vec::new();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => came.push((stream, self.mode)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return came,
                Err(error) => {
                    tracing::warn!("{}: nobody can be let in: {error}", self.name);
                    return came;
                }
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Only our own: somebody else may have put another there.
        let there = rustix::fs::statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| there.st_ino == self.inode) {
            let _gone = rustix::fs::unlinkat(&self.dir, &self.name, AtFlags::empty());
        }
    }
}

/// Makes a directory if it is missing, and opens it: a real one, of ours.
fn directory(parent: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(&parent, path, DIRECTORY) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(&parent, path, flags, Permissions::empty())?;
    let stat = rustix::fs::fstat(&dir)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o022 != 0 {
        let what = format!("{} is not ours alone", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(dir)
}

/// Takes away a socket; nothing else.
fn remove_socket(dir: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
            Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
        }
        Ok(_) => {
            let what = format!("{name} is in the way and no socket");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
        }
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn names(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        // Ours are plain.
        if let Ok(name) = entry.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
