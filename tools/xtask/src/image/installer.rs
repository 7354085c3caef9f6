// SPDX-License-Identifier: MIT
//! dom0 with Debian's installer as a guest: a kernel and an initramfs, from Debian's
//! package of the files for a boot over a network. They are not changed.

use anyhow::Result;
use steps::{Key, Steps};

use super::dom0::Dom0;
use crate::debian::programs::unpack;
use crate::xen::Built;

/// Both files' folder in the package: those of the text interface.
const FOLDER: &str = "usr/lib/debian-installer/images/13/arm64/text/debian-installer/arm64";

impl Dom0 {
    /// The same with the installer's files.
    pub(crate) fn with_installer(&self, steps: &Steps, built: &Built) -> Result<Self> {
        let root = steps.dirs.target.join("installer");
        let unpacked = unpack(steps, "debian installer", &steps.pins("installer")?, &root)?;
        let folder = root.join(FOLDER);
        let key = Key::default().text(unpacked);
        self.with_more(steps, built, "installer", key, |_, archive| {
            for name in ["linux", "initrd.gz"] {
                let to = format!("/guest/installer-{name}");
                archive.file(&to, &folder.join(name))?;
            }
            Ok(())
        })
    }
}
