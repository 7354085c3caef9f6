// SPDX-License-Identifier: MIT
//! Output on its way to a viewer, held by the kernel: sent bytes are never sent
//! again, even if this process is killed at any moment.
//!
//! The bytes are in a memory file; the file's own offset is the sent position.
//! `sendfile(2)` advances it together with the bytes: no signal can come between
//! the two. The file's length is the filled position. So a holder of the file,
//! such as a service manager, has the viewer's complete state.
//!
//! The file only grows; sent pages are returned to the system. Nothing in it is
//! ever overwritten, because the kernel sends the pages themselves, which the
//! viewer may not have read yet.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Memory is returned in pieces of this size, a multiple of any page size. The
/// first piece holds the record.
const PIECE: u64 = 64 * 1024;

/// An offset in the file, and its position in the stream.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Anchor {
    offset: u64,
    position: u64,
}

/// The stream position of the file's end: counted from `after` once the file
/// reaches that, and `before` until then. Between the two is the note about lost
/// bytes.
#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Place {
    before: Anchor,
    after: Anchor,
}

/// The queue.
pub(crate) struct SendQueue {
    file: File,
    sent: u64,
    end: u64,
    /// Everything before this was returned to the system.
    freed: u64,
    place: Place,
}

impl SendQueue {
    /// An empty queue whose first byte has that stream position.
    pub(crate) fn new(position: u64) -> io::Result<Self> {
        let file: File = rustix::fs::memfd_create("vconsoled-viewer", MemfdFlags::CLOEXEC)?.into();
        let first = Anchor {
            offset: PIECE,
            position,
        };
        let place = Place {
            before: first,
            after: first,
        };
        file.write_all_at(place.as_bytes(), 0)?;
        file.set_len(PIECE)?;
        rustix::fs::seek(&file, SeekFrom::Start(PIECE))?;
        Ok(Self {
            file,
            sent: PIECE,
            end: PIECE,
            freed: PIECE,
            place,
        })
    }

    /// Resumes another process's queue. Other files are an error.
    pub(crate) fn resume(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        let mut place = [0; size_of::<Place>()];
        file.read_exact_at(&mut place, 0)?;
        let place = Place::read_from_bytes(&place).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut end = file.metadata()?.len();
        if end < place.after.offset {
            // An incomplete note about lost bytes is written again.
            end = place.before.offset;
            file.set_len(end)?;
        }
        let sent = rustix::fs::tell(&file)?;
        if sent < PIECE || sent > end {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self {
            file,
            sent,
            end,
            freed: sent / PIECE * PIECE,
            place,
        })
    }

    /// Position of the stream's next byte to be added.
    pub(crate) fn position(&self) -> u64 {
        match self.end.checked_sub(self.place.after.offset) {
            Some(since) => self.place.after.position + since,
            None => self.place.before.position,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.end
    }

    /// Adds the stream's next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Adds a note in place of `gap` bytes of the stream.
    pub(crate) fn lose(&mut self, gap: u64, note: &[u8]) -> io::Result<()> {
        let position = self.position();
        self.place = Place {
            before: Anchor {
                offset: self.end,
                position,
            },
            after: Anchor {
                offset: self.end + note.len() as u64,
                position: position + gap,
            },
        };
        self.file.write_all_at(self.place.as_bytes(), 0)?;
        self.add(note)
    }

    /// Sends as much as the socket takes; returns the number of bytes.
    pub(crate) fn send(&mut self, to: impl AsFd) -> io::Result<usize> {
        let want = usize::try_from(self.end - self.sent).unwrap_or(usize::MAX);
        let length = rustix::fs::sendfile(to, &self.file, None, want)?;
        self.sent += length as u64;
        let to = self.sent / PIECE * PIECE;
        if to > self.freed {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system without support keeps the space.
            let _kept = rustix::fs::fallocate(&self.file, flags, self.freed, to - self.freed);
            self.freed = to;
        }
        Ok(length)
    }
}

impl AsFd for SendQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;

    fn receive(from: &mut UnixStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next process's queue.
    fn again(queue: &SendQueue) -> SendQueue {
        SendQueue::resume(queue.file.try_clone().unwrap().into()).unwrap()
    }

    #[test]
    fn the_next_process_continues_where_this_one_stopped() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut queue = SendQueue::new(1000).unwrap();
        queue.add(b"one").unwrap();
        assert_eq!(queue.send(&near).unwrap(), 3);
        queue.add(b"two").unwrap();
        let mut next = again(&queue);
        assert_eq!((next.position(), next.is_empty()), (1006, false));
        assert_eq!(next.send(&near).unwrap(), 3);
        assert_eq!(receive(&mut far, 6), b"onetwo");
        let next = again(&next);
        assert_eq!((next.position(), next.is_empty()), (1006, true));
    }

    #[test]
    fn lost_bytes_are_reported_once_and_counted() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut queue = SendQueue::new(0).unwrap();
        queue.add(b"ab").unwrap();
        queue.send(&near).unwrap();
        queue.lose(70, b"[70]").unwrap();
        assert_eq!(queue.position(), 72);
        let mut next = again(&queue);
        assert_eq!(next.position(), 72);
        next.send(&near).unwrap();
        next.add(b"cd").unwrap();
        let mut next = again(&next);
        assert_eq!(next.position(), 74);
        next.send(&near).unwrap();
        assert_eq!(receive(&mut far, 8), b"ab[70]cd");
    }

    #[test]
    fn a_process_that_ends_during_a_report_of_loss_has_reported_nothing() {
        let mut queue = SendQueue::new(10).unwrap();
        queue.lose(70, b"[70 bytes]").unwrap();
        // As if it was killed after the record in the first page, or within the note.
        for written in [0, 3] {
            queue.file.set_len(PIECE + written).unwrap();
            let next = again(&queue);
            assert_eq!((next.position(), next.is_empty()), (10, true));
        }
    }

    #[test]
    fn unread_bytes_stay_as_they_were_and_memory_is_given_back() {
        use std::os::unix::fs::MetadataExt as _;

        let byte = |at: u32| (at / 7).to_le_bytes()[0];
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let mut queue = SendQueue::new(0).unwrap();
        let (mut sent, mut seen) = (0_u32, Vec::new());
        while seen.len() < 4 << 20 {
            if queue.is_empty() {
                let chunk: Vec<u8> = (sent..).take(2048).map(byte).collect();
                queue.add(&chunk).unwrap();
                sent += 2048;
            }
            if let Err(error) = queue.send(&near) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                seen.extend(receive(&mut far, 50_000));
            }
        }
        let expected = (0..).map(byte);
        assert!(expected.zip(&seen).all(|(wanted, got)| wanted == *got));
        let held = queue.file.metadata().unwrap().blocks() * 512;
        assert!(held <= 4 * PIECE, "{held} bytes are held");
    }

    #[test]
    fn invalid_bytes_are_refused() {
        let empty = rustix::fs::memfd_create("empty", MemfdFlags::CLOEXEC).unwrap();
        assert!(SendQueue::resume(empty).is_err());
        let (socket, _peer) = UnixStream::pair().unwrap();
        assert!(SendQueue::resume(socket.into()).is_err());
        let queue = SendQueue::new(5).unwrap();
        rustix::fs::seek(&queue.file, SeekFrom::Start(PIECE + 1)).unwrap();
        let left = queue.file.try_clone().unwrap();
        assert!(SendQueue::resume(left.into()).is_err());
    }
}
