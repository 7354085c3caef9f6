// SPDX-License-Identifier: MIT
//! dom0: Debian's kernel, the toolstack we built, our daemon and client, and the guests
//! it starts. It has no xenconsoled, unless the toolstack is the stock one.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use steps::{Cx, Key, Steps};

use super::archive::{self, Archive};
use super::{Firmware, Kernel, Kernels, guest, libraries, systemd, u_boot};
use crate::debian::programs as others;
use crate::package::programs::{self, ARM64};
use crate::package::{self, Package, VCONSOLED};
use crate::xen::toolstack::{INIT_DOM0, XENCONSOLE, XENCONSOLED, XENTRACE, XL, Xenstore};
use crate::xen::{Built, Which, sysroot};

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

/// Names of xenstore's one client program.
const XENSTORE_CLIENTS: [&str; 7] = [
    "xenstore-chmod",
    "xenstore-list",
    "xenstore-ls",
    "xenstore-read",
    "xenstore-rm",
    "xenstore-watch",
    "xenstore-write",
];

/// Third-party programs that attach to consoles, and the terminals they support; and
/// udev, which a scenario puts into a guest.
const PROGRAMS: &[&str] = &[
    "bin/udevadm",
    "usr/bin/console",
    "usr/bin/screen",
    "usr/bin/shellinaboxd",
    "usr/bin/socat",
    "usr/sbin/conserver",
];
const TERMINALS: &[&str] = &["lib/terminfo/s/screen", "lib/terminfo/v/vt100"];
/// The one module of PAM's, and a rule for it: every user who may start shellinabox may
/// use it.
const PAM_PERMIT: &str = "lib/aarch64-linux-gnu/security/pam_permit.so";
const PAM: &str = "auth required pam_permit.so\naccount required pam_permit.so\n\
    session required pam_permit.so\n";
const HOSTS: &str = "127.0.0.1 localhost\n";

/// The package's list of the users it needs.
const SYSUSERS: &str = "usr/lib/sysusers.d/vconsoled.conf";

/// The guest of `cargo xtask boot` and of `--interactive`.
const GUEST: &str = "\
name = \"guest\"
kernel = \"/guest/Image\"
ramdisk = \"/guest/guest.cpio.gz\"
memory = 192
on_crash = \"destroy\"
";

/// QEMU's input to start dom0.
#[derive(Clone)]
pub(crate) struct Dom0 {
    /// Its kernel.
    pub(crate) kernel: PathBuf,
    /// Its initramfs.
    pub(crate) initrd: PathBuf,
    /// The kernel and the initramfs of a Linux guest, which dom0's initramfs contains.
    pub(crate) guest_kernel: PathBuf,
    pub(crate) guest: PathBuf,
    /// Its disks, in the order of their names in Linux.
    pub(crate) disks: Vec<PathBuf>,
}

impl Dom0 {
    /// Makes dom0's initramfs with all its contents, for a toolstack.
    pub(crate) fn make(steps: &Steps, built: &Built, kernels: Kernels) -> Result<Self> {
        let is_hooked = built.which.flavour.is_hooked();
        let kernel = Kernel::fetch(steps, kernels.dom0)?;
        let guest_kernel = Kernel::fetch(steps, kernels.guest)?;
        let sysroot = sysroot::make(steps)?;
        let (guest, guest_key) = guest::make(steps, &guest_kernel, &sysroot)?;
        let package = is_hooked
            .then(|| package::make(steps, &VCONSOLED, &ARM64))
            .transpose()?;
        let others = if is_hooked {
            others::make_for_dom0(steps)?
        } else {
            String::new()
        };
        let programs = package.as_ref().map_or("", |package| &package.key);
        let (bare_metal, bare_metal_key) = guest::bare_metal(steps)?;
        let (u_boot, u_boot_key) = u_boot::build(steps)?;
        let firmware = Firmware::build(steps)?;
        let initrd = steps
            .dirs
            .target
            .join("machine")
            .join(file_name(built.which, kernels));
        let key = Key::default()
            .text(&built.toolstack)
            .text(programs)
            .text(others)
            .text(archive::TEXT)
            .text(libraries::TEXT)
            .text(&kernel.key)
            .text(guest_key)
            .text(bare_metal_key)
            .text(u_boot_key)
            .text(&firmware.key)
            .text(INIT);
        let step = format!("dom0 image{}", kernels.suffix());
        steps.run(&built.which.step(&step), key, &[&initrd], |cx| {
            let mut archive = compose(cx, &kernel, built, package.as_ref())?;
            archive.file("/guest/Image", &guest_kernel.image)?;
            archive.file("/guest/guest.cpio.gz", &guest)?;
            for name in guest::BARE_METAL {
                archive.file(&format!("/guest/{name}"), &bare_metal.join(name))?;
            }
            archive.file("/guest/u-boot.bin", &u_boot)?;
            for name in Firmware::names() {
                archive.file(&format!("/guest/{name}"), &firmware.image(name))?;
            }
            let size = archive.write(&initrd)?;
            Ok(format!("made, {} KiB", size >> 10))
        })?;
        Ok(Self {
            kernel: kernel.image,
            initrd,
            guest_kernel: guest_kernel.image,
            guest,
            disks: Vec::new(),
        })
    }
}

impl Dom0 {
    /// Makes the initramfs of a dom0 with Debian's systemd. It contains our package,
    /// not installed.
    pub(crate) fn with_systemd(steps: &Steps, built: &Built, kernels: Kernels) -> Result<Self> {
        let kernel = Kernel::fetch(steps, kernels.dom0)?;
        let guest_kernel = Kernel::fetch(steps, kernels.guest)?;
        let sysroot = sysroot::make(steps)?;
        let (guest, guest_key) = guest::make(steps, &guest_kernel, &sysroot)?;
        let package = package::make(steps, &VCONSOLED, &ARM64)?;
        let system = systemd::fetch(steps)?;
        let initrd = steps.dirs.target.join("machine").join(format!(
            "{}{}-systemd.cpio",
            built.which.tree(),
            kernels.suffix()
        ));
        let key = Key::default()
            .text(&built.toolstack)
            .text(&package.key)
            .text(&kernel.key)
            .text(guest_key)
            .text(&system.key)
            .text(archive::TEXT)
            .text(libraries::TEXT);
        steps.run(
            &built
                .which
                .step(&format!("dom0 image{} with systemd", kernels.suffix())),
            key,
            &[&initrd],
            |cx| {
                let mut archive = Archive::merged();
                system.add(&mut archive)?;
                add_xen(cx, &mut archive, &kernel, built)?;
                add_client(&mut archive);
                archive.file("/guest/vconsoled.deb", &package.file)?;
                archive.file("/guest/Image", &guest_kernel.image)?;
                archive.file("/guest/guest.cpio.gz", &guest)?;
                let roots = [system.root.clone(), cx.dirs.target.join("sysroot")];
                let folders = [
                    vec![system.root.join("usr/lib/aarch64-linux-gnu/systemd")],
                    library_folders(built, &roots)?,
                ];
                libraries::add(&mut archive, &folders.concat())?;
                let size = archive.write(&initrd)?;
                Ok(format!("made, {} KiB", size >> 10))
            },
        )?;
        Ok(Self {
            kernel: kernel.image,
            initrd,
            guest_kernel: guest_kernel.image,
            guest,
            disks: Vec::new(),
        })
    }
}

/// The image's file; the dot of a version does not start an extension.
fn file_name(which: Which, kernels: Kernels) -> String {
    format!("{}{}.cpio", which.tree(), kernels.suffix())
}

fn compose(cx: &Cx, kernel: &Kernel, built: &Built, package: Option<&Package>) -> Result<Archive> {
    let mut archive = Archive::new();
    archive.script("/init", INIT);
    add_xen(cx, &mut archive, kernel, built)?;
    let others = others::for_dom0(cx.dirs);
    if let Some(package) = package {
        for path in PROGRAMS.iter().chain(TERMINALS) {
            archive.file(&format!("/{path}"), &others.join(path))?;
        }
        archive.file("/usr/sbin/xentrace", &built.tree.join(XENTRACE))?;
        // /lib/aarch64-linux-gnu is a link.
        archive.file(&format!("/usr/{PAM_PERMIT}"), &others.join(PAM_PERMIT))?;
        archive.text("/etc/pam.d/other", PAM);
        archive.text("/etc/hosts", HOSTS);
        archive.tree(&package.root)?;
        add_users(&mut archive, &package_users(package)?);
        add_client(&mut archive);
    } else {
        archive.file("/usr/sbin/xenconsoled", &built.tree.join(XENCONSOLED))?;
        archive.file("/usr/lib/xen/bin/xenconsole", &built.tree.join(XENCONSOLE))?;
    }
    let roots = [cx.dirs.target.join("sysroot"), others];
    libraries::add(&mut archive, &library_folders(built, &roots)?)?;

    let uart = match package {
        Some(_) => "pl011 = 1\nextra = \"console=hvc0 console=ttyAMA0\"\n",
        None => "vuart = \"sbsa_uart\"\nextra = \"console=hvc0 console=ttyAMA0\"\n",
    };
    archive.text("/guest/guest.cfg", &format!("{GUEST}{uart}"));
    Ok(archive)
}

/// Adds the files of a domain 0, except for the console daemon, and the programs that
/// run scenarios in it.
fn add_xen(cx: &Cx, archive: &mut Archive, kernel: &Kernel, built: &Built) -> Result<()> {
    archive.text("/etc/hostname", "dom0\n");
    archive.text("/etc/xen/xl.conf", "autoballoon = \"off\"\n");
    archive.file(
        "/bin/busybox",
        &cx.dirs.target.join("sysroot").join("bin/busybox"),
    )?;
    kernel.add_modules(archive, &MODULES)?;
    let xenstore = Xenstore::of(&built.tree);
    for (to, from) in [
        ("/usr/sbin/xl", XL),
        ("/usr/sbin/xenstored", xenstore.daemon),
        ("/usr/sbin/xen-init-dom0", INIT_DOM0),
        ("/usr/bin/xenstore", xenstore.client),
    ] {
        archive.file(to, &built.tree.join(from))?;
    }
    for client in XENSTORE_CLIENTS {
        archive.link(&format!("/usr/bin/{client}"), "xenstore");
    }
    archive.file("/usr/bin/e2e", &programs::path(cx.dirs, &ARM64, "e2e"))
}

/// Adds our client where our build of xl looks for one.
fn add_client(archive: &mut Archive) {
    archive.link("/usr/lib/xen/bin/xenconsole", "/usr/bin/vconsole");
}

/// The folders of the toolstack's libraries and, in these roots, of the libraries that
/// they and other programs need.
pub(super) fn library_folders(built: &Built, roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(built.tree.join("tools/libs"))? {
        folders.push(entry?.path());
    }
    for root in roots {
        let libraries = ["usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu", "lib"];
        folders.extend(libraries.map(|dir| root.join(dir)));
    }
    Ok(folders)
}

/// The package's file with the users it needs.
pub(super) fn package_users(package: &Package) -> Result<String> {
    Ok(fs::read_to_string(package.root.join(SYSUSERS))?)
}

/// Adds root, and the users and groups of a file of systemd-sysusers.
pub(super) fn add_users(archive: &mut Archive, sysusers: &str) {
    let (users, groups) = users_of(sysusers);
    archive.text("/etc/passwd", &users);
    archive.text("/etc/group", &groups);
}

/// The unprivileged user of shellinabox.
const NOBODY: &str = "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";

/// What systemd-sysusers makes of its file: users and groups in addition to root's.
fn users_of(sysusers: &str) -> (String, String) {
    let names = sysusers
        .lines()
        .filter_map(|line| line.strip_prefix("u ")?.split_whitespace().next());
    let (users, groups): (String, String) = (990..)
        .zip(names)
        .map(|(id, name)| {
            let user = format!("{name}:x:{id}:{id}::/:/usr/sbin/nologin\n");
            (user, format!("{name}:x:{id}:\n"))
        })
        .unzip();
    (
        format!("root:x:0:0:root:/root:/bin/sh\n{NOBODY}{users}"),
        format!("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n{groups}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::kernel::Linux;
    use crate::xen::Flavour;

    #[test]
    fn the_packages_users_are_made() {
        let (users, groups) = users_of("# u no\nu one - \"One\" - -\ng two - -\n");
        assert!(users.ends_with("nologin\none:x:990:990::/:/usr/sbin/nologin\n"));
        assert!(groups.ends_with("65534:\none:x:990:\n"));
    }

    #[test]
    fn each_flavour_has_an_image_of_its_own() {
        let kernels = Kernels::default();
        assert_eq!(file_name(Flavour::Ours.into(), kernels), "4.17.cpio");
        assert_eq!(file_name(Flavour::Stock.into(), kernels), "4.17-stock.cpio");
        let (old, new) = (Linux::V6_1, Linux::V6_12);
        for (dom0, guest, wanted) in [
            (old, new, "4.17-guest-6.12.cpio"),
            (new, old, "4.17-dom0-6.12.cpio"),
            (new, new, "4.17-dom0-6.12-guest-6.12.cpio"),
        ] {
            let name = file_name(Flavour::Ours.into(), Kernels { dom0, guest });
            assert_eq!(name, wanted);
        }
    }
}
