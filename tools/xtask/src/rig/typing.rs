// SPDX-License-Identifier: MIT
//! Typing at the machine's console. Xen buffers 128 characters until dom0 or a guest
//! reads them (`SERIAL_RX_SIZE` in its `drivers/char/console.c`); further ones are
//! lost, as there is no flow control.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

/// Characters written at once, followed by a pause: 1600 characters a second, which
/// leaves dom0 80 ms to read them.
const PIECE: usize = 16;
const PAUSE: Duration = Duration::from_millis(10);

/// Types no faster than dom0 reads.
pub(crate) fn type_in(input: &mut impl Write, text: &[u8]) -> io::Result<()> {
    for piece in text.chunks(PIECE) {
        input.write_all(piece)?;
        input.flush()?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A console that is read every 50 ms, and the characters that did not fit.
    struct Console {
        kept: Vec<u8>,
        waiting: usize,
        lost: usize,
        read: Instant,
    }

    impl Write for Console {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.read.elapsed() >= Duration::from_millis(50) {
                (self.read, self.waiting) = (Instant::now(), 0);
            }
            let fits = bytes.len().min(128 - self.waiting);
            self.kept.extend(&bytes[..fits]);
            self.waiting += fits;
            self.lost += bytes.len() - fits;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_line_finds_a_place_in_xens_buffer() {
        let mut console = Console {
            kept: Vec::new(),
            waiting: 0,
            lost: 0,
            read: Instant::now(),
        };
        let line: Vec<u8> = (b'a'..=b'z').cycle().take(600).collect();
        type_in(&mut console, &line).unwrap();
        assert_eq!(console.lost, 0);
        assert!(console.kept == line);
    }
}
