// SPDX-License-Identifier: MIT
//! The system in which the packages are built: a minimal one of the release, for this
//! machine's architecture, with a cross compiler and the libraries of arm64. No arm64
//! program runs in it. Its packages are those in the release's index on that day.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Key, Steps};

use super::release::Release;
use crate::debian::system;

/// The system's first packages.
const INCLUDED: &str = "ca-certificates,ccache,dpkg-dev,fakeroot,lintian";

/// Its second architecture, and the cross compiler.
const FOREIGN: &str = "\
dpkg --add-architecture arm64
apt-get -q update
apt-get -q install -y --no-install-recommends crossbuild-essential-arm64
";

/// Enters a root. `/dev` is a new one with the files that a build needs; the mounts and
/// all processes end with their namespace.
const ENTER: &str = "\
root=$1 ccache=$2 host=$3 umask=$4; shift 4
hostname \"$host\"
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
umask \"$umask\"
exec chroot \"$root\" env -i LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
    PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin \"$@\"
";

/// The circumstances of a build, on which its files must not depend.
struct Place {
    /// The text after a step's name.
    label: &'static str,
    /// The folder that packages are written to; the source is below.
    folder: &'static str,
    host: &'static str,
    umask: &'static str,
    environment: &'static [&'static str],
}

static FIRST: Place = Place {
    label: "",
    folder: "/build",
    host: "build",
    umask: "022",
    environment: &["HOME=/root", "TZ=UTC0", "CCACHE_DIR=/ccache"],
};

/// Without ccache, whose results would be those of the first build.
static SECOND: Place = Place {
    label: " again",
    folder: "/srv/elsewhere/built-again",
    host: "elsewhere",
    umask: "002",
    environment: &["HOME=/nonexistent", "TZ=ELSEWHERE-14", "CCACHE_DISABLE=1"],
};

/// A system to build in.
pub(super) struct Builder {
    root: PathBuf,
    place: &'static Place,
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
            cx.run(enter(&root, &FIRST)?.args(["sh", "-exc", FOREIGN]))?;
            Ok("made, with a compiler for arm64".into())
        })?;
        let place = &FIRST;
        Ok(Self { root, place, key })
    }

    /// The same system, for a second build under other circumstances.
    pub(super) fn again(&self) -> Self {
        Self {
            root: self.root.clone(),
            place: &SECOND,
            key: self.key.clone(),
        }
    }

    /// The name of a step of a build.
    pub(super) fn step(&self, release: &Release, name: &str) -> String {
        release.step(&format!("{name}{}", self.place.label))
    }

    /// The folder that packages are written to, from outside.
    pub(super) fn folder(&self) -> PathBuf {
        self.path(self.place.folder)
    }

    /// The folder of the source, from inside.
    pub(super) fn source(&self) -> String {
        format!("{}/xen", self.place.folder)
    }

    /// A path in it, from outside.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    /// Runs a command in it, in a folder.
    pub(super) fn run(&self, cx: &Cx, folder: &str, command: &[&str]) -> Result<()> {
        cx.run(&mut self.command(folder, command)?)
    }

    /// A command in it, in a folder.
    pub(super) fn command(&self, folder: &str, command: &[&str]) -> Result<Command> {
        let mut enter = enter(&self.root, self.place)?;
        enter.args(["env", "--chdir", folder]).args(command);
        Ok(enter)
    }
}

/// A command to which the command inside the root is added.
fn enter(root: &Path, place: &Place) -> Result<Command> {
    let ccache = pins::Store::of_user()?.folder().join("ccache");
    fs::create_dir_all(&ccache)?;
    fs::create_dir_all(root.join(place.folder.trim_start_matches('/')))?;
    let mut enter = Command::new("unshare");
    enter.args(["--mount", "--uts", "--pid", "--fork", "--kill-child"]);
    enter.args(["sh", "-ec", ENTER, "sh"]).arg(root).arg(ccache);
    enter.args([place.host, place.umask]);
    enter.arg("env").args(place.environment);
    Ok(enter)
}
