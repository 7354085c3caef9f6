// SPDX-License-Identifier: MIT
//! A dom0 of Debian 13 or 12 on a disk, with Debian's own Xen: pinned packages, which their
//! own dpkg configures in an emulated machine. Either QEMU loads hypervisor and kernel,
//! with an initramfs of ours that mounts the disk, or the firmware starts the disk's
//! GRUB, which loads the packages' own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ::pins::Pins;
use anyhow::{Result, ensure};
use steps::{Cx, Key, Steps, files, write};

use super::archive::{self, Archive};
use super::drive::drive;
use super::efi::{self, EfiDisk};
use super::kernel::{Kernel, Linux};
use super::{Dom0, guest};
use crate::debian::{merged, pins, unpacked};
use crate::package::programs::{self, ARM64};
use crate::package::stack::{RELEASES, Release};
use crate::package::{self, Package, VCONSOLED};
use crate::xen::sysroot;

/// The file system's size in MiB; its file is sparse.
const SIZE: u32 = 1500;

/// The same with the kernel's whole package.
const SIZE_WITH_KERNEL: u64 = 2500;

pub(super) const INIT: &str = include_str!("disk-init.sh");
const CONFIGURE: &str = include_str!("disk-configure.sh");
const SHELL: &str = include_str!("disk-shell.service");
const SHELL_SYSVINIT: &str = include_str!("disk-shell.sh");
const AGENT: &str = include_str!("disk-e2e.service");
/// The last line of [`CONFIGURE`], if nothing is amiss.
const CONFIGURED: &str = "All packages are configured.";

/// What the initramfs loads.
const MODULES: [&str; 7] = [
    "virtio_mmio",
    "virtio_blk",
    "crc16",
    "crc32c_generic",
    "mbcache",
    "jbd2",
    "ext4",
];

/// Settings of a system that starts by GRUB, on the partitions of an [`EfiDisk`]. The
/// initramfs has the modules of this machine only. As on the other disk, QEMU's virtual
/// time is better used than by Xen's scrubbing of free memory, a queue for both CPUs and
/// separate page tables.
const GRUB: [(&str, &str); 3] = [
    (
        "etc/fstab",
        "/dev/vda2 / ext4 noatime 0 0\n/dev/vda1 /boot/efi vfat noauto 0 0\n",
    ),
    ("etc/initramfs-tools/conf.d/modules", "MODULES=dep\n"),
    (
        "etc/default/grub.d/dom0.cfg",
        "GRUB_TIMEOUT=1\n\
         GRUB_CMDLINE_XEN=\"dom0_mem=1024M bootscrub=0 credit2_runqueue=cpu\"\n\
         GRUB_CMDLINE_LINUX_XEN_REPLACE=\"console=hvc0 nokaslr\"\n",
    ),
];

/// The packages that sysvinit's are in place of.
const SYSTEMD: [&str; 2] = ["systemd", "systemd-sysv"];

/// Debian's table for sysvinit, and the line for the console in place of its terminals.
const INITTAB: [&str; 2] = ["usr/share/sysvinit/inittab", "etc/inittab"];
const CONSOLE: &str = "sh:2:once:/bin/sh /shell";

/// A system on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// With Debian's Xen. QEMU loads hypervisor, kernel and initramfs; the disk is
    /// dom0's root.
    Plain,
    /// The same of Debian 12.
    Bookworm,
    /// With Debian's Xen, by firmware and GRUB.
    Grub,
    /// As the plain one, with sysvinit in place of systemd.
    Sysvinit,
    /// With our packages of Xen, loaded likewise, Debian's libvirt, the agent, and the
    /// daemon's package, which is not installed.
    Ours,
}

impl System {
    /// The part of the names of steps and folders that distinguishes it.
    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bookworm => "-bookworm",
            Self::Grub => "-grub",
            Self::Sysvinit => "-sysvinit",
            Self::Ours => "-ours",
        }
    }

    /// Its release.
    pub(crate) fn release(self) -> &'static Release {
        let [trixie, bookworm] = &RELEASES;
        match self {
            Self::Bookworm => bookworm,
            Self::Plain | Self::Grub | Self::Sysvinit | Self::Ours => trixie,
        }
    }

    /// dom0's kernel.
    fn kernel(self) -> Linux {
        match self {
            Self::Bookworm => Linux::V6_1,
            Self::Plain | Self::Grub | Self::Sysvinit | Self::Ours => Linux::V6_12,
        }
    }

    /// The release's packages that each system with Debian's Xen has.
    fn usual(self, steps: &Steps) -> Result<Pins> {
        steps.pins(match self {
            Self::Bookworm => "install-bookworm",
            Self::Plain | Self::Grub | Self::Sysvinit | Self::Ours => "install",
        })
    }

    /// Debian's packages of Xen, which ours replace.
    pub(crate) fn xens(self, steps: &Steps) -> Result<Pins> {
        let mut pins = self.usual(steps)?;
        pins.0.retain(|pin| is_xens(&pin.name));
        Ok(pins)
    }

    /// Debian's packages in it.
    fn pins(self, steps: &Steps) -> Result<Pins> {
        let mut pins = self.usual(steps)?;
        match self {
            Self::Plain | Self::Bookworm => {}
            Self::Grub => {
                pins.0.extend(steps.pins("boot")?.0);
                pins.0.extend(steps.pins("linux-6.12")?.0);
            }
            Self::Sysvinit => {
                pins.0.retain(|pin| !SYSTEMD.contains(&&*pin.name));
                pins.0.extend(steps.pins("sysvinit")?.0);
            }
            Self::Ours => {
                pins.0.retain(|pin| !is_xens(&pin.name));
                pins.0.extend(steps.pins("agent")?.0);
            }
        }
        Ok(pins)
    }

    /// Our packages in it, in place of those of Debian's that are on the other disks.
    fn ours(self, steps: &Steps) -> Result<Vec<PathBuf>> {
        if self != Self::Ours {
            return Ok(Vec::new());
        }
        let replaced = self.xens(steps)?.0;
        let mut debs = files::list(&self.release().repository(steps)?)?;
        debs.retain(|deb| {
            let file = deb.file_name().unwrap_or_default().to_string_lossy();
            let (name, _) = file.split_once('_').unwrap_or_default();
            replaced.iter().any(|pin| pin.name == name)
        });
        Ok(debs)
    }
}

/// Whether a package is made from Xen's source, by its name.
pub(super) fn is_xens(name: &str) -> bool {
    name.starts_with("libxen") || name.starts_with("xen")
}

/// The disk, and what boots from it.
pub(crate) struct Disk {
    /// The configured system. Not to be written to.
    pub(crate) image: PathBuf,
    /// The hypervisor of Debian's package in it.
    pub(crate) hypervisor: PathBuf,
    /// What QEMU loads, if it does.
    pub(crate) dom0: Dom0,
}

impl Disk {
    /// Makes the disk.
    pub(crate) fn make(steps: &Steps, system: System) -> Result<Self> {
        let suffix = system.suffix();
        let folder = steps.dirs.target.join(format!("install{suffix}"));
        let root = folder.join("root");
        let (pins, ours) = (system.pins(steps)?, system.ours(steps)?);
        let key = pins::key(&pins).text(include_str!("../debian/unpacked.rs"));
        let key = ours.iter().try_fold(key, |key, deb| key.file(deb))?;
        let step = format!("debian dom0 packages{suffix}");
        let unpacked = steps.run(&step, key, &[&root], |cx| {
            let debs = [cx.fetch(&pins)?, ours].concat();
            unpacked::unpack(cx, &debs, &root)?;
            Ok(format!("{} packages unpacked", debs.len()))
        })?;
        let kernel = Kernel::fetch(steps, system.kernel())?;
        let guest_kernel = Kernel::fetch(steps, Linux::default())?;
        let sysroot = sysroot::make(steps)?;
        let (guest, guest_key) = guest::make(steps, &guest_kernel, &sysroot)?;
        let package = (system == System::Ours)
            .then(|| package::make(steps, &VCONSOLED, &ARM64))
            .transpose()?;
        if system == System::Grub {
            efi::tools(steps)?;
        }
        let dom0 = Dom0 {
            kernel: kernel.image.clone(),
            initrd: folder.join("first.cpio"),
            guest_kernel: guest_kernel.image.clone(),
            guest,
            disks: Vec::new(),
        };
        let image = folder.join("configured.img");
        let own = match (&package, system) {
            (Some(package), _) => &package.key,
            (None, System::Grub) => include_str!("efi.rs"),
            (None, System::Bookworm) => include_str!("../debian/merged.rs"),
            (None, System::Sysvinit) => SHELL_SYSVINIT,
            (None, _) => "",
        };
        let texts = [INIT, CONFIGURE, SHELL, AGENT, archive::TEXT, own];
        let key = [&*unpacked, &kernel.key, &guest_key]
            .into_iter()
            .chain(texts)
            .fold(Key::default(), Key::text);
        let step = format!("debian dom0 disk{suffix}");
        steps.run(&step, key, &[&image, &dom0.initrd], |cx| {
            initramfs(&kernel, &sysroot_busybox(cx), &dom0.initrd)?;
            if system == System::Bookworm {
                merged::merge(cx, &root)?;
            }
            furnish(&root, &dom0)?;
            if system == System::Sysvinit {
                add_inittab(&root)?;
            } else {
                add_unit(&root, "shell.service", SHELL)?;
            }
            if system == System::Grub {
                add_grub(&root)?;
                let disk = EfiDisk {
                    esp: None,
                    root: &root,
                    size: SIZE_WITH_KERNEL,
                };
                disk.make(cx, &image)?;
                configure(cx, &dom0.kernel, &dom0.initrd, &image, "/dev/vda2")?;
            } else {
                kernel.copy_modules(cx, &root)?;
                if let Some(package) = &package {
                    add_agent(cx, &root, package)?;
                }
                make_filesystem(cx, &root, SIZE, &image)?;
                configure(cx, &dom0.kernel, &dom0.initrd, &image, "/dev/vda")?;
            }
            Ok("configured by its own dpkg".into())
        })?;
        Ok(Self {
            image,
            hypervisor: root.join(system.release().hypervisor()),
            dom0,
        })
    }
}

pub(super) fn sysroot_busybox(cx: &Cx) -> PathBuf {
    cx.dirs.target.join("sysroot/bin/busybox")
}

/// Makes the initramfs that starts a program of the disk's.
pub(super) fn initramfs(kernel: &Kernel, busybox: &Path, to: &Path) -> Result<()> {
    let mut archive = Archive::new();
    archive.script("/init", INIT);
    archive.file("/bin/busybox", busybox)?;
    kernel.add_modules(&mut archive, &MODULES)?;
    archive.write(to)?;
    Ok(())
}

/// Adds what a dom0 needs beside its packages, and the guest.
fn furnish(root: &Path, dom0: &Dom0) -> Result<()> {
    for (path, text) in [
        ("etc/hostname", "dom0\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
    ] {
        write(&root.join(path), text)?;
    }
    let configure = root.join("configure");
    write(&configure, CONFIGURE)?;
    fs::set_permissions(&configure, fs::Permissions::from_mode(0o755))?;
    for folder in ["guest", "srv/vpl011"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(&dom0.guest_kernel, root.join("guest/Image"))?;
    fs::copy(&dom0.guest, root.join("guest/guest.cpio.gz"))?;
    Ok(())
}

/// Adds a unit that starts with the system.
fn add_unit(root: &Path, name: &str, text: &str) -> Result<()> {
    let units = root.join("etc/systemd/system");
    write(&units.join(name), text)?;
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    link(&format!("../{name}"), &wants.join(name))
}

/// Adds a shell that sysvinit starts after its scripts, and the line by which these find
/// the root mounted as it is to be.
fn add_inittab(root: &Path) -> Result<()> {
    let [usual, own] = INITTAB.map(|path| root.join(path));
    let table = fs::read_to_string(usual)?;
    let lines = table.lines().filter(|line| !line.contains("getty"));
    let lines: Vec<&str> = lines.chain([CONSOLE, ""]).collect();
    write(&own, lines.join("\n"))?;
    write(&root.join("shell"), SHELL_SYSVINIT)?;
    write(&root.join("etc/fstab"), "/dev/vda / ext4 noatime 0 0\n")
}

/// Adds what GRUB and the kernel's package need.
fn add_grub(root: &Path) -> Result<()> {
    for (path, text) in GRUB {
        write(&root.join(path), text)?;
    }
    fs::create_dir_all(root.join("boot/efi"))?;
    Ok(())
}

/// Adds the agent, the daemon's package for it, and the folder of guests' logs.
fn add_agent(cx: &Cx, root: &Path, package: &Package) -> Result<()> {
    add_unit(root, "e2e.service", AGENT)?;
    fs::copy(
        programs::path(cx.dirs, &ARM64, "e2e"),
        root.join("usr/bin/e2e"),
    )?;
    fs::copy(&package.file, root.join("guest/vconsoled.deb"))?;
    fs::create_dir_all(root.join("var/log/xen/console"))?;
    Ok(())
}

/// Makes a link, also in place of an earlier one.
fn link(to: &str, path: &Path) -> Result<()> {
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    symlink(to, path)?;
    Ok(())
}

/// Makes a disk with a folder's contents and so many MiB.
pub(crate) fn make_filesystem(cx: &Cx, from: &Path, size: u32, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_file(to)?;
    }
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"]);
    cx.run(make.arg(from).arg(to).arg(format!("{size}M")))
}

/// Lets dpkg configure all packages, without Xen, in the file system on a device. A
/// script `/configure` there does it, which an initramfs of [`initramfs`] starts.
pub(super) fn configure(
    cx: &Cx,
    kernel: &Path,
    initrd: &Path,
    image: &Path,
    device: &str,
) -> Result<()> {
    let mut run = Command::new("qemu-system-aarch64");
    run.args(["-machine", "virt,gic-version=3", "-cpu", "cortex-a57"]);
    run.args(["-smp", "2", "-m", "1024", "-display", "none"]);
    run.args(["-nic", "none", "-no-reboot", "-monitor", "none"]);
    run.args(["-serial", "stdio"]);
    run.arg("-kernel").arg(kernel);
    run.arg("-initrd").arg(initrd);
    run.arg("-append").arg(format!(
        "console=ttyAMA0 rdinit=/init quiet root={device} start=/configure"
    ));
    run.args(drive(0, image));
    let (_, said) = cx.attempt(&mut run)?;
    ensure!(
        said.contains(CONFIGURED),
        "dpkg has not configured all packages: see {}",
        cx.log().display()
    );
    Ok(())
}
