// SPDX-License-Identifier: MIT
//! Reading a compressed log (Zstandard).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use console_proto::archive::{FRAME_SIZE, Origin};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// A file of frames, one after the other.
pub(super) struct Archive {
    source: BufReader<File>,
    decoder: FrameDecoder,
    in_frame: bool,
    /// Nothing more can be read.
    ended: bool,
}

/// The original file of a compressed one, if it is recorded.
pub(super) fn origin(file: &File) -> Option<Origin> {
    let mut frame = [0; FRAME_SIZE];
    file.read_exact_at(&mut frame, 0).ok()?;
    Origin::from_frame(&frame)
}

impl Archive {
    pub(super) fn new(file: File) -> Self {
        Self {
            source: BufReader::new(file),
            decoder: FrameDecoder::new(),
            in_frame: false,
            ended: false,
        }
    }

    fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin_frame()?;
                continue;
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            if self.decoder.is_finished() {
                self.in_frame = false;
                continue;
            }
            let block = BlockDecodingStrategy::UptoBlocks(1);
            let decoded = self.decoder.decode_blocks(&mut self.source, block);
            decoded.map_err(io::Error::other)?;
        }
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let mut skipped = (&mut self.source).take(length.into());
                io::copy(&mut skipped, &mut io::sink())?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

impl Read for Archive {
    /// Nothing is read after an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let read = self.next(buffer);
        self.ended = !matches!(read, Ok(1..));
        read
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const ORIGIN: Origin = Origin {
        device: 1,
        inode: 2,
        size: 3,
        modified: (4, 5),
    };

    fn archive(frames: &[&[u8]]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&ORIGIN.to_frame()).unwrap();
        for frame in frames {
            let frame = compress_to_vec(*frame, CompressionLevel::Fastest);
            file.write_all(&frame).unwrap();
        }
        file
    }

    fn read(file: &File) -> (Vec<u8>, Option<io::Error>) {
        let mut file = file.try_clone().unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let (mut archive, mut all, mut buffer) = (Archive::new(file), Vec::new(), [0; 777]);
        loop {
            match archive.read(&mut buffer) {
                Ok(0) => return (all, None),
                Ok(length) => all.extend_from_slice(&buffer[..length]),
                Err(error) => {
                    assert_eq!(archive.read(&mut buffer).unwrap(), 0);
                    return (all, Some(error));
                }
            }
        }
    }

    #[test]
    fn frames_follow_each_other() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let file = archive(&[b"one\n", b"", &text, b"two\n"]);
        assert_eq!(origin(&file), Some(ORIGIN));
        let (all, error) = read(&file);
        assert!(error.is_none() && all == [b"one\n", &text[..], b"two\n"].concat());
        let (nothing, error) = read(&tempfile::tempfile().unwrap());
        assert!(error.is_none() && nothing.is_empty());
    }

    #[test]
    fn what_is_damaged_is_an_error_after_what_is_not() {
        let file = archive(&[b"one\n", b"two\n"]);
        let length = file.metadata().unwrap().len();
        file.set_len(length - 3).unwrap();
        let (all, error) = read(&file);
        assert!(error.is_some() && all.starts_with(b"one\n"));
        file.write_all_at(b"nonsense", FRAME_SIZE as u64).unwrap();
        assert!(read(&file).1.is_some());
    }
}
