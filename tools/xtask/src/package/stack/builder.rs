// SPDX-License-Identifier: MIT
//! The system in which the packages are built: a minimal one of the release, for this
//! machine's architecture, with a cross compiler and the libraries of arm64. No arm64
//! program runs in it. Its packages are those in the release's index on that day.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Key, Steps};

use super::Release;
use crate::debian::system;

/// The system's first packages.
const INCLUDED: &str = "ca-certificates,ccache,dpkg-dev,fakeroot";

/// Its second architecture, and the cross compiler.
const FOREIGN: &str = "\
dpkg --add-architecture arm64
apt-get -q update
apt-get -q install -y --no-install-recommends crossbuild-essential-arm64
";

/// Enters a root. `/dev` is a new one with the files that a build needs; the mounts and
/// all processes end with their namespace.
const ENTER: &str = "\
root=$1 ccache=$2; shift 2
mount --make-rprivate /
mount -t proc proc \"$root/proc\"
mount -t tmpfs -o mode=755 dev \"$root/dev\"
for name in null zero full random urandom; do
    : >\"$root/dev/$name\"
    mount --bind \"/dev/$name\" \"$root/dev/$name\"
done
ln -s /proc/self/fd \"$root/dev/fd\"
mkdir -p \"$root/dev/shm\" \"$root/ccache\"
mount -t tmpfs shm \"$root/dev/shm\"
mount --bind \"$ccache\" \"$root/ccache\"
exec chroot \"$root\" env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
    CCACHE_DIR=/ccache CCACHE_BASEDIR=/build CCACHE_NOHASHDIR=1 \\
    PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin \"$@\"
";

/// The folder of the source, below the folder that packages are written to.
pub(super) const SOURCE: &str = "/build/xen";

/// A system to build in.
pub(super) struct Builder {
    root: PathBuf,
    /// The key of the step that made it.
    pub(super) key: String,
}

impl Builder {
    /// Makes the system, unless it exists.
    pub(super) fn make(steps: &Steps, release: &Release) -> Result<Self> {
        let root = steps
            .dirs
            .target
            .join("stack")
            .join(format!("{}-system", release.name));
        let key = Key::default().text(INCLUDED).text(FOREIGN);
        let key = steps.run(&release.step("system"), key, &[&root], |cx| {
            system::make(cx, release.name, INCLUDED, &root)?;
            cx.run(enter(&root)?.args(["sh", "-exc", FOREIGN]))?;
            Ok("made, with a compiler for arm64".into())
        })?;
        Ok(Self { root, key })
    }

    /// A path in it, from outside.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Runs a command in it, in a folder.
    pub(super) fn run(&self, cx: &Cx, folder: &str, command: &[&str]) -> Result<()> {
        let mut enter = enter(&self.root)?;
        enter.args(["env", "--chdir", folder]);
        cx.run(enter.args(command))
    }
}

/// A command to which the command inside the root is added.
fn enter(root: &Path) -> Result<Command> {
    let ccache = pins::Store::of_user()?.folder().join("ccache");
    fs::create_dir_all(&ccache)?;
    fs::create_dir_all(root.join("build"))?;
    let mut enter = Command::new("unshare");
    enter.args(["--mount", "--pid", "--fork", "--kill-child"]);
    enter.args(["sh", "-ec", ENTER, "sh"]).arg(root).arg(ccache);
    Ok(enter)
}
