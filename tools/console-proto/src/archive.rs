// SPDX-License-Identifier: MIT
//! A compressed log (Zstandard, RFC 8878) begins with a frame that decoders skip.
//! It identifies the original file, so that a client that follows the log
//! recognises it.

/// The identity of the original file when it was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its device.
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Its size.
    pub size: u64,
    /// Its last modification: seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
}

/// Size of the frame.
pub const FRAME_SIZE: usize = 8 + PAYLOAD;

/// The first magic number of skippable frames (RFC 8878, 3.1.2).
const SKIPPABLE: u32 = 0x184d_2a50;
const NAME: [u8; 8] = *b"vconsole";
const PAYLOAD: usize = NAME.len() + 5 * 8;

impl Origin {
    /// The frame.
    #[must_use]
    pub fn to_frame(self) -> [u8; FRAME_SIZE] {
        let words = [
            self.device,
            self.inode,
            self.size,
            self.modified.0.cast_unsigned(),
            self.modified.1.cast_unsigned(),
        ];
        let size = u32::try_from(PAYLOAD).unwrap_or_default();
        let mut frame = [0; FRAME_SIZE];
        frame[..4].copy_from_slice(&SKIPPABLE.to_le_bytes());
        frame[4..8].copy_from_slice(&size.to_le_bytes());
        frame[8..16].copy_from_slice(&NAME);
        for (place, word) in frame[16..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        frame
    }

    /// Parses the first bytes of a compressed file.
    #[must_use]
    pub fn from_frame(frame: &[u8; FRAME_SIZE]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = frame[16 + 8 * at..][..8].try_into();
            bytes.map_or(0, u64::from_le_bytes)
        };
        let origin = Self {
            device: word(0),
            inode: word(1),
            size: word(2),
            modified: (word(3).cast_signed(), word(4).cast_signed()),
        };
        (origin.to_frame() == *frame).then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_gives_back_its_origin_and_others_are_refused() {
        let origin = Origin {
            device: 1,
            inode: u64::MAX,
            size: 3,
            modified: (-4, 999_999_999),
        };
        let frame = origin.to_frame();
        assert_eq!(Origin::from_frame(&frame), Some(origin));
        assert_eq!(frame[..8], [0x50, 0x2a, 0x4d, 0x18, 48, 0, 0, 0]);
        for at in 0..16 {
            let mut other = frame;
            other[at] ^= 1;
            assert_eq!(Origin::from_frame(&other), None, "{at}");
        }
    }
}
