// SPDX-License-Identifier: MIT
//! Typing at the machine's console. Xen buffers 128 characters until dom0 or a guest
//! reads them (`SERIAL_RX_SIZE` in its `drivers/char/console.c`); further ones are
//! lost, as there is no flow control.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Characters written at once, followed by a pause: 1600 characters a second.
const PIECE: usize = 16;
const PAUSE: Duration = Duration::from_millis(10);

/// Characters that fit in Xen's buffer whenever they are read.
const ROOM: usize = 112;

/// The time after which characters without an echo count as read: on a busy machine
/// dom0 may have no CPU for more than a second.
const READ: Duration = Duration::from_secs(3);

/// The console's input.
#[derive(Debug)]
pub(crate) struct Input<W> {
    to: W,
    /// Bytes that the console has printed.
    printed: Arc<AtomicUsize>,
    /// Characters that may still be in Xen's buffer, and what was printed before them.
    unread: usize,
    before: usize,
}

impl<W: Write> Input<W> {
    /// Types into `to`, at a console that counts what it prints.
    pub(crate) fn new(to: W, printed: Arc<AtomicUsize>) -> Self {
        Self {
            to,
            printed,
            unread: 0,
            before: 0,
        }
    }

    /// Types no faster than dom0 reads: beyond what Xen's buffer holds, it waits for the
    /// echo of what it has typed.
    pub(crate) fn type_in(&mut self, text: &[u8]) -> io::Result<()> {
        self.forget_read();
        for piece in text.chunks(PIECE) {
            if self.unread + piece.len() > ROOM {
                self.wait_until_read();
            }
            self.to.write_all(piece)?;
            self.to.flush()?;
            self.unread += piece.len();
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn wait_until_read(&mut self) {
        let end = Instant::now() + READ;
        while !self.forget_read() {
            if Instant::now() > end {
                self.unread = 0;
                self.before = self.printed.load(Ordering::Relaxed);
                return;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Whether as many bytes were printed as were typed; if so, all are read.
    fn forget_read(&mut self) -> bool {
        let printed = self.printed.load(Ordering::Relaxed);
        let is_read = printed.wrapping_sub(self.before) >= self.unread;
        if is_read {
            self.unread = 0;
            self.before = printed;
        }
        is_read
    }
}

/// Writes at once, even if it does not fit.
impl<W: Write> Write for Input<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, Weak};

    /// Xen's buffer: how many characters are in it, and all that have fitted.
    #[derive(Default)]
    struct Buffer {
        waiting: usize,
        kept: Vec<u8>,
    }

    struct Xen(Arc<Mutex<Buffer>>);

    impl Write for Xen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut buffer = self.0.lock().unwrap();
            let fits = bytes.len().min(128 - buffer.waiting);
            buffer.waiting += fits;
            buffer.kept.extend(&bytes[..fits]);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Reads the buffer at intervals until it is gone, and echoes it.
    fn read(buffer: &Weak<Mutex<Buffer>>, every: Duration, echo: Option<&AtomicUsize>) {
        while let Some(buffer) = buffer.upgrade() {
            let read = std::mem::take(&mut buffer.lock().unwrap().waiting);
            if let Some(printed) = echo {
                printed.fetch_add(read, Ordering::Relaxed);
            }
            drop(buffer);
            thread::sleep(every);
        }
    }

    /// Whether two lines of this length arrive whole.
    fn arrive(length: usize, every: Duration, has_echo: bool) -> bool {
        let buffer = Arc::new(Mutex::new(Buffer::default()));
        let printed = Arc::new(AtomicUsize::new(1000));
        let (reader, echo) = (Arc::downgrade(&buffer), Arc::clone(&printed));
        let reader = thread::spawn(move || read(&reader, every, has_echo.then_some(&*echo)));
        let mut input = Input::new(Xen(Arc::clone(&buffer)), printed);
        let lines: Vec<u8> = (b'a'..=b'z').cycle().take(2 * length).collect();
        for line in lines.chunks(length) {
            input.type_in(line).unwrap();
        }
        let kept = std::mem::take(&mut buffer.lock().unwrap().kept);
        drop((input, buffer));
        reader.join().unwrap();
        kept == lines
    }

    #[test]
    fn a_long_line_finds_a_place_in_xens_buffer() {
        assert!(arrive(600, Duration::from_millis(50), true));
    }

    #[test]
    fn nothing_is_lost_if_dom0_has_no_cpu_for_a_while() {
        let interval = Duration::from_millis(400);
        assert!(arrive(160, interval, true));
        assert!(arrive(160, interval, false));
    }
}
