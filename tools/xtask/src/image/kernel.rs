// SPDX-License-Identifier: MIT
//! Debian's arm64 kernels, unmodified: dom0's and the guests'.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use steps::{Cx, Steps, files};

use super::archive::Archive;
use crate::debian::pins;

/// Options that the guest needs for the demo; they must be built in.
const NEEDED: [&str; 3] = [
    "CONFIG_SERIAL_AMBA_PL011",
    "CONFIG_SERIAL_AMBA_PL011_CONSOLE",
    "CONFIG_HVC_XEN",
];

/// Unpacks only the needed files of a package's hundreds of megabytes.
const UNPACK: &str = "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards \
    './boot/*' '*/modules.builtin' '*/drivers/xen/*' '*/drivers/virtio/*' \
    '*/drivers/char/*' '*/drivers/block/virtio_blk*' '*/fs/ext4/*' '*/fs/jbd2/*' \
    '*/fs/mbcache*' '*/lib/crc16*' '*/crypto/crc32c_generic*'";

/// A version of Debian's kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Linux {
    /// Debian 12's.
    #[default]
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13's.
    #[value(name = "6.12")]
    V6_12,
}

impl Linux {
    fn number(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// The part of file and step names that distinguishes this version from the usual
    /// one.
    pub(super) fn suffix(self) -> String {
        match self {
            Self::V6_1 => String::new(),
            Self::V6_12 => format!("-{}", self.number()),
        }
    }
}

/// The kernels of a machine's Linux systems, which are Debian's.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Kernels {
    /// Version of dom0's kernel, which is Debian's
    #[arg(long = "dom0-kernel", value_name = "LINUX", default_value = "6.1")]
    pub(super) dom0: Linux,
    /// Version of the Linux guests' kernel, which is Debian's
    #[arg(long = "guest-kernel", value_name = "LINUX", default_value = "6.1")]
    pub(super) guest: Linux,
}

impl Kernels {
    /// The part of names that distinguishes images with these from the usual ones.
    pub(super) fn suffix(self) -> String {
        [("-dom0", self.dom0), ("-guest", self.guest)]
            .iter()
            .filter(|(_, kernel)| *kernel != Linux::default())
            .map(|(system, kernel)| format!("{system}{}", kernel.suffix()))
            .collect::<Vec<_>>()
            .concat()
    }
}

/// The kernel, unpacked.
pub(crate) struct Kernel {
    pub(super) version: Linux,
    /// The image for a boot loader.
    pub(crate) image: PathBuf,
    modules: PathBuf,
    /// Its own name for its version, which is also the folder of its modules.
    release: String,
    /// The step's key.
    pub(crate) key: String,
}

impl Kernel {
    /// Fetches and unpacks the kernel.
    pub(crate) fn fetch(steps: &Steps, version: Linux) -> Result<Self> {
        let suffix = version.suffix();
        let folder = format!("machine/kernel{suffix}");
        let folder = steps.dirs.target.join(folder);
        let image = folder.join("Image");
        let pins = steps.pins(&format!("linux-{}", version.number()))?;
        let step = format!("linux kernel{suffix}");
        let key = pins::key(&pins).text(UNPACK);
        let key = steps.run(&step, key, &[&image], |cx| {
            let deb = &cx.fetch(&pins)?[0];
            let unpacked = folder.join("package");
            files::remove(&folder.join("modules"))?;
            files::empty(&unpacked)?;
            cx.run(
                Command::new("sh")
                    .args(["-ec", UNPACK, "sh"])
                    .arg(deb)
                    .arg(&unpacked),
            )?;
            check_options(&unpacked)?;
            fs::copy(only(&unpacked.join("boot"), "vmlinuz-")?, &image)?;
            // Debian 13 has its files only below usr.
            let modules = ["lib/modules", "usr/lib/modules"].map(|path| unpacked.join(path));
            let modules = modules.iter().find(|path| path.exists());
            let modules = only(modules.context("no modules")?, "")?;
            fs::rename(modules, folder.join("modules"))?;
            cx.run(
                Command::new("find")
                    .arg(folder.join("modules"))
                    .args(["-name", "*.ko.xz", "-exec", "unxz", "{}", "+"]),
            )?;
            fs::remove_dir_all(&unpacked)?;
            Ok(format!("{} {} unpacked", pins.0[0].name, pins.version()))
        })?;
        Ok(Self {
            version,
            image,
            modules: folder.join("modules"),
            release: pins.0[0].name.replace("linux-image-", ""),
            key,
        })
    }

    /// Copies the modules to their place in a system, for depmod.
    pub(super) fn copy_modules(&self, cx: &Cx, root: &Path) -> Result<()> {
        let folder = root.join("usr/lib/modules");
        fs::create_dir_all(&folder)?;
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(&self.modules);
        cx.run(copy.arg(folder.join(&self.release)))
    }

    /// Adds modules to `/lib/modules` of an archive, by name, except for those that are
    /// built into the kernel.
    pub(crate) fn add_modules(&self, archive: &mut Archive, names: &[&str]) -> Result<()> {
        let files = files::list(&self.modules)?;
        let built_in = fs::read_to_string(self.modules.join("modules.builtin"))?;
        for name in names {
            let file = format!("{name}.ko");
            match files.iter().find(|path| path.ends_with(&file)) {
                Some(from) => archive.file(&format!("/lib/modules/{file}"), from)?,
                None => ensure!(
                    has_module(&built_in, &file),
                    "Debian's kernel has no module {file}"
                ),
            }
        }
        Ok(())
    }
}

/// Whether a module's file is in a list of paths.
fn has_module(paths: &str, file: &str) -> bool {
    let mut paths = paths.lines().map(Path::new);
    paths.any(|path| path.ends_with(file))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_by_its_whole_name() {
        let paths = "kernel/drivers/char/virtio_console.ko\nkernel/fs/binfmt_script.ko\n";
        assert!(has_module(paths, "virtio_console.ko"));
        assert!(!has_module(paths, "console.ko"));
        assert!(!has_module(paths, "xenfs.ko"));
    }
}
