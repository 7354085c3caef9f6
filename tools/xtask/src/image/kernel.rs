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
const UNPACK: &str = "\
    dpkg-deb --fsys-tarfile \"$1\" >\"$2.tar\"
    tar --list --file \"$2.tar\" | grep -E \"$3\" | grep -v '/$' >\"$2.list\" || :
    [ ! -s \"$2.list\" ] || tar --extract --file \"$2.tar\" -C \"$2\" -T \"$2.list\"
    rm \"$2.tar\" \"$2.list\"";

/// These files: the kernel, its configuration and some modules. Since 7.2 the first two
/// are beside the modules.
const FILES: &str = "^./boot/(vmlinuz|config)-|\
    /lib/modules/[^/]+/(vmlinuz|config|modules.builtin)$|\
    /drivers/(char|virtio|xen)/|/fs/(ext4|jbd2)/|\
    /(loop|virtio_blk|xen-blkback|mbcache|crc16|crc32c_generic)[.]ko";

/// The beginning of the name of a kernel's package; the rest is the kernel's own name.
const PACKAGE: &str = "linux-image-";

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
    /// Unstable's.
    #[value(name = "7.2")]
    V7_2,
    /// Debian 13's for 32-bit machines (armmp-lpae), for guests only.
    Armmp,
}

impl Linux {
    fn number(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7_2 => "7.2",
            Self::Armmp => "armmp",
        }
    }

    /// The part of file and step names that distinguishes this version from the usual
    /// one.
    pub(super) fn suffix(self) -> String {
        match self {
            Self::V6_1 => String::new(),
            _ => format!("-{}", self.number()),
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
    /// Fails if no dom0 can have these.
    pub(crate) fn check(self) -> Result<()> {
        ensure!(
            self.dom0 != Linux::Armmp,
            "--dom0-kernel armmp: this kernel is for 32-bit machines, and dom0 is a 64-bit \
             system. Use it with --guest-kernel"
        );
        Ok(())
    }

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
        let name = pins.0.iter().find_map(|pin| pin.name.strip_prefix(PACKAGE));
        let release = name.context("no kernel is pinned")?.to_owned();
        let key = pins::key(&pins).text(UNPACK).text(FILES);
        let key = steps.run(&step, key, &[&image], |cx| {
            let unpacked = folder.join("package");
            files::remove(&folder.join("modules"))?;
            files::empty(&unpacked)?;
            for deb in cx.fetch(&pins)? {
                cx.run(
                    Command::new("sh")
                        .args(["-ec", UNPACK, "sh"])
                        .args([&deb, &unpacked])
                        .arg(FILES),
                )?;
            }
            // Debian 13 has its files only below usr.
            let modules = ["lib/modules", "usr/lib/modules"].map(|path| unpacked.join(path));
            let modules = modules.iter().find(|path| path.exists());
            let modules = modules.context("no modules")?.join(&release);
            fs::rename(modules, folder.join("modules"))?;
            let places = [
                (folder.join("modules"), String::new()),
                (unpacked.join("boot"), format!("-{release}")),
            ];
            let file = |name: &str| {
                let mut paths = places
                    .iter()
                    .map(|(place, end)| place.join(format!("{name}{end}")));
                let path = paths.find(|path| path.exists());
                path.with_context(|| format!("no {name} in the packages of {release}"))
            };
            check_options(&file("config")?)?;
            fs::copy(file("vmlinuz")?, &image)?;
            cx.run(
                Command::new("find")
                    .arg(folder.join("modules"))
                    .args(["-name", "*.ko.xz", "-exec", "unxz", "{}", "+"]),
            )?;
            fs::remove_dir_all(&unpacked)?;
            Ok(format!("{PACKAGE}{release} {} unpacked", pins.version()))
        })?;
        Ok(Self {
            version,
            image,
            modules: folder.join("modules"),
            release,
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

fn check_options(config: &Path) -> Result<()> {
    let config = fs::read_to_string(config)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_32_bit_kernel_is_for_guests_only() {
        let kernels = |dom0, guest| Kernels { dom0, guest };
        kernels(Linux::V7_2, Linux::Armmp).check().unwrap();
        let error = kernels(Linux::Armmp, Linux::V6_1).check().unwrap_err();
        assert!(error.to_string().contains("--guest-kernel"), "{error}");
    }

    #[test]
    fn a_module_is_found_by_its_whole_name() {
        let paths = "kernel/drivers/char/virtio_console.ko\nkernel/fs/binfmt_script.ko\n";
        assert!(has_module(paths, "virtio_console.ko"));
        assert!(!has_module(paths, "console.ko"));
        assert!(!has_module(paths, "xenfs.ko"));
    }
}
