// SPDX-License-Identifier: MIT
//! Input on its way to a ring, held by the kernel: it reaches the guest exactly
//! once, even if this process is killed at any moment.
//!
//! Input is moved, not read: `splice(2)` takes it out of a terminal or a socket
//! and into a pipe atomically. From the pipe it is copied (`tee(2)`), put into
//! the ring, and only then removed. Before that a note records the recipient and
//! the ring's index. If a process finds bytes in the pipe, the index shows
//! whether the ring has them: one store moves it past all of them, so it equals
//! the note's, or not.
//!
//! One pipe serves all consoles, because it is empty between two slices. A pipe
//! with bytes from the last process waits for their console, and another pipe is
//! used.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FileType, MemfdFlags, Mode, OFlags};
use rustix::pipe::{PipeFlags, SpliceFlags};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use vpl011::ring::layout::IN_SIZE;

/// The console of an input, and the ring's index before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(crate) struct Recipient {
    /// The console, by [`InputJournal::owner`].
    pub(crate) owner: u32,
    /// The ring's identity.
    pub(crate) ring: u32,
    /// The ring's index before the input.
    pub(crate) in_prod: u32,
}

/// The journal.
pub(crate) struct InputJournal {
    /// A descriptor for both ends of the pipe.
    pipe: OwnedFd,
    note: File,
    /// A pipe for copies of the bytes.
    copies: (OwnedFd, OwnedFd),
    /// Bytes in the pipe.
    held: AtomicUsize,
}

impl InputJournal {
    pub(crate) fn new() -> io::Result<Self> {
        let (end, _) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The next process needs only one descriptor, for both ends.
        let path = format!("/proc/self/fd/{}", end.as_raw_fd());
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = rustix::fs::open(path, flags, Mode::empty())?;
        let note = rustix::fs::memfd_create("vconsoled-typed", MemfdFlags::CLOEXEC)?;
        Self::over(pipe, note.into())
    }

    /// Resumes another process's journal from the two descriptors of
    /// [`fds`](Self::fds). Other descriptors are an error.
    pub(crate) fn resume(left: Vec<OwnedFd>) -> io::Result<Self> {
        let (mut pipe, mut note) = (None, None);
        for fd in left {
            match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
                FileType::Fifo => pipe = Some(fd),
                _ => note = Some(fd),
            }
        }
        let (Some(pipe), Some(note)) = (pipe, note) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Self::over(pipe, note.into())
    }

    fn over(pipe: OwnedFd, note: File) -> io::Result<Self> {
        let held = rustix::io::ioctl_fionread(&pipe)?;
        Ok(Self {
            held: usize::try_from(held).unwrap_or(usize::MAX).into(),
            copies: rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?,
            pipe,
            note,
        })
    }

    /// The descriptors for the next process.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.pipe.as_fd(), self.note.as_fd()]
    }

    /// A console's number, from the name of its terminal.
    pub(crate) fn owner(terminal: &str) -> u32 {
        crc32fast::hash(terminal.as_bytes())
    }

    /// Whether the pipe is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.load(Ordering::Relaxed) == 0
    }

    /// Moves input into the pipe, and copies it to the buffer: at most the
    /// buffer's size, 0 at the end of file. Call [`done`](Self::done) once the
    /// ring has it.
    pub(crate) fn take(
        &self,
        recipient: Recipient,
        from: impl AsFd,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        // Bytes left by an error: the ring has them, or they are lost.
        self.done();
        self.note.write_all_at(recipient.as_bytes(), 0)?;
        let flags = SpliceFlags::NONBLOCK;
        let length = rustix::pipe::splice(from, None, &self.pipe, None, buffer.len(), flags)?;
        self.held.store(length, Ordering::Relaxed);
        self.show(&mut buffer[..length])?;
        Ok(length)
    }

    /// Removes the bytes from the pipe: the ring has them, or they are lost.
    pub(crate) fn done(&self) {
        let held = self.held.swap(0, Ordering::Relaxed);
        let mut gone = [0; IN_SIZE];
        let mut left = held;
        while left > 0 {
            let want = left.min(gone.len());
            match rustix::io::read(&self.pipe, &mut gone[..want]) {
                Ok(length @ 1..) => left -= length,
                // The pipe holds no more than was counted.
                _ => return,
            }
        }
    }

    /// Input that the last process took for `recipient` and may not have put into
    /// its ring. Put it into the ring; then call [`done`](Self::done). `None` if
    /// it is another console's.
    pub(crate) fn left_for(&self, recipient: Recipient) -> io::Result<Option<Vec<u8>>> {
        let mut note = [0; size_of::<Recipient>()];
        self.note.read_exact_at(&mut note, 0)?;
        let noted = Recipient::read_from_bytes(&note).map_err(|_| io::ErrorKind::InvalidData)?;
        if noted.owner != recipient.owner {
            return Ok(None);
        }
        if noted != recipient {
            // The ring has it, or is gone.
            return Ok(Some(Vec::new()));
        }
        let held = self.held.load(Ordering::Relaxed);
        let mut bytes = vec![0; held.min(IN_SIZE)];
        self.show(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Copies the pipe's content without removing it.
    fn show(&self, buffer: &mut [u8]) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let (copy, to) = &self.copies;
        let copied = rustix::pipe::tee(&self.pipe, to, buffer.len(), SpliceFlags::NONBLOCK)?;
        let mut seen = 0;
        while seen < copied {
            match rustix::io::read(copy, &mut buffer[seen..copied])? {
                0 => break,
                length => seen += length,
            }
        }
        if seen < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    const HERE: Recipient = Recipient {
        owner: 7,
        ring: 3,
        in_prod: u32::MAX,
    };

    /// The next process's journal.
    fn again(input_journal: &InputJournal) -> InputJournal {
        let fds = input_journal
            .fds()
            .map(|fd| fd.try_clone_to_owned().unwrap());
        InputJournal::resume(fds.into()).unwrap()
    }

    fn typed(bytes: &[u8]) -> (UnixStream, UnixStream) {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.write_all(bytes).unwrap();
        (near, far)
    }

    #[test]
    fn what_the_ring_does_not_have_yet_is_there_for_the_next() {
        let input_journal = InputJournal::new().unwrap();
        let (near, _far) = typed(b"typed");
        let mut buffer = [0; 4];
        assert_eq!(input_journal.take(HERE, &near, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"type");
        let other = |change: fn(&mut Recipient)| {
            let mut recipient = HERE;
            change(&mut recipient);
            again(&input_journal).left_for(recipient).unwrap()
        };
        assert_eq!(other(|_| ()).unwrap(), b"type");
        assert_eq!(other(|one| one.owner = 8), None);
        assert_eq!(other(|one| one.ring = 4).unwrap(), b"");
        assert!(!again(&input_journal).is_empty());
        input_journal.done();
        assert!(again(&input_journal).is_empty());
        assert_eq!(input_journal.take(HERE, &near, &mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'd');
    }

    #[test]
    fn what_the_ring_has_does_not_come_again() {
        let input_journal = InputJournal::new().unwrap();
        let (near, _far) = typed(b"abc");
        input_journal.take(HERE, &near, &mut [0; 8]).unwrap();
        let next = again(&input_journal);
        let reached = Recipient { in_prod: 2, ..HERE };
        assert_eq!(next.left_for(reached).unwrap().unwrap(), b"");
    }

    #[test]
    fn no_input_and_an_end_are_distinguished() {
        let input_journal = InputJournal::new().unwrap();
        let (near, far) = typed(b"");
        let none = input_journal.take(HERE, &near, &mut [0; 8]).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        drop(far);
        assert_eq!(input_journal.take(HERE, &near, &mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn invalid_bytes_are_refused() {
        let (one, other) = UnixStream::pair().unwrap();
        assert!(InputJournal::resume(vec![one.into(), other.into()]).is_err());
        assert!(InputJournal::resume(Vec::new()).is_err());
    }
}
