// SPDX-License-Identifier: MIT
//! A dom0 of Debian 13 on a disk, with Debian's own Xen: pinned packages, which their
//! own dpkg configures in an emulated machine, and the initramfs that mounts the disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use steps::{Cx, Key, Steps, write};

use super::archive::{self, Archive};
use super::kernel::{Kernel, Linux};
use super::{Dom0, guest};
use crate::debian::{pins, unpacked};
use crate::xen::sysroot;

/// The file system's size in MiB; its file is sparse.
const SIZE: u32 = 1500;

const INIT: &str = include_str!("disk-init.sh");
const CONFIGURE: &str = include_str!("disk-configure.sh");
const SHELL: &str = include_str!("disk-shell.service");
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

/// The disk, and what boots from it.
pub(crate) struct Disk {
    /// The configured system. Not to be written to.
    pub(crate) image: PathBuf,
    /// The hypervisor of Debian's package in it.
    pub(crate) hypervisor: PathBuf,
    pub(crate) dom0: Dom0,
}

impl Disk {
    /// Makes the disk.
    pub(crate) fn make(steps: &Steps) -> Result<Self> {
        let folder = steps.dirs.target.join("install");
        let root = folder.join("root");
        let pins = steps.pins("install")?;
        let key = pins::key(&pins).text(include_str!("../debian/unpacked.rs"));
        let unpacked = steps.run("debian dom0 packages", key, &[&root], |cx| {
            let debs = cx.fetch(&pins)?;
            unpacked::unpack(cx, &debs, &root)?;
            Ok(format!("{} packages unpacked", debs.len()))
        })?;
        let kernel = Kernel::fetch(steps, Linux::V6_12)?;
        let guest_kernel = Kernel::fetch(steps, Linux::default())?;
        let sysroot = sysroot::make(steps)?;
        let (guest, guest_key) = guest::make(steps, &guest_kernel, &sysroot)?;
        let dom0 = Dom0 {
            kernel: kernel.image.clone(),
            initrd: folder.join("first.cpio"),
            guest_kernel: guest_kernel.image.clone(),
            guest,
            disks: Vec::new(),
        };
        let image = folder.join("configured.img");
        let key = [INIT, CONFIGURE, SHELL, archive::TEXT, &unpacked, &guest_key]
            .into_iter()
            .fold(Key::default().text(&kernel.key), Key::text);
        steps.run("debian dom0 disk", key, &[&image, &dom0.initrd], |cx| {
            initramfs(&kernel, &sysroot_busybox(cx), &dom0.initrd)?;
            furnish(cx, &root, &kernel, &dom0)?;
            make_filesystem(cx, &root, SIZE, &image)?;
            configure(cx, &dom0, &image)?;
            Ok("configured by its own dpkg".into())
        })?;
        Ok(Self {
            image,
            hypervisor: root.join("boot/xen-4.20-arm64"),
            dom0,
        })
    }
}

fn sysroot_busybox(cx: &Cx) -> PathBuf {
    cx.dirs.target.join("sysroot/bin/busybox")
}

fn initramfs(kernel: &Kernel, busybox: &Path, to: &Path) -> Result<()> {
    let mut archive = Archive::new();
    archive.script("/init", INIT);
    archive.file("/bin/busybox", busybox)?;
    kernel.add_modules(&mut archive, &MODULES)?;
    archive.write(to)?;
    Ok(())
}

/// Adds what a dom0 needs beside its packages, and the guest.
fn furnish(cx: &Cx, root: &Path, kernel: &Kernel, dom0: &Dom0) -> Result<()> {
    kernel.copy_modules(cx, root)?;
    for (path, text) in [
        ("etc/hostname", "dom0\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("etc/systemd/system/shell.service", SHELL),
    ] {
        write(&root.join(path), text)?;
    }
    let configure = root.join("configure");
    write(&configure, CONFIGURE)?;
    fs::set_permissions(&configure, fs::Permissions::from_mode(0o755))?;
    let units = root.join("etc/systemd/system");
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    link("../shell.service", &wants.join("shell.service"))?;
    for folder in ["guest", "srv/vpl011"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(&dom0.guest_kernel, root.join("guest/Image"))?;
    fs::copy(&dom0.guest, root.join("guest/guest.cpio.gz"))?;
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

/// Lets dpkg configure all packages, without Xen.
fn configure(cx: &Cx, dom0: &Dom0, image: &Path) -> Result<()> {
    let mut run = Command::new("qemu-system-aarch64");
    run.args(["-machine", "virt,gic-version=3", "-cpu", "cortex-a57"]);
    run.args(["-smp", "2", "-m", "1024", "-display", "none"]);
    run.args(["-nic", "none", "-no-reboot", "-monitor", "none"]);
    run.args(["-serial", "stdio"]);
    run.arg("-kernel").arg(&dom0.kernel);
    run.arg("-initrd").arg(&dom0.initrd);
    run.args([
        "-append",
        "console=ttyAMA0 rdinit=/init quiet start=/configure",
    ]);
    run.args(drive(0, image));
    let (_, said) = cx.attempt(&mut run)?;
    ensure!(
        said.contains(CONFIGURED),
        "dpkg has not configured all packages: see {}",
        cx.log().display()
    );
    Ok(())
}

/// QEMU's options for a disk. What the guest has written is kept if QEMU is ended, but
/// not if this machine fails.
pub(crate) fn drive(number: usize, file: &Path) -> [String; 4] {
    let file = file.to_string_lossy().replace(',', ",,");
    [
        "-drive".into(),
        format!("file={file},format=raw,if=none,id=disk{number},cache=unsafe"),
        "-device".into(),
        format!("virtio-blk-device,drive=disk{number}"),
    ]
}
