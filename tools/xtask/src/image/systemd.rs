// SPDX-License-Identifier: MIT
//! A small Debian system with systemd: unpacked packages, dpkg's list of them, and the
//! files of a domain 0.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use steps::{Key, Steps, files, write};

use super::archive::Archive;
use crate::debian::apt::extract;
use crate::debian::pins;

const INIT: &str = include_str!("systemd-init.sh");

/// Our units: a replacement for Debian's /etc/init.d/xen, and the agent.
const UNITS: [(&str, &str); 2] = [
    (
        "xenstored.service",
        include_str!("systemd-xenstored.service"),
    ),
    ("e2e.service", include_str!("systemd-e2e.service")),
];

/// The content of the scripts in place of the programs in Debian's Xen.
const STOCK: &str = "the stock one";

/// Units without use in an emulated machine that runs for a minute, or that wait for
/// something it does not have.
const MASKED: [&str; 17] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "ldconfig.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-wall.path",
    "systemd-firstboot.service",
    "systemd-journal-catalog-update.service",
    "systemd-logind.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-update-done.service",
    "systemd-update-utmp.service",
];

/// Folders that dpkg and the services expect.
const FOLDERS: [&str; 7] = [
    "/var/lib/dpkg/info",
    "/var/lib/dpkg/triggers",
    "/var/lib/dpkg/updates",
    "/var/lib/systemd",
    "/var/lib/xen",
    "/var/lib/xenstored",
    "/var/log/xen/console",
];

/// Folders of packages without programs.
const LEFT_OUT: [&str; 8] = [
    "/usr/share/bash-completion/",
    "/usr/share/doc/",
    "/usr/share/info/",
    "/usr/share/lintian/",
    "/usr/share/locale/",
    "/usr/share/man/",
    "/usr/share/zsh/",
    "/usr/lib/aarch64-linux-gnu/gconv/",
];

/// The packages, unpacked.
pub(super) struct System {
    /// The folder they are unpacked to.
    pub(super) root: PathBuf,
    /// The step's key.
    pub(super) key: String,
}

/// Fetches and unpacks them.
pub(super) fn fetch(steps: &Steps) -> Result<System> {
    let root = steps.dirs.target.join("systemd");
    let pins = steps.pins("systemd")?;
    let key = steps.run("systemd packages", pins::key(&pins), &[&root], |cx| {
        let debs = cx.fetch(&pins)?;
        files::empty(&root)?;
        let mut status = String::new();
        for deb in &debs {
            extract(cx, deb, &root)?;
            let about = cx.output(Command::new("dpkg-deb").arg("--field").arg(deb))?;
            let about = about.trim_end();
            writeln!(status, "{about}\nStatus: install ok installed\n")?;
            // dpkg requires a list of a package's files; its contents are not used.
            let list = format!("var/lib/dpkg/info/{}.list", list_name(about));
            write(&root.join(list), "/.\n")?;
        }
        write(&root.join("var/lib/dpkg/status"), status)?;
        Ok(format!("{} packages unpacked", debs.len()))
    })?;
    // The constants above select the files, so this source is part of the key.
    let ours = [INIT, include_str!("systemd.rs")].into_iter();
    let key = ours
        .chain(UNITS.map(|(_, text)| text))
        .fold(Key::default().text(key), Key::text);
    Ok(System {
        root,
        key: key.finish(),
    })
}

/// dpkg's name for a package's files, from the package's control fields.
fn list_name(about: &str) -> String {
    let field = |name: &str| {
        let line = about.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    let name = field("Package:").unwrap_or_default();
    match field("Multi-Arch:").as_deref() {
        Some("same") => format!("{name}:arm64"),
        _ => name,
    }
}

impl System {
    /// Adds the system to an archive, without the libraries.
    pub(super) fn add(&self, archive: &mut Archive) -> Result<()> {
        archive.some_of(&self.root, is_wanted)?;
        archive.script("/init", INIT);
        for folder in FOLDERS {
            archive.folder(folder);
        }
        archive.text("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        archive.text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        archive.text("/etc/group", "root:x:0:\ntty:x:5:\n");
        archive.text("/etc/shadow", "root:*:19000::::::\n");
        archive.text("/etc/gshadow", "root:*::\ntty:*::\n");
        archive.text("/etc/default/xen", "XENCONSOLED_ARGS=--log=guest\n");
        // In place of Debian's programs, for our package to divert.
        for program in ["xenconsole", "xenconsoled"] {
            let path = format!("/usr/lib/xen-4.17/bin/{program}");
            archive.script(&path, &format!("#!/bin/sh\n# {STOCK}\n"));
        }
        archive.link("/var/run", "/run");
        for (name, text) in UNITS {
            archive.text(&format!("/etc/systemd/system/{name}"), text);
        }
        let wants = "/etc/systemd/system/multi-user.target.wants";
        archive.link(&format!("{wants}/e2e.service"), "../e2e.service");
        let default = "/etc/systemd/system/default.target";
        archive.link(default, "/lib/systemd/system/multi-user.target");
        for unit in MASKED {
            archive.link(&format!("/etc/systemd/system/{unit}"), "/dev/null");
        }
        Ok(())
    }
}

/// Libraries are added separately, for the programs that need them.
fn is_wanted(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let library = name.contains(".so")
        && (folder.ends_with("/aarch64-linux-gnu")
            || folder.ends_with("-gnu/systemd")
            || folder == "/lib");
    !library && !LEFT_OUT.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_several_architectures_have_lists_of_their_own() {
        assert_eq!(list_name("Package: tar\nVersion: 1"), "tar");
        let same = "Package: libc6\nMulti-Arch: same\nVersion: 2";
        assert_eq!(list_name(same), "libc6:arm64");
    }

    #[test]
    fn programs_are_packed_and_their_documentation_is_not() {
        for wanted in [
            "/lib/systemd/systemd",
            "/usr/bin/dpkg",
            "/usr/lib/aarch64-linux-gnu/perl-base/auto/POSIX/POSIX.so",
        ] {
            assert!(is_wanted(wanted), "{wanted}");
        }
        for not in [
            "/usr/share/doc/dpkg/copyright",
            "/lib/aarch64-linux-gnu/libc.so.6",
            "/lib/ld-linux-aarch64.so.1",
            "/usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-252.so",
        ] {
            assert!(!is_wanted(not), "{not}");
        }
    }
}
