// SPDX-License-Identifier: MIT
//! Disks on QEMU's command line.

use std::path::Path;

/// QEMU's options for a disk. What the guest has written is kept if QEMU is ended, but
/// not if this machine fails.
pub(crate) fn drive(number: usize, file: &Path) -> [String; 4] {
    let file = value(file);
    [
        "-drive".into(),
        format!("file={file},format=raw,if=none,id=disk{number},cache=unsafe"),
        "-device".into(),
        format!("virtio-blk-device,drive=disk{number}"),
    ]
}

/// A path as the value of an option of QEMU's, which reads a doubled comma as a comma.
pub(crate) fn value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
