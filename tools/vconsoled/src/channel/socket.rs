// SPDX-License-Identifier: MIT
//! The named socket of a channel: only its owner may connect to it, and no
//! link is followed on the way to it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Clients that may wait to be refused.
const BACKLOG: i32 = 4;

/// A listening socket that goes with its value.
pub(crate) struct Socket {
    path: PathBuf,
    listener: mio::net::UnixListener,
    /// The directory it is in, held so that it is the same at the end.
    directory: OwnedFd,
    /// Device and inode of the name that was made.
    identity: (u64, u64),
}

impl Socket {
    /// Makes the socket. A name that is in the way is taken only if it is a
    /// socket at which nobody answers.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let about =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let (directory, identity, listener) = bind(path).map_err(about)?;
        Ok(Self {
            path: path.to_owned(),
            listener: mio::net::UnixListener::from_std(listener),
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
        // What somebody put in its place is not ours to remove.
        if let Ok(name) = file_name(&self.path)
            && identity(&self.directory, name).is_ok_and(|found| found == self.identity)
        {
            let _gone = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
    }
}

type Bound = (OwnedFd, (u64, u64), UnixListener);

fn bind(path: &Path) -> io::Result<Bound> {
    let name = file_name(path)?;
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let directory = rustix::fs::openat2(rustix::fs::CWD, directory, flags, Mode::empty(), resolve)
        .map_err(|errno| match errno {
            Errno::LOOP => other("a symbolic link is on the way"),
            errno => io::Error::other(format!("its directory: {}", io::Error::from(errno))),
        })?;
    remove_stale(&directory, name)?;

    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The name gets the socket's mode: there is no moment at which others may
    // connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address(&directory, name)?)?;
    let identity = identity(&directory, name)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((directory, identity, UnixListener::from(socket)))
}

fn remove_stale(directory: &OwnedFd, name: &str) -> io::Result<()> {
    let found = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => found,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Socket => {}
        FileType::Symlink => return Err(other("it is a symbolic link")),
        _ => return Err(other("it is in the way and no socket")),
    }
    let probe = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    match rustix::net::connect(&probe, &address(directory, name)?) {
        Err(Errno::CONNREFUSED) => Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?),
        Ok(()) | Err(Errno::AGAIN) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "somebody else serves it",
        )),
        Err(errno) => Err(errno.into()),
    }
}

/// An address that leads through the directory we hold, however long its path.
fn address(directory: &OwnedFd, name: &str) -> io::Result<SocketAddrUnix> {
    use std::os::fd::AsRawFd;
    let raw = directory.as_fd().as_raw_fd();
    SocketAddrUnix::new(format!("/proc/self/fd/{raw}/{name}"))
        .map_err(|_| other("its name is too long"))
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
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    fn refusal(path: &Path) -> String {
        match Socket::bind(path) {
            Ok(_) => panic!("{} was taken", path.display()),
            Err(error) => error.to_string(),
        }
    }

    /// A directory without links on the way to it.
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
    fn a_long_way_is_no_obstacle() {
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
    fn what_is_in_the_way_stays_unless_it_is_dead() {
        let (_dir, dir) = directory();
        let path = dir.join("channel");
        std::fs::write(&path, "precious").unwrap();
        assert!(refusal(&path).contains("no socket"));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        std::fs::remove_file(&path).unwrap();

        let other = UnixListener::bind(&path).unwrap();
        assert!(refusal(&path).contains("somebody else"));
        UnixStream::connect(&path).unwrap();
        // The listener goes and leaves its name, as a killed daemon does.
        drop(other);
        let socket = Socket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(socket);
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
