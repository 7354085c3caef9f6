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
//! No other user may change the directories; the sockets' permissions decide who
//! may connect. All paths are resolved from an open directory, without following
//! links.

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

/// Readable by all users, as far as the umask permits.
const DIRECTORY: Permissions = Permissions::from_raw_mode(0o755);
/// With access rules: users can reach their sockets, but not list those of
/// others.
const PASSAGE: Permissions = Permissions::from_raw_mode(0o711);
const BY_NAME: &str = "by-name";
const LOCK: &str = ".lock";
/// A link before it gets its final name: names that begin with a dot are not used.
const NEW_NAME: &str = ".new";

/// The directory, locked while this lives.
pub(crate) struct EndpointDir {
    path: PathBuf,
    dir: Arc<OwnedFd>,
    by_name: OwnedFd,
    lock: Option<Lock>,
    /// Whether the directories have the mode `PASSAGE`.
    through: bool,
}

impl EndpointDir {
    /// Creates the directory.
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

    /// Lets all users pass to sockets whose path they have.
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
        // The mode is set before the socket has a name, so that it never has
        // wider permissions, and again afterwards, because the umask clears some
        // bits.
        let bits = Permissions::from_raw_mode(access.mode.0);
        rustix::fs::fchmod(&socket, bits)?;
        // A short path of the directory, whatever its real path.
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

    /// Resumes another process's endpoint: the socket, and the inode of its name.
    /// `None` if the name is gone or differs.
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

    /// Links a name to a domain's directory, if it is a valid file name, or
    /// removes the link. The link is replaced atomically.
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

    /// Removes a domain's directory when its endpoints are gone.
    pub(crate) fn forget(&self, domid: DomId) {
        let _gone = rustix::fs::unlinkat(&self.dir, domid.to_string(), AtFlags::REMOVEDIR);
    }

    /// Removes what a killed daemon left: sockets that are not in `open`, by
    /// domain and name.
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
                    // Files that are not sockets stay.
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
        // Unless they contain something else.
        let _gone = rustix::fs::unlinkat(&self.dir, BY_NAME, AtFlags::REMOVEDIR);
        drop(self.lock.take());
        let _gone = std::fs::remove_dir(&self.path);
    }
}

/// A listening socket for viewers, removed on drop.
pub(crate) struct Endpoint {
    listener: UnixListener,
    mode: Mode,
    /// The folder of all endpoints, and the socket's path in it, which only the
    /// daemon can change and which has no link.
    dir: Arc<OwnedFd>,
    path: String,
    inode: u64,
    /// It is left for the next daemon.
    left: bool,
}

impl Endpoint {
    /// The socket's name and inode.
    pub(crate) fn name(&self) -> (&str, u64) {
        let name = self.path.rsplit('/').next();
        (name.unwrap_or_default(), self.inode)
    }

    /// Changes the permissions.
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

    /// Leaves the socket's name for the next daemon.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, mio::Interest::READABLE)
    }

    /// Accepts waiting viewers into `came` with their mode, at most `most`;
    /// returns whether more may wait.
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
        // Only the daemon's own socket: another program may have replaced it.
        let there = rustix::fs::statat(&*self.dir, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| there.st_ino == self.inode) {
            let _gone = rustix::fs::unlinkat(&*self.dir, &self.path, AtFlags::empty());
        }
    }
}

/// The name of a console's socket.
pub(crate) fn file_name(console: &str, mode: Mode) -> String {
    match mode {
        Mode::ReadWrite => format!("{console}.sock"),
        Mode::ReadOnly => format!("{console}.ro.sock"),
    }
}

/// Creates a directory if it is missing, and opens it; it must be the daemon's own.
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

/// Removes a link, if it exists.
fn unlink(dir: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a socket; nothing else.
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
        // The daemon's own names are plain.
        if let Ok(name) = entry.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
