// SPDX-License-Identifier: MIT
//! dom0 with a guest's disk, which UEFI boots. xen-blkback of dom0's kernel serves a
//! loop device on one of the emulated machine's disks. The loop device copies: virtio's
//! driver would give the addresses that a guest's pages have in dom0 to the emulated
//! machine, which knows only their own.

use anyhow::Result;
use steps::{Key, Steps};

use super::cloud;
use super::dom0::Dom0;
use super::kernel::{Kernel, Kernels};
use crate::xen::Built;

const MODULES: [&str; 3] = ["loop", "virtio_blk", "xen-blkback"];
const BLOCK: &str = include_str!("uefi-block.sh");

impl Dom0 {
    /// The same with a new copy of the disk, and the block backend.
    pub(crate) fn with_cloud(
        &self,
        steps: &Steps,
        built: &Built,
        kernels: Kernels,
    ) -> Result<Self> {
        let disk = cloud::copy(steps, "xen")?;
        let kernel = Kernel::fetch(steps, kernels.dom0)?;
        let key = Key::default().text(&kernel.key).text(BLOCK);
        let dom0 = self.with_more(steps, built, "blkback", key, |_, archive| {
            archive.script("/etc/xen/scripts/block", BLOCK);
            kernel.add_modules(archive, &MODULES)
        })?;
        Ok(Self {
            disks: vec![disk],
            ..dom0
        })
    }
}
