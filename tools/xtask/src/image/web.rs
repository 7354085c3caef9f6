// SPDX-License-Identifier: MIT
//! dom0 with vconsole-web, which takes minutes to build: the plain dom0's initramfs,
//! followed by a small one, which Linux unpacks over it.

use anyhow::Result;
use steps::{Key, Steps};

use super::archive::{self, Archive};
use super::dom0::{Dom0, add_users, package_users};
use crate::package::programs::{self, ARM64};
use crate::package::{self, VCONSOLED};
use crate::xen::Built;

const PROGRAM: &str = "vconsole-web";
const USERS: &str = include_str!("../../../vconsole-web/packaging/vconsole-web.sysusers");

impl Dom0 {
    /// The same with vconsole-web and its user; the service does not run.
    pub(crate) fn with_web(&self, steps: &Steps, built: &Built) -> Result<Self> {
        let program = programs::build(steps, &ARM64, &[PROGRAM])?;
        let package = package::make(steps, &VCONSOLED, &ARM64)?;
        let initrd = self.initrd.with_extension("web.cpio");
        let key = Key::default()
            .file(&self.initrd)?
            .text(program)
            .text(USERS)
            .text(archive::TEXT);
        let step = built.which.step("dom0 image with vconsole-web");
        steps.run(&step, key, &[&initrd], |cx| {
            let mut archive = Archive::default();
            let program = programs::path(cx.dirs, &ARM64, PROGRAM);
            archive.file(&format!("/usr/sbin/{PROGRAM}"), &program)?;
            add_users(&mut archive, &(package_users(&package)? + USERS));
            let size = archive.write_after(&self.initrd, &initrd)?;
            Ok(format!("made, {} KiB more", size >> 10))
        })?;
        Ok(Self {
            initrd,
            ..self.clone()
        })
    }
}
