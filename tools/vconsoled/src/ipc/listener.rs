// SPDX-License-Identifier: MIT
//! Listening sockets and their clients: a Unix socket at its own path, which has
//! the configured permissions from the start and is removed on drop; or a port
//! that was opened before.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use nix::unistd::Group;
use rustix::fs::Mode as Bits;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::config::SocketMode;
use crate::service::lock::{self, Lock};

/// Connections that may wait in the backlog.
const BACKLOG: i32 = 64;

/// Permissions of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access<'a> {
    /// The socket's permissions.
    pub(crate) mode: SocketMode,
    /// Its group; by default the process's.
    pub(crate) group: Option<&'a str>,
}

/// A source of connections.
pub(crate) trait Accept {
    /// The type of a connection.
    type Stream: Source;

    /// Accepts the next one.
    fn take_in(&self) -> io::Result<Self::Stream>;
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    fn take_in(&self) -> io::Result<UnixStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn take_in(&self) -> io::Result<TcpStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

impl Accept for Listener {
    type Stream = UnixStream;

    fn take_in(&self) -> io::Result<UnixStream> {
        self.socket.take_in()
    }
}

/// A listening Unix socket.
pub(crate) struct Listener {
    path: PathBuf,
    socket: UnixListener,
    /// Dropped last: the path is reserved until then.
    _lock: Lock,
}

impl Listener {
    /// Listens at `path`, and replaces the socket of a daemon that is gone.
    fn bind(path: &Path, access: Access) -> io::Result<Self> {
        let named = |error: io::Error| {
            let what = format!("the socket {}: {error}", path.display());
            io::Error::new(error.kind(), what)
        };
        Self::bind_at(path, access).map_err(named)
    }

    fn bind_at(path: &Path, access: Access) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(parent)?;
        }
        // Of several daemons that start at once only one continues.
        let lock = Lock::take(lock::beside(path))?;
        remove_stale(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The mode is set before it has a name, so it never has wider permissions.
        rustix::fs::fchmod(&socket, Bits::RUSR | Bits::WUSR)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        let listener = Self {
            path: path.to_owned(),
            socket: UnixListener::from_std(socket.into()),
            _lock: lock,
        };
        if let Some(name) = access.group {
            let group = Group::from_name(name)?
                .ok_or_else(|| io::Error::other(format!("there is no group {name}")))?;
            chown(path, None, Some(group.gid.as_raw()))?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(access.mode.0))?;
        rustix::net::listen(&listener.socket, BACKLOG)?;
        Ok(listener)
    }
}

/// Accepts waiting connections, at most `most`, which is counted down. Returns
/// whether more may wait. After an error they stay in the backlog for a retry.
pub(crate) fn accept<L: Accept>(
    listener: &L,
    most: &mut usize,
    mut take: impl FnMut(L::Stream),
) -> io::Result<bool> {
    while *most > 0 {
        let Some(stream) = next(listener)? else {
            return Ok(false);
        };
        *most -= 1;
        take(stream);
    }
    Ok(true)
}

fn next<L: Accept>(listener: &L) -> io::Result<Option<L::Stream>> {
    loop {
        match listener.take_in() {
            Ok(stream) => return Ok(Some(stream)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Another process may have removed it already.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// A connected client.
pub(crate) trait Client {
    /// The source of its connections.
    type Listener: Accept;

    /// Most clients at once; a further one closes the oldest of the user with most.
    const MOST: usize;

    fn new(stream: <Self::Listener as Accept>::Stream) -> Self;

    /// Its user, if there may be several.
    fn user(&self) -> u32 {
        0
    }
}

/// A listening socket and its clients.
pub(crate) struct Clients<C: Client> {
    listener: C::Listener,
    open: BTreeMap<Token, C>,
}

impl<C: Client<Listener = Listener>> Clients<C> {
    /// Listens at `path`.
    pub(crate) fn listen(
        path: &Path,
        access: Access,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut listener = Listener::bind(path, access)?;
        let socket = &mut listener.socket;
        socket.register(registry, token, Interest::READABLE)?;
        Ok(Self::at(listener))
    }

    /// Changes the permissions.
    pub(crate) fn set_mode(&self, mode: SocketMode) -> io::Result<()> {
        std::fs::set_permissions(&self.listener.path, Permissions::from_mode(mode.0))
    }
}

impl<C: Client> Clients<C> {
    /// The clients of a given listener.
    pub(crate) fn at(listener: C::Listener) -> Self {
        Self {
            listener,
            open: BTreeMap::new(),
        }
    }

    /// Accepts waiting clients, like [`accept`].
    pub(crate) fn accept(
        &mut self,
        most: &mut usize,
        registry: &Registry,
        mut token: impl FnMut() -> Token,
    ) -> io::Result<bool> {
        let Self { listener, open } = self;
        accept(listener, most, |mut stream| {
            let token = token();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut stream, token, interest).is_err() {
                return;
            }
            if open.len() >= C::MOST {
                close_one(open);
            }
            open.insert(token, C::new(stream));
        })
    }

    /// Whether a client has that token.
    pub(crate) fn has(&self, token: Token) -> bool {
        self.open.contains_key(&token)
    }

    /// The client of that token, if there is one.
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut C> {
        self.open.get_mut(&token)
    }

    /// Removes and returns a client.
    pub(crate) fn remove(&mut self, token: Token) -> Option<C> {
        self.open.remove(&token)
    }
}

/// Closes the oldest client of the user with most, so that a user cannot displace others.
fn close_one<C: Client>(open: &mut BTreeMap<Token, C>) {
    let mut counts = BTreeMap::<u32, usize>::new();
    for client in open.values() {
        *counts.entry(client.user()).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let mut clients = open.iter();
    let oldest = clients.find(|(_, client)| Some(client.user()) == most.map(|(user, _)| user));
    if let Some(token) = oldest.map(|(token, _)| *token) {
        open.remove(&token);
    }
}

/// Removes the socket of a daemon that is gone; the lock proves that.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => {
            let what = "a file that is not a socket has this name";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, what))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_taken_in_at_once_and_the_rest_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let _outside: Vec<_> = (0..40)
            .map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap())
            .collect();
        let mut taken = Vec::new();
        for (most, more) in [(16, true), (16, true), (16, false), (0, true)] {
            let before = taken.len();
            let mut left = most;
            let rest = accept(&listener, &mut left, |stream| taken.push(stream)).unwrap();
            assert_eq!(rest, more);
            assert_eq!(taken.len() - before, most - left);
        }
        assert_eq!(taken.len(), 40);
    }
}
