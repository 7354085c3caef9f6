// SPDX-License-Identifier: MIT
//! A directory of sockets with plain bytes, two per console, for programs without
//! support for the protocol.
//!
//! ```text
//! DIR/3/vuart0.sock         reads and types
//! DIR/3/vuart0.ro.sock      reads
//! DIR/by-name/guest         -> ../3
//! ```
//!
//! Nobody else may change the directories; who may connect is for the sockets
//! to say. Every step is taken from an open directory, never through a link.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use console_proto::Mode;
use mio::Registry;
use mio::Token;
use mio::net::{UnixListener, UnixStream};
use nix::unistd::Group;
use rustix::fs::{AtFlags, Dir, FileType, Mode as Permissions, OFlags};
use rustix::io::Errno;
use xen_io::DomId;

use crate::config::SocketMode;
use crate::ipc::listener::{self, Access};
use crate::names::is_plain;
use crate::service::lock::Lock;

/// Everybody may look, as far as the mask of the process lets them.
const DIRECTORY: Permissions = Permissions::from_raw_mode(0o755);
/// Those to whom rules give something find their sockets, and do not see whose
/// others there are.
const PASSAGE: Permissions = Permissions::from_raw_mode(0o711);
const BY_NAME: &str = "by-name";
const LOCK: &str = ".lock";
/// A link before it has its name: no domain's name begins with a dot here.
const NEW_NAME: &str = ".new";

/// The directory, ours while this lives.
pub(crate) struct EndpointDir {
    path: PathBuf,
    dir: Arc<OwnedFd>,
    by_name: OwnedFd,
    lock: Option<Lock>,
    /// The directories let through who does not own them.
    through: bool,
}

impl EndpointDir {
    /// Makes the directory.
    pub(crate) fn open(path: &Path, through: bool) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let dir = directory(rustix::fs::CWD, path)?;
        let lock = Some(Lock::take(path.join(LOCK))?);
        let by_name = directory(&dir, Path::new(BY_NAME))?;
        let mut endpoints = Self {
            path: path.to_owned(),
            dir: Arc::new(dir),
            by_name,
            lock,
            through: false,
        };
        if through {
            endpoints.let_through()?;
        }
        Ok(endpoints)
    }

    /// Lets everybody pass through to sockets of which they know where they are.
    pub(crate) fn let_through(&mut self) -> io::Result<()> {
        self.through = true;
        rustix::fs::fchmod(&*self.dir, PASSAGE)?;
        rustix::fs::fchmod(&self.by_name, PASSAGE)?;
        for name in names(&self.dir)? {
            if name.parse::<u16>().is_ok() {
                rustix::fs::fchmod(directory(&self.dir, Path::new(&name))?, PASSAGE)?;
            }
        }
        Ok(())
    }

    /// Opens an endpoint of a console.
    pub(crate) fn listen(
        &self,
        domid: DomId,
        console: &str,
        mode: Mode,
        access: Access,
    ) -> io::Result<Endpoint> {
        let dir = directory(&self.dir, Path::new(&domid.to_string()))?;
        if self.through {
            rustix::fs::fchmod(&dir, PASSAGE)?;
        }
        let file = file_name(console, mode);
        remove_socket(&dir, &file)?;
        let socket = rustix::net::socket_with(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
            None,
        )?;
        // Before it has a name, so that it never has wider permissions; and
        // once more with it, as the process's mask takes some away.
        let bits = Permissions::from_raw_mode(access.mode.0);
        rustix::fs::fchmod(&socket, bits)?;
        // A short name of the directory, whatever its path and links in it.
        let address = format!("/proc/self/fd/{}/{file}", dir.as_raw_fd());
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(address)?)?;
        if let Some(name) = access.group {
            let group = Group::from_name(name)?
                .ok_or_else(|| io::Error::other(format!("there is no group {name}")))?;
            let gid = rustix::fs::Gid::from_raw(group.gid.as_raw());
            rustix::fs::chownat(&dir, &file, None, Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::fs::chmodat(&dir, &file, bits, AtFlags::empty())?;
        rustix::net::listen(&socket, 16)?;
        let inode = rustix::fs::statat(&dir, &file, AtFlags::SYMLINK_NOFOLLOW)?.st_ino;
        let listener = std::os::unix::net::UnixListener::from(socket);
        Ok(Endpoint {
            listener: UnixListener::from_std(listener),
            mode,
            dir: Arc::clone(&self.dir),
            path: format!("{domid}/{file}"),
            inode,
            left: false,
        })
    }

    /// Goes on with the endpoint that another process had: the socket, whose name
    /// had that inode. `None` if it is not there any more as it should be.
    pub(crate) fn resume(
        &self,
        socket: OwnedFd,
        inode: u64,
        (domid, console): (DomId, &str),
        mode: Mode,
        access: Access,
    ) -> Option<Endpoint> {
        let dir = directory(&self.dir, Path::new(&domid.to_string())).ok()?;
        let name = file_name(console, mode);
        let stat = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let group = match access.group {
            Some(group) => Group::from_name(group).ok()??.gid.as_raw(),
            None => rustix::process::getegid().as_raw(),
        };
        let as_wanted = FileType::from_raw_mode(stat.st_mode) == FileType::Socket
            && stat.st_mode & 0o7777 == access.mode.0
            && stat.st_gid == group;
        if stat.st_ino != inode
            || !as_wanted
            || !rustix::net::sockopt::socket_acceptconn(&socket).ok()?
        {
            return None;
        }
        let listener = std::os::unix::net::UnixListener::from(socket);
        Some(Endpoint {
            listener: UnixListener::from_std(listener),
            mode,
            dir: Arc::clone(&self.dir),
            path: format!("{domid}/{name}"),
            inode,
            left: false,
        })
    }

    /// Has a name lead to a domain's directory, if it can name a file, or to
    /// none. There is no moment at which it leads nowhere.
    pub(crate) fn link(&self, name: &str, domid: Option<DomId>) -> io::Result<()> {
        if !is_plain(name) {
            return Ok(());
        }
        let Some(domid) = domid else {
            return unlink(&self.by_name, name);
        };
        let target = format!("../{domid}");
        let known = rustix::fs::readlinkat(&self.by_name, name, Vec::new());
        if known.is_ok_and(|known| known.as_bytes() == target.as_bytes()) {
            return Ok(());
        }
        unlink(&self.by_name, NEW_NAME)?;
        rustix::fs::symlinkat(target, &self.by_name, NEW_NAME)?;
        rustix::fs::renameat(&self.by_name, NEW_NAME, &self.by_name, name)?;
        Ok(())
    }

    /// Takes away a domain's directory when all endpoints are gone from it.
    pub(crate) fn forget(&self, domid: DomId) {
        let _gone = rustix::fs::unlinkat(&self.dir, domid.to_string(), AtFlags::REMOVEDIR);
    }

    /// Takes away what a daemon that was killed left: sockets that are not
    /// `open`, by domain and name.
    pub(crate) fn sweep(&self, open: &BTreeSet<(String, String)>) -> io::Result<()> {
        for name in names(&self.by_name)? {
            let target = rustix::fs::readlinkat(&self.by_name, &name, Vec::new());
            let stays = target.is_ok_and(|target| {
                open.iter()
                    .any(|(domid, _)| target.as_bytes() == format!("../{domid}").as_bytes())
            });
            if !stays || !is_plain(&name) {
                let _kept = rustix::fs::unlinkat(&self.by_name, &name, AtFlags::empty());
            }
        }
        for domid in names(&self.dir)? {
            if domid.parse::<u16>().is_err() {
                continue;
            }
            let Ok(dir) = directory(&self.dir, Path::new(&domid)) else {
                continue;
            };
            for name in names(&dir)? {
                if !open.contains(&(domid.clone(), name.clone())) {
                    // What is no socket is not ours, and stays.
                    let _kept = remove_socket(&dir, &name);
                }
            }
            let _kept = rustix::fs::unlinkat(&self.dir, &domid, AtFlags::REMOVEDIR);
        }
        Ok(())
    }
}

impl Drop for EndpointDir {
    fn drop(&mut self) {
        // Unless something is left in them.
        let _gone = rustix::fs::unlinkat(&self.dir, BY_NAME, AtFlags::REMOVEDIR);
        drop(self.lock.take());
        let _gone = std::fs::remove_dir(&self.path);
    }
}

/// A socket that waits for viewers. It is taken away with this.
pub(crate) struct Endpoint {
    listener: UnixListener,
    mode: Mode,
    /// The folder of all of them, and where in it the socket is: what is
    /// between is ours alone, and no link.
    dir: Arc<OwnedFd>,
    path: String,
    inode: u64,
    /// It is for the next daemon.
    left: bool,
}

impl Endpoint {
    /// What the socket's name is, and its inode.
    pub(crate) fn name(&self) -> (&str, u64) {
        let name = self.path.rsplit('/').next();
        (name.unwrap_or_default(), self.inode)
    }

    /// Changes who may connect.
    pub(crate) fn set_mode(&self, mode: SocketMode) -> io::Result<()> {
        let bits = Permissions::from_raw_mode(mode.0);
        Ok(rustix::fs::chmodat(
            &*self.dir,
            &self.path,
            bits,
            AtFlags::empty(),
        )?)
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Leaves the socket's name where it is: the next daemon will listen.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, mio::Interest::READABLE)
    }

    /// Adds to `came` those who wait, `most` at once, and what they may do;
    /// whether more may wait.
    pub(crate) fn accept(
        &self,
        most: &mut usize,
        came: &mut Vec<(UnixStream, Mode)>,
    ) -> io::Result<bool> {
        listener::accept(&self.listener, most, |stream| {
            came.push((stream, self.mode));
        })
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        // Only our own: somebody else may have put another there.
        let there = rustix::fs::statat(&*self.dir, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| there.st_ino == self.inode) {
            let _gone = rustix::fs::unlinkat(&*self.dir, &self.path, AtFlags::empty());
        }
    }
}

/// What a console's socket is called.
pub(crate) fn file_name(console: &str, mode: Mode) -> String {
    match mode {
        Mode::ReadWrite => format!("{console}.sock"),
        Mode::ReadOnly => format!("{console}.ro.sock"),
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
        let what = format!(
            "{} is writable by other users or has another owner",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(dir)
}

/// Takes away a link, if it is there.
fn unlink(dir: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes away a socket; nothing else.
fn remove_socket(dir: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
            Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?)
        }
        Ok(_) => {
            let what = format!("{name} exists and is not a socket");
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
