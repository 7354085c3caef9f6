// SPDX-License-Identifier: MIT
//! dom0: Debian's kernel, the toolstack we built, our daemon and client, and
//! the guests it is to start. There is no xenconsoled in it, unless the
//! toolstack is the stock one.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::archive::Archive;
use super::{Kernel, guest, libraries, programs};
use crate::packages::Packages;
use crate::step::{Cx, Key, Steps};
use crate::xen::toolstack::{INIT_DOM0, XENCONSOLE, XENCONSOLED, XENSTORE, XENSTORED, XL};
use crate::xen::{Built, Flavour, sysroot};

const INIT: &str = include_str!("dom0-init.sh");

/// For Xen, events and the channel to the build host.
const MODULES: [&str; 7] = [
    "xen-privcmd",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xenfs",
    "virtio_mmio",
    "virtio_console",
];

/// Names under which xenstore's one client program is called.
const XENSTORE_CLIENTS: [&str; 7] = [
    "xenstore-chmod",
    "xenstore-list",
    "xenstore-ls",
    "xenstore-read",
    "xenstore-rm",
    "xenstore-watch",
    "xenstore-write",
];

/// Root, and the user that the daemon becomes.
const USERS: &str = "\
root:x:0:0:root:/root:/bin/sh
vconsoled:x:990:990::/nonexistent:/bin/false
";
const GROUPS: &str = "root:x:0:\ntty:x:5:\nvconsoled:x:990:\n";

/// The guest of `cargo xtask boot` and of `--interactive`.
const GUEST: &str = "\
name = \"guest\"
kernel = \"/guest/Image\"
ramdisk = \"/guest/guest.cpio.gz\"
memory = 192
on_crash = \"destroy\"
";

/// What QEMU is given to start dom0.
pub(crate) struct Dom0 {
    /// Its kernel.
    pub(crate) kernel: PathBuf,
    /// Its initramfs.
    pub(crate) initrd: PathBuf,
}

impl Dom0 {
    /// Makes dom0's initramfs and everything in it, around a toolstack.
    pub(crate) fn make(
        steps: &Steps,
        packages: &Packages,
        built: &Built,
        flavour: Flavour,
    ) -> Result<Self> {
        let kernel = Kernel::fetch(steps, packages)?;
        let sysroot = sysroot::make(steps, packages)?;
        let (guest, guest_key) = guest::make(steps, &kernel, &sysroot)?;
        let programs = match flavour {
            Flavour::Ours => programs::build(steps, &["vconsoled", "vconsole"])?,
            Flavour::Stock => String::new(),
        };
        let (monitor, monitor_key) = guest::monitor(steps)?;
        let initrd = steps.dirs.machine(file_name(flavour));
        let key = Key::default()
            .text(&built.toolstack)
            .text(&programs)
            .text(guest_key)
            .text(monitor_key)
            .text(INIT)
            .text(USERS)
            .text(GUEST);
        steps.run(&flavour.step("dom0 image"), key, &[&initrd], |cx| {
            let mut archive = compose(cx, &kernel, built, flavour)?;
            archive.file("/guest/guest.cpio.gz", &guest)?;
            archive.file("/guest/monitor.bin", &monitor)?;
            let size = archive.write(&initrd)?;
            Ok(format!("made, {} KiB", size >> 10))
        })?;
        Ok(Self {
            kernel: kernel.image,
            initrd,
        })
    }
}

/// The image's file; a version's dot begins no extension.
fn file_name(flavour: Flavour) -> String {
    format!("{}.cpio", flavour.tree())
}

fn compose(cx: &Cx, kernel: &Kernel, built: &Built, flavour: Flavour) -> Result<Archive> {
    let sysroot = cx.dirs.sysroot();
    let mut archive = Archive::new();
    archive.script("/init", INIT);
    archive.text("/etc/hostname", "dom0\n");
    archive.text("/etc/passwd", USERS);
    archive.text("/etc/group", GROUPS);
    archive.text("/etc/xen/xl.conf", "autoballoon = \"off\"\n");
    archive.file("/bin/busybox", &sysroot.join("bin/busybox"))?;
    kernel.add_modules(&mut archive, &MODULES)?;

    for (to, from) in [
        ("/usr/sbin/xl", XL),
        ("/usr/sbin/xenstored", XENSTORED),
        ("/usr/sbin/xen-init-dom0", INIT_DOM0),
        ("/usr/bin/xenstore", XENSTORE),
    ] {
        archive.file(to, &built.tree.join(from))?;
    }
    for client in XENSTORE_CLIENTS {
        archive.link(&format!("/usr/bin/{client}"), "xenstore");
    }
    archive.file("/usr/bin/e2e", &programs::path(cx.dirs, "e2e"))?;
    match flavour {
        Flavour::Ours => {
            for (to, program) in [
                ("/usr/sbin/vconsoled", "vconsoled"),
                ("/usr/bin/vconsole", "vconsole"),
            ] {
                archive.file(to, &programs::path(cx.dirs, program))?;
            }
            // Where xl looks for the client.
            archive.link("/usr/lib/xen/bin/xenconsole", "/usr/bin/vconsole");
        }
        Flavour::Stock => {
            archive.file("/usr/sbin/xenconsoled", &built.tree.join(XENCONSOLED))?;
            archive.file("/usr/lib/xen/bin/xenconsole", &built.tree.join(XENCONSOLE))?;
        }
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(built.tree.join("tools/libs"))? {
        folders.push(entry?.path());
    }
    folders.extend(
        ["usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu", "lib"].map(|dir| sysroot.join(dir)),
    );
    libraries::add(&mut archive, &folders)?;

    archive.file("/guest/Image", &kernel.image)?;
    let uart = match flavour {
        Flavour::Ours => "pl011 = 1\nextra = \"console=hvc0 console=ttyAMA0\"\n",
        Flavour::Stock => "vuart = \"sbsa_uart\"\nextra = \"console=hvc0 console=ttyAMA0\"\n",
    };
    archive.text("/guest/guest.cfg", &format!("{GUEST}{uart}"));
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flavour_has_an_image_of_its_own() {
        assert_eq!(file_name(Flavour::Ours), "4.17.cpio");
        assert_eq!(file_name(Flavour::Stock), "4.17-stock.cpio");
    }
}
