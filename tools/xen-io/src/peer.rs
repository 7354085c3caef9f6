// SPDX-License-Identifier: MIT
//! The process at the other end of a Unix socket, as it was when it connected
//! (`SO_PEERCRED` and `SO_PEERGROUPS`, unix(7)). The kernel answers without
//! reading any user database. This is here because the call is unsafe.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use zerocopy::IntoBytes as _;

/// `include/uapi/asm-generic/socket.h`.
const SO_PEERGROUPS: c_int = 59;

/// Room for groups in the first attempt; the kernel reports if there are more.
const FEW: usize = 32;

/// The peer of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; 0 if it is in a PID namespace that is not visible from here.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups.
    pub groups: Vec<u32>,
}

/// The process that connected to this end, or that listened at the other.
pub fn of(socket: impl AsFd) -> io::Result<Peer> {
    let socket = socket.as_fd();
    // struct ucred.
    let mut ids = [0_u32; 3];
    match option(socket, libc::SO_PEERCRED, ids.as_mut_bytes())? {
        Answer::Read(length) if length == size_of_val(&ids) => {}
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    let [pid, uid, gid] = ids;
    Ok(Peer {
        pid,
        uid,
        gid,
        groups: groups(socket)?,
    })
}

fn groups(socket: BorrowedFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; FEW];
    loop {
        match option(socket, SO_PEERGROUPS, groups.as_mut_bytes())? {
            Answer::Read(length) => {
                groups.truncate(length / size_of::<u32>());
                return Ok(groups);
            }
            Answer::Needs(length) => groups.resize(length / size_of::<u32>(), 0),
        }
    }
}

/// The result of a query.
enum Answer {
    /// This many bytes were written.
    Read(usize),
    /// This many bytes are needed, more than there is room for.
    Needs(usize),
}

fn option(socket: BorrowedFd, name: c_int, bytes: &mut [u8]) -> io::Result<Answer> {
    let room = libc::socklen_t::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut length = room;
    // SAFETY: the descriptor is borrowed, so it is open; the kernel writes at
    // most `length` bytes, and there are so many in `bytes`.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let error = io::Error::last_os_error();
    let told = usize::try_from(length).map_err(io::Error::other)?;
    match done {
        0 => Ok(Answer::Read(told)),
        _ if error.raw_os_error() == Some(libc::ERANGE) && length > room => Ok(Answer::Needs(told)),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    #[test]
    fn a_peer_s_credentials_are_the_kernel_s() {
        let (near, _far) = UnixStream::pair().unwrap();
        let peer = of(&near).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let numbers = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let words = line.unwrap().split_whitespace();
            words
                .map(|word| word.parse().unwrap())
                .collect::<Vec<u32>>()
        };
        assert_eq!(peer.pid, std::process::id());
        // The second of real, effective, saved and file system uid.
        assert_eq!(peer.uid, numbers("Uid:")[1]);
        assert_eq!(peer.gid, numbers("Gid:")[1]);
        assert_eq!(peer.groups, numbers("Groups:"));
    }

    #[test]
    fn without_a_peer_there_is_no_answer() {
        assert!(of(UnixDatagram::unbound().unwrap()).is_err());
    }
}
