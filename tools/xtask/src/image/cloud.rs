// SPDX-License-Identifier: MIT
//! A guest's disk, made as Debian's images for clouds are: a GPT, an EFI system
//! partition, GRUB, Debian's kernel and systemd. Pinned packages of Debian 13, which
//! their own dpkg configures in an emulated machine.
//!
//! Neither GRUB nor the kernel is told where the console is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ::pins::Pins;
use anyhow::Result;
use steps::{Key, Steps, write};

use super::disk::{self, is_xens};
use super::efi::{self, EfiDisk};
use super::kernel::{Kernel, Linux};
use crate::debian::{pins, unpacked};
use crate::xen::sysroot;

/// The root partition's size in MiB.
const SIZE: u64 = 1200;

const CONFIGURE: &str = include_str!("cloud-configure.sh");

/// Modules in the guest's initramfs, for its disk in Xen and in QEMU. Debian's images
/// have all that there are, and making those takes long in an emulated machine.
const MODULES: &str = "xen-blkfront\nvirtio_blk\nvirtio_mmio\nvirtio_pci\next4\n";

/// The system's configuration files, and what they contain.
const FILES: [(&str, &str); 7] = [
    ("etc/hostname", "guest\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
    ("etc/initramfs-tools/conf.d/modules", "MODULES=list\n"),
    ("etc/initramfs-tools/modules", MODULES),
    ("etc/default/grub.d/console.cfg", GRUB),
    ("etc/systemd/system.conf.d/devices.conf", DEVICES),
    ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
];

/// GRUB uses the firmware's console. It waits long, for a busy machine.
const GRUB: &str = "GRUB_TERMINAL=console\nGRUB_TIMEOUT=60\nGRUB_CMDLINE_LINUX_DEFAULT=\n";

/// On a busy machine a device takes longer than systemd's limit of 90 s, after which it
/// starts no getty on a console.
const DEVICES: &str = "[Manager]\nDefaultDeviceTimeoutSec=600\n";

/// The finished disk. Not to be written to.
pub(crate) fn image(steps: &Steps) -> PathBuf {
    steps.dirs.target.join("cloud/disk.img")
}

/// Makes it, unless it exists, and a copy to be written to, with that name.
pub(crate) fn copy(steps: &Steps, name: &str) -> Result<PathBuf> {
    make(steps)?;
    let to = image(steps).with_file_name(name).with_extension("img");
    steps.always("guest's disk", |cx| {
        let mut copy = Command::new("cp");
        copy.arg("--sparse=always").arg(image(steps)).arg(&to);
        cx.run(&mut copy)?;
        Ok("copied".into())
    })?;
    Ok(to)
}

/// The packages of the dom0 that GRUB starts, without Xen's.
fn pins(steps: &Steps) -> Result<Pins> {
    let mut pins = steps.pins("install")?;
    pins.0.retain(|pin| !is_xens(&pin.name));
    for set in ["boot", "linux-6.12"] {
        pins.0.extend(steps.pins(set)?.0);
    }
    Ok(pins)
}

fn make(steps: &Steps) -> Result<()> {
    let image = image(steps);
    let folder = steps.dirs.target.join("cloud");
    let [root, initrd] = ["root", "first.cpio"].map(|part| folder.join(part));
    let pins = pins(steps)?;
    let key = pins::key(&pins).text(include_str!("../debian/unpacked.rs"));
    let unpacked = steps.run("debian guest packages", key, &[&root], |cx| {
        let debs = cx.fetch(&pins)?;
        unpacked::unpack(cx, &debs, &root)?;
        Ok(format!("{} packages unpacked", debs.len()))
    })?;
    efi::tools(steps)?;
    let kernel = Kernel::fetch(steps, Linux::V6_12)?;
    sysroot::make(steps)?;
    let texts = [CONFIGURE, disk::INIT, include_str!("efi.rs")];
    let key = FILES
        .iter()
        .flat_map(|(path, text)| [path, text])
        .chain(&texts)
        .fold(Key::default().text(&kernel.key).text(unpacked), Key::text);
    steps.run("debian guest disk", key, &[&image], |cx| {
        furnish(&root)?;
        disk::initramfs(&kernel, &disk::sysroot_busybox(cx), &initrd)?;
        let layout = EfiDisk {
            esp: None,
            root: &root,
            size: SIZE,
        };
        layout.make(cx, &image)?;
        disk::configure(cx, &kernel.image, &initrd, &image, "/dev/vda2")?;
        Ok("configured by its own dpkg".into())
    })?;
    Ok(())
}

/// Adds what such a system has beside its packages, and the script that completes it.
fn furnish(root: &Path) -> Result<()> {
    for (path, text) in FILES {
        write(&root.join(path), text)?;
    }
    let configure = CONFIGURE.replace("@PASSWORD@", e2e::ROOT_PASSWORD);
    write(&root.join("configure"), configure)?;
    for script in ["configure", "usr/sbin/policy-rc.d"] {
        let path = root.join(script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
