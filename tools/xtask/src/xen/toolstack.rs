// SPDX-License-Identifier: MIT
//! The toolstack: xl, its libraries and xenstored, compiled for arm64 against
//! the unpacked packages of `target/sysroot`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Cx, Steps};

use super::jobs;
use super::tree::Tree;
use crate::debian::host;

/// Folders of `tools/`, in the order of their dependencies, without xenstore's.
const PARTS: [&str; 5] = ["include", "libs", "xl", "helpers", "console"];

/// The program that dom0 runs, in the tree.
pub(crate) const XL: &str = "tools/xl/xl";
pub(crate) const INIT_DOM0: &str = "tools/helpers/xen-init-dom0";
pub(crate) const XENCONSOLED: &str = "tools/console/daemon/xenconsoled";
pub(crate) const XENCONSOLE: &str = "tools/console/client/xenconsole";
pub(crate) const XENTRACE: &str = "tools/xentrace/xentrace";

/// The paths of xenstore in a tree.
pub(crate) struct Xenstore {
    /// Folders of `tools/`.
    parts: &'static [&'static str],
    /// Paths in the tree: the daemon, and the one client.
    pub(crate) daemon: &'static str,
    pub(crate) client: &'static str,
}

impl Xenstore {
    /// The paths in this tree: 4.17 has daemon and clients in one folder.
    pub(crate) fn of(tree: &Path) -> Self {
        if tree.join("tools/xs-clients").exists() {
            Self {
                parts: &["xenstored", "xs-clients"],
                daemon: "tools/xenstored/xenstored",
                client: "tools/xs-clients/xenstore",
            }
        } else {
            Self {
                parts: &["xenstore"],
                daemon: "tools/xenstore/xenstored",
                client: "tools/xenstore/xenstore",
            }
        }
    }
}

/// Options of Xen's configure: only what dom0 needs on arm64.
const CONFIGURE: [&str; 16] = [
    "--host=aarch64-linux-gnu",
    "--prefix=/usr",
    "--disable-docs",
    "--disable-golang",
    "--disable-ipxe",
    "--disable-ocamltools",
    "--disable-ovmf",
    "--disable-pvshim",
    "--disable-pygrub",
    "--disable-seabios",
    "--disable-stubdom",
    "--disable-systemd",
    "--disable-xsmpolicy",
    "--disable-rombios",
    "--disable-werror",
    "--with-system-qemu=/usr/bin/qemu-system-i386",
];

/// Builds the tree's toolstack against the sysroot made under `sysroot_key`.
/// Returns the step's key.
pub(crate) fn build(steps: &Steps, tree: &Tree, sysroot_key: &str) -> Result<String> {
    let sysroot = steps.dirs.target.join("sysroot");
    let configured = tree.path.join("config/Tools.mk");
    let key = tree
        .key(|path| path.ends_with("configure.ac") || path.starts_with("config"))
        .text(sysroot_key);
    let configure_key = steps.run(
        &tree.which.step("toolstack configure"),
        key,
        &[&configured],
        |cx| configure(cx, &tree.path, &sysroot),
    )?;
    let key = tree
        .key(|path| path.starts_with("tools") || path.starts_with("xen/include/public"))
        .text(configure_key)
        .text(XENTRACE);
    let xl = tree.path.join(XL);
    steps.run(&tree.which.step("toolstack"), key, &[&xl], |cx| {
        let xenstore = Xenstore::of(&tree.path);
        let whole = PARTS.iter().chain(xenstore.parts).map(|part| (part, None));
        let parts = whole.chain([(&"xentrace", Some("xentrace"))]);
        for (part, target) in parts {
            cx.run(
                host::make(cx.dirs)?
                    .arg("-C")
                    .arg(tree.path.join("tools").join(part))
                    .arg(jobs())
                    .args(target)
                    .args([
                        "XEN_TARGET_ARCH=arm64",
                        &format!("XEN_COMPILE_ARCH={}", compile_arch()),
                    ])
                    .arg("CROSS_COMPILE=aarch64-linux-gnu-")
                    .arg(format!("CC={}", compiler(&sysroot))),
            )?;
        }
        Ok("xl, libraries and xenstored built".into())
    })
}

fn configure(cx: &Cx, tree: &Path, sysroot: &Path) -> Result<String> {
    // Debian's source lacks these; autoreconf is to add them.
    for name in ["config.sub", "config.guess"] {
        fs::copy(autotools_file(name)?, tree.join(name))?;
    }
    cx.run(Command::new("autoreconf").arg("-fi").current_dir(tree))?;
    let packages = [
        sysroot.join("usr/lib/aarch64-linux-gnu/pkgconfig"),
        sysroot.join("usr/share/pkgconfig"),
    ];
    cx.run(
        Command::new("./configure")
            .arg(format!("--build={}-linux-gnu", std::env::consts::ARCH))
            .args(CONFIGURE)
            .env("PKG_CONFIG_LIBDIR", std::env::join_paths(packages)?)
            .env("PKG_CONFIG_SYSROOT_DIR", sysroot)
            .env("CC", compiler(sysroot))
            .env("CPP", format!("{} -E", compiler(sysroot)))
            .current_dir(tree),
    )?;
    Ok("configured for arm64".into())
}

/// This machine's architecture, in Xen's makefiles.
fn compile_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

fn compiler(sysroot: &Path) -> String {
    format!("aarch64-linux-gnu-gcc --sysroot={}", sysroot.display())
}

/// A file of automake, in the folder of any version.
fn autotools_file(name: &str) -> Result<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/share/misc")];
    for entry in fs::read_dir("/usr/share").context("reading /usr/share")? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"automake-"))
        {
            folders.push(path);
        }
    }
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .with_context(|| format!("no {name} on this machine: is automake installed?"))
}
