// SPDX-License-Identifier: MIT
//! The named socket of a channel: only its owner may connect to it, and no
//! symbolic link in its path is followed.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::service::lock::{self, Lock};

/// Clients that may wait in the backlog.
const BACKLOG: i32 = 4;

/// A listening socket whose name is removed on drop.
pub(crate) struct Socket {
    path: PathBuf,
    listener: mio::net::UnixListener,
    /// Its path uses the descriptor of the directory, so it is dropped before it.
    _lock: Lock,
    /// The socket's directory, kept open so that it cannot be exchanged.
    directory: OwnedFd,
    /// Device and inode of the created socket.
    identity: (u64, u64),
}

impl Socket {
    /// Creates the socket. An existing name is replaced only if it is the socket
    /// of a killed daemon, by its lock file.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let about =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let (directory, identity, listener, lock) = bind(path).map_err(about)?;
        Ok(Self {
            path: path.to_owned(),
            listener: mio::net::UnixListener::from_std(listener),
            _lock: lock,
            directory,
            identity,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn listener(&mut self) -> &mut mio::net::UnixListener {
        &mut self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A file that replaced it is not ours to remove.
        if let Ok(name) = file_name(&self.path)
            && identity(&self.directory, name).is_ok_and(|found| found == self.identity)
        {
            let _gone = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
    }
}

type Bound = (OwnedFd, (u64, u64), UnixListener, Lock);

/// Opens a directory whose path has no symbolic link, one part after the other: openat2,
/// which does so in one call, is blocked where systemd restricts setuid bits.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let start = if path.is_absolute() { "/" } else { "." };
    let named = |errno: Errno| {
        let error = io::Error::from(errno);
        io::Error::new(error.kind(), format!("its directory: {error}"))
    };
    let mut at = rustix::fs::openat(rustix::fs::CWD, start, flags, Mode::empty()).map_err(named)?;
    for part in path.components() {
        if matches!(part, Component::RootDir | Component::CurDir) {
            continue;
        }
        let name = part.as_os_str();
        at = match rustix::fs::openat(&at, name, flags, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::NOTDIR | Errno::LOOP) if is_link(&at, name) => {
                return Err(other("its path contains a symbolic link"));
            }
            Err(errno) => return Err(named(errno)),
        };
    }
    Ok(at)
}

fn is_link(directory: &OwnedFd, name: &OsStr) -> bool {
    rustix::fs::readlinkat(directory, name, Vec::new()).is_ok()
}

fn bind(path: &Path) -> io::Result<Bound> {
    let name = file_name(path)?;
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let directory = open_directory(directory)?;
    let lock = take_place(&directory, name)?;

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The name gets the socket's mode: at no moment may others connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    // The socket gets its final name only when the lock file identifies it.
    let new = format!(".{name}.new");
    match rustix::fs::unlinkat(&directory, &new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    rustix::net::bind(&socket, &address(&directory, &new)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let identity = identity(&directory, &new)?;
    lock.note(&note(identity))?;
    rustix::fs::renameat(&directory, &new, &directory, name)?;
    Ok((directory, identity, UnixListener::from(socket), lock))
}

/// Locks the name, and removes the socket of a killed daemon.
fn take_place(directory: &OwnedFd, name: &str) -> io::Result<Lock> {
    let stat = |name: &Path| match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(io::Error::from(errno)),
    };
    let lock = lock::beside(Path::new(name));
    let found = stat(Path::new(name))?;
    if let Some(found) = &found {
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Socket if stat(&lock)?.is_some() => {}
            FileType::Socket => return Err(other("a socket of another program has this name")),
            FileType::Symlink => return Err(other("it is a symbolic link")),
            _ => return Err(other("a file that is not a socket has this name")),
        }
    }
    let lock = Lock::take(through(directory).join(lock))?;
    if let Some(found) = found {
        if lock.noted()? != note((found.st_dev, found.st_ino)) {
            return Err(other("a socket of another program has this name"));
        }
        rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
    }
    Ok(lock)
}

/// The content of a socket's lock file.
fn note((device, inode): (u64, u64)) -> String {
    format!("{device} {inode}\n")
}

/// An address through the open directory, which may have any path.
fn address(directory: &OwnedFd, name: &str) -> io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(through(directory).join(name)).map_err(|_| other("its name is too long"))
}

fn through(directory: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

fn identity(directory: &OwnedFd, name: &str) -> io::Result<(u64, u64)> {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((found.st_dev, found.st_ino))
}

fn file_name(path: &Path) -> io::Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| other("it has no name"))
}

fn other(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, MetadataExt as _, PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    fn refusal(path: &Path) -> String {
        match Socket::bind(path) {
            Ok(_) => panic!("{} was taken", path.display()),
            Err(error) => error.to_string(),
        }
    }

    /// A directory without symbolic links in its path.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    #[test]
    fn only_its_owner_may_connect_and_it_goes_at_the_end() {
        let (_dir, dir) = directory();
        let path = dir.join("channel");
        let socket = Socket::bind(&path).unwrap();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_path_is_used() {
        let (_dir, dir) = directory();
        let deep = dir.join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        assert!(Socket::bind(&deep.join("channel")).is_ok());
        let long = refusal(&deep.join("c".repeat(120)));
        assert!(long.contains("too long"), "{long}");
    }

    #[test]
    fn no_link_is_followed() {
        let (_dir, dir) = directory();
        let target = dir.join("target");
        symlink(&target, dir.join("link")).unwrap();
        let last = refusal(&dir.join("link"));
        assert!(last.contains("symbolic link"), "{last}");
        symlink(&dir, dir.join("there")).unwrap();
        let middle = refusal(&dir.join("there/channel"));
        assert!(middle.contains("symbolic link"), "{middle}");
        assert!(!target.exists() && !dir.join("channel").exists());
    }

    #[test]
    fn what_is_in_the_way_stays_unless_a_killed_daemon_left_it() {
        let (_dir, dir) = directory();
        let path = dir.join("channel");
        let lock = dir.join("channel.lock");
        std::fs::write(&path, "precious").unwrap();
        assert!(refusal(&path).contains("not a socket"));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_file(&path).unwrap();

        let socket = Socket::bind(&path).unwrap();
        let said = std::fs::read_to_string(&lock).unwrap();
        assert!(refusal(&path).contains("another daemon has it"));
        drop(socket);
        assert!(!path.exists() && !lock.exists());
        // Another program's socket, whether that still listens or not.
        let other = UnixListener::bind(&path).unwrap();
        assert!(refusal(&path).contains("another program"));
        std::fs::write(&lock, &said).unwrap();
        assert!(refusal(&path).contains("another program"));
        UnixStream::connect(&path).unwrap();
        drop(other);
        assert!(refusal(&path).contains("another program"));
        // What a killed daemon leaves between any two steps.
        std::fs::write(&lock, note(identity_of(&path))).unwrap();
        drop(UnixListener::bind(dir.join(".channel.new")).unwrap());
        let socket = Socket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(socket);
        std::fs::write(&lock, "").unwrap();
        drop(Socket::bind(&path).unwrap());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    }

    fn identity_of(path: &Path) -> (u64, u64) {
        let metadata = std::fs::symlink_metadata(path).unwrap();
        (metadata.dev(), metadata.ino())
    }

    #[test]
    fn what_took_its_place_is_left_alone() {
        let (_dir, dir) = directory();
        let path = dir.join("channel");
        let socket = Socket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        symlink("/nowhere", &path).unwrap();
        drop(socket);
        assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let (_dir, dir) = directory();
        let error = refusal(&dir.join("none/channel"));
        assert!(
            error.contains("directory") && error.contains("none/channel"),
            "{error}"
        );
    }
}
