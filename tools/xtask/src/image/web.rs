// SPDX-License-Identifier: MIT
//! dom0 with vconsole-web, which takes minutes to build.

use anyhow::Result;
use steps::{Key, Steps};

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
        let key = Key::default().text(program).text(USERS);
        self.with_more(steps, built, PROGRAM, key, |cx, archive| {
            let program = programs::path(cx.dirs, &ARM64, PROGRAM);
            archive.file(&format!("/usr/sbin/{PROGRAM}"), &program)?;
            add_users(archive, &(package_users(&package)? + USERS));
            Ok(())
        })
    }
}
