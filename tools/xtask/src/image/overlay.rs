// SPDX-License-Identifier: MIT
//! The plain dom0 with more files, for few scenarios: its initramfs, followed by a
//! second one, which Linux unpacks over it.

use anyhow::Result;
use steps::{Cx, Key, Steps};

use super::archive::{self, Archive};
use super::dom0::Dom0;
use crate::xen::Built;

impl Dom0 {
    /// Adds what `fill` adds, in a step whose inputs are in `key`. `name` is a part of
    /// the step's name and of the file's.
    pub(super) fn with_more(
        &self,
        steps: &Steps,
        built: &Built,
        name: &str,
        key: Key,
        fill: impl FnOnce(&Cx, &mut Archive) -> Result<()>,
    ) -> Result<Self> {
        let initrd = self.initrd.with_extension(format!("{name}.cpio"));
        let key = key.file(&self.initrd)?.text(archive::TEXT);
        let step = built.which.step(&format!("dom0 image with {name}"));
        steps.run(&step, key, &[&initrd], |cx| {
            let mut archive = Archive::default();
            fill(cx, &mut archive)?;
            let size = archive.write_after(&self.initrd, &initrd)?;
            Ok(format!("made, {} KiB more", size >> 10))
        })?;
        Ok(Self {
            initrd,
            ..self.clone()
        })
    }
}
