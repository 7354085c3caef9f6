// SPDX-License-Identifier: MIT
//! A UART saved and restored, with its end of the line.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::invalid::{Invalid, VERSION, check};
use super::layout::{LINE_SIZE, Layout, SIZE};
use super::older;
use crate::backend::Backend;
use crate::uart::Uart;

/// The state of a UART and its end of the line. In serde's formats, its bytes;
/// that they are one is checked when it is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Snapshot(#[cfg_attr(feature = "serde", serde(with = "serde_bytes"))] pub [u8; SIZE]);

/// A backend whose end of the line is saved with the device.
pub trait Persistent: Backend + Sized {
    /// Tells the snapshots of one kind of line from those of another.
    const KIND: u8;

    /// What a restored backend stands on.
    type Ground;

    /// The state, as it lies in a snapshot: at most [`LINE_SIZE`] bytes, which is
    /// checked when the program is compiled. A snapshot's layout is for ever, so
    /// a change of this type wants another `KIND`.
    type State: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned;

    /// The state between two calls.
    fn save(&self) -> Self::State;

    /// The backend that was saved. Whatever is wrong with the state is found
    /// before the ground is touched.
    fn restore(ground: Self::Ground, state: &Self::State) -> Result<Self, Invalid>;
}

impl<B: Persistent> Uart<B> {
    /// The state between two entries.
    pub fn save(&self) -> Snapshot {
        const {
            assert!(size_of::<B::State>() <= LINE_SIZE, "too large a state");
        }
        let mut layout = Layout::new(&self.device, B::KIND, self.doorbells);
        let state = self.backend.save();
        let bytes = state.as_bytes();
        layout.line[..bytes.len()].copy_from_slice(bytes);
        Snapshot(zerocopy::transmute!(layout))
    }

    /// A UART that goes on where [`save`](Self::save) was called, with the
    /// interrupt line as it was then.
    pub fn restore(ground: B::Ground, bytes: &[u8]) -> Result<Self, Invalid> {
        let layout = Layout::read_from_bytes(bytes).map_err(|_| Invalid::Format)?;
        let (device, doorbells) = match layout.version_of(B::KIND)? {
            VERSION => layout.device()?,
            _ => older::device(layout)?,
        };
        let (state, left) = B::State::ref_from_prefix(&layout.line).map_err(|_| Invalid::Format)?;
        check(left.iter().all(|&byte| byte == 0), "padding")?;
        let mut uart = Self {
            device,
            backend: B::restore(ground, state)?,
            doorbells,
        };
        uart.device.receiver.waiting = uart.device.waiting(&uart.backend);
        Ok(uart)
    }
}
