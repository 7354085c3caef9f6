// SPDX-License-Identifier: MIT
//! Debian's arm64 kernel, unmodified: dom0's and the guest's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Steps, files};

use super::archive::Archive;
use crate::debian::pins;

/// What the guest's side of the demo rests on: options that must be built in.
const NEEDED: [&str; 3] = [
    "CONFIG_SERIAL_AMBA_PL011",
    "CONFIG_SERIAL_AMBA_PL011_CONSOLE",
    "CONFIG_HVC_XEN",
];

/// The kernel, unpacked.
pub(crate) struct Kernel {
    /// The image as a boot loader wants it.
    pub(crate) image: PathBuf,
    modules: PathBuf,
    /// The step's key.
    pub(crate) key: String,
}

impl Kernel {
    /// Fetches and unpacks it.
    pub(crate) fn fetch(steps: &Steps) -> Result<Self> {
        let folder = steps.dirs.target.join("machine/kernel");
        let image = folder.join("Image");
        let pins = steps.pins("kernel")?;
        let key = steps.run("linux kernel", pins::key(&pins), &[&image], |cx| {
            let deb = &cx.fetch(&pins)?[0];
            let unpacked = folder.join("package");
            files::remove(&folder.join("modules"))?;
            files::empty(&unpacked)?;
            // Only what is used of its hundreds of megabytes.
            cx.run(
                Command::new("sh")
                    .args([
                        "-ec",
                        "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards \
                           './boot/*' '*/drivers/xen/*' '*/virtio_mmio.ko' '*/virtio_console.ko'",
                        "sh",
                    ])
                    .arg(deb)
                    .arg(&unpacked),
            )?;
            check_options(&unpacked)?;
            fs::copy(only(&unpacked.join("boot"), "vmlinuz-")?, &image)?;
            fs::rename(
                only(&unpacked.join("lib/modules"), "")?,
                folder.join("modules"),
            )?;
            fs::remove_dir_all(&unpacked)?;
            Ok(format!("{} {} unpacked", pins.0[0].name, pins.version()))
        })?;
        Ok(Self {
            image,
            modules: folder.join("modules"),
            key,
        })
    }

    /// Adds modules to `/lib/modules` of an archive, by name.
    pub(crate) fn add_modules(&self, archive: &mut Archive, names: &[&str]) -> Result<()> {
        let files = files::list(&self.modules)?;
        for name in names {
            let file = format!("{name}.ko");
            let from = files
                .iter()
                .find(|path| path.ends_with(&file))
                .with_context(|| format!("Debian's kernel has no module {file}"))?;
            archive.file(&format!("/lib/modules/{file}"), from)?;
        }
        Ok(())
    }
}

fn check_options(unpacked: &Path) -> Result<()> {
    let config = fs::read_to_string(only(&unpacked.join("boot"), "config-")?)?;
    for option in NEEDED {
        ensure!(
            config
                .lines()
                .any(|line| line.strip_prefix(option) == Some("=y")),
            "Debian's kernel was built without {option}"
        );
    }
    Ok(())
}

/// The one entry of `folder` whose name begins with `prefix`.
fn only(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes())
        {
            ensure!(found.is_none(), "two of {prefix}* in {}", folder.display());
            found = Some(entry.path());
        }
    }
    found.with_context(|| format!("no {prefix}* in {}", folder.display()))
}
