// SPDX-License-Identifier: MIT
//! dom0 with EDK2's firmware for a guest, from its package.

use anyhow::Result;
use steps::{Key, Steps};

use super::dom0::Dom0;
use crate::package::{self, ALL, VPL011_EFI};
use crate::xen::Built;

impl Dom0 {
    /// The same with the firmware.
    pub(crate) fn with_efi(&self, steps: &Steps, built: &Built) -> Result<Self> {
        let package = package::make(steps, &VPL011_EFI, &ALL)?;
        let key = Key::default().text(&package.key);
        self.with_more(steps, built, "vpl011-efi", key, |_, archive| {
            archive.tree(&package.root)
        })
    }
}
