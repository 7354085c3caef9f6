// SPDX-License-Identifier: MIT
//! The build: installs the build dependencies and runs Debian's rules.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use steps::{Key, Steps, write};

use super::builder::Builder;
use super::release::Release;
use super::source::Source;
use crate::xen::jobs;

/// For arm64, without the tests, which would have to run there.
const CROSS: [&str; 3] = ["-a", "arm64", "--build-profiles=cross,nocheck"];

/// Builds the source's packages. Returns their files.
pub(super) fn packages(
    steps: &Steps,
    release: &Release,
    builder: &Builder,
    source: &Source,
) -> Result<Vec<PathBuf>> {
    let tree = builder.source();
    let key = Key::default().text(&builder.key);
    let key = key.file(&builder.path(&tree).join("debian/control"))?;
    let marker = builder.folder().join("dependencies");
    let step = builder.step(release, "build dependencies");
    let needs = steps.run(&step, key, &[&marker], |cx| {
        let mut install = vec!["apt-get", "-q", "build-dep", "-y"];
        install.push("--no-install-recommends");
        install.extend(CROSS);
        install.push(&tree);
        builder.run(cx, "/", &install)?;
        write(&marker, "installed\n")?;
        Ok("installed".into())
    })?;
    let key = Key::default().text(needs).text(&source.key);
    let last = format!("xen_{}_arm64.changes", source.version);
    let last = builder.folder().join(last);
    steps.run(&builder.step(release, "build"), key, &[&last], |cx| {
        for file in built(builder)? {
            fs::remove_file(file)?;
        }
        let parallel = jobs().replace("-j", "DEB_BUILD_OPTIONS=nocheck parallel=");
        let mut build = vec!["env", &parallel, "dpkg-buildpackage", "--no-pre-clean"];
        build.extend(["-b", "-us", "-uc"]);
        build.extend(CROSS);
        builder.run(cx, &tree, &build)?;
        Ok(format!("{} packages", built(builder)?.len()))
    })?;
    built(builder)
}

/// The built packages, without those of debug symbols.
fn built(builder: &Builder) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(builder.folder())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".deb") && !name.contains("-dbg") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
