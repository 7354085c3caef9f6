// SPDX-License-Identifier: MIT
//! Arithmetic on free-running `u32` indices, one of which always comes from an
//! untrusted side.

/// Bytes between `cons` and `prod` in a buffer of `size` bytes; `None` if the two
/// cannot both be valid.
#[inline]
#[must_use]
pub fn filled(prod: u32, cons: u32, size: usize) -> Option<usize> {
    let bytes = prod.wrapping_sub(cons) as usize;
    (bytes <= size).then_some(bytes)
}

/// Whether an index that moved from `old` to `new` moved past `event`, as in
/// virtio's `vring_need_event`.
#[inline]
#[must_use]
pub fn passed(event: u32, old: u32, new: u32) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The offset in the page of the byte that `index` names in the buffer of
/// `size` bytes, a power of two, that starts at `base`.
#[inline]
pub(super) const fn position(base: usize, size: usize, index: u32) -> usize {
    base + (index as usize & (size - 1))
}

/// `index` moved on by so many bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "indices are counted modulo 2^32"
)]
#[inline]
pub(super) const fn advanced(index: u32, bytes: usize) -> u32 {
    index.wrapping_add(bytes as u32)
}
