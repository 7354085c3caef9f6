// SPDX-License-Identifier: MIT
//! `cargo xtask package`: the Debian packages of the daemon and its client. The
//! same sources give the same package, byte by byte; dom0's image is made from
//! that for arm64.

mod check;
pub(crate) mod programs;
mod rehearsal;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{
    Cx, Dirs, Key, Steps, cargo,
    files::{empty, list},
};

use crate::debian::host;
use programs::{AMD64, ARM64, Arch};

/// Make the Debian packages of vconsoled and vconsole
#[derive(clap::Args)]
pub(crate) struct Options;

/// What is in it.
const PROGRAMS: [&str; 2] = ["vconsoled", "vconsole"];

/// Files that are installed as they are: where from, where to, and how.
const FILES: [(&str, &str, u32); 6] = [
    (
        "debian/lintian-overrides",
        "usr/share/lintian/overrides/vconsoled",
        0o644,
    ),
    ("vconsoled.toml", "etc/vconsoled.toml", 0o644),
    (
        "vconsoled.service",
        "lib/systemd/system/vconsoled.service",
        0o644,
    ),
    (
        "vconsoled.sysusers",
        "usr/lib/sysusers.d/vconsoled.conf",
        0o644,
    ),
    (
        "xenconsoled-start",
        "usr/lib/vconsoled/xenconsoled-start",
        0o755,
    ),
    ("xen-programs", "usr/lib/vconsoled/xen-programs", 0o755),
];

/// Scripts that dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What `cargo xtask package` and the image need to know of a package.
pub(crate) struct Package {
    /// The file.
    pub(crate) file: PathBuf,
    /// What it unpacks to.
    pub(crate) root: PathBuf,
    /// Where it was put together.
    staged: PathBuf,
    /// A digest of what it was made from.
    pub(crate) key: String,
}

/// Makes the packages, looks at them, and says where they are; then their scripts.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    packages(steps)?;
    scripts(steps).map(drop)
}

/// Makes the packages, looks at them, and says where they are.
pub(crate) fn packages(steps: &Steps) -> Result<()> {
    host::prepare(steps)?;
    for arch in [&ARM64, &AMD64] {
        let package = make(steps, arch)?;
        check::check(steps, &package, arch)?;
        println!("{}", package.file.display());
    }
    Ok(())
}

/// Runs the scripts of this machine's package; or why they cannot be run here.
pub(crate) fn scripts(steps: &Steps) -> Result<Option<&'static str>> {
    host::prepare(steps)?;
    match [&ARM64, &AMD64]
        .into_iter()
        .find(|arch| arch.is_this_machines())
    {
        Some(arch) => rehearsal::rehearse(steps, &make(steps, arch)?),
        None => Ok(Some("needs a machine that the package is for")),
    }
}

/// Makes the package for one architecture, unless it is there.
pub(crate) fn make(steps: &Steps, arch: &Arch) -> Result<Package> {
    let programs = programs::build(steps, arch, &PROGRAMS)?;
    let sources = sources(&steps.dirs);
    let version = env!("CARGO_PKG_VERSION");
    let folder = steps.dirs.target.join("package");
    let file = folder.join(format!("vconsoled_{version}_{}.deb", arch.debian));
    let [root, staged] = ["root", "staged"].map(|name| folder.join(arch.debian).join(name));
    let mut key = Key::default().text(programs).text(version);
    let mut inputs = list(&sources)?;
    for program in PROGRAMS {
        inputs.push(example(&steps.dirs, program));
    }
    for input in &inputs {
        key = key.file(input)?;
    }
    let step = format!("package, {}", arch.debian);
    let key = steps.run(&step, key, &[&file, &root], |cx| {
        empty(&staged)?;
        stage(cx, arch, &staged)?;
        control(cx, arch, &staged, version)?;
        open_folders(&staged)?;
        pack(cx, &staged, &file)?;
        empty(&root)?;
        cx.run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&root))?;
        let size = fs::metadata(&file)?.len();
        Ok(format!("made, {} KiB", size >> 10))
    })?;
    Ok(Package {
        file,
        root,
        staged,
        key,
    })
}

fn sources(dirs: &Dirs) -> PathBuf {
    dirs.root.join("tools/vconsoled/packaging")
}

/// What writes a program's manual page.
fn example(dirs: &Dirs, program: &str) -> PathBuf {
    dirs.root
        .join(format!("tools/{program}/examples/{program}-manual.rs"))
}

fn pack(cx: &Cx, staged: &Path, file: &Path) -> Result<()> {
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zxz", "--build"]);
    // Every file is as old as the changelog's last entry.
    pack.env("SOURCE_DATE_EPOCH", epoch(cx)?);
    cx.run(pack.arg(staged).arg(file))
}

/// Puts everything where it is to be.
fn stage(cx: &Cx, arch: &Arch, root: &Path) -> Result<()> {
    for (program, folder) in PROGRAMS.iter().zip(["usr/sbin", "usr/bin"]) {
        let to = root.join(folder).join(program);
        place(&programs::path(cx.dirs, arch, program), &to, 0o755)?;
    }
    let sources = sources(cx.dirs);
    for (from, to, mode) in FILES {
        place(&sources.join(from), &root.join(to), mode)?;
    }
    // Under the name that /etc/init.d/xen knows.
    let daemon = root.join("usr/lib/vconsoled/xenconsoled");
    symlink("../../sbin/vconsoled", daemon)?;
    // As a login shell.
    let login = root.join("usr/lib/vconsoled/vconsole-login");
    symlink("../../bin/vconsole", login)?;
    manual(cx, root)?;
    let docs = root.join("usr/share/doc/vconsoled");
    place(
        &sources.join("debian/changelog"),
        &docs.join("changelog"),
        0o644,
    )?;
    compress(cx, &docs.join("changelog"))?;
    let licence = fs::read_to_string(cx.dirs.root.join("LICENSES/MIT.txt"))?;
    let copyright = fs::read_to_string(sources.join("debian/copyright"))?;
    let copyright = copyright.replace("@MIT@", &indented(&licence));
    put(&docs.join("copyright"), &copyright, 0o644)
}

/// A text as a field of a Debian control file goes on.
fn indented(text: &str) -> String {
    let line = |line: &str| match line.trim_end() {
        "" => " .".to_owned(),
        line => format!(" {line}"),
    };
    text.trim_end()
        .lines()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Manual pages and completions, from the definitions of the command lines.
fn manual(cx: &Cx, root: &Path) -> Result<()> {
    let made = cx.dirs.target.join("package/manual");
    empty(&made)?;
    for program in PROGRAMS {
        let example = format!("{program}-manual");
        let mut run = cargo::locked("run");
        run.args(["--package", program, "--example", &example, "--"]);
        cx.run(run.arg(&made).current_dir(&cx.dirs.root))?;
    }
    let share = root.join("usr/share");
    for file in list(&made)? {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.context("a page without a name")?;
        let to = match name.rsplit_once('.') {
            Some((_, section @ ("1" | "8"))) => format!("man/man{section}/{name}"),
            Some((program, "bash")) => format!("bash-completion/completions/{program}"),
            Some((_, "fish")) => format!("fish/vendor_completions.d/{name}"),
            _ => format!("zsh/vendor-completions/{name}"),
        };
        place(&file, &share.join(&to), 0o644)?;
        if to.starts_with("man/") {
            compress(cx, &share.join(&to))?;
        }
    }
    Ok(())
}

/// What dpkg is told of it.
fn control(cx: &Cx, arch: &Arch, root: &Path, version: &str) -> Result<()> {
    let sources = sources(cx.dirs).join("debian");
    let folder = root.join("DEBIAN");
    let files = list(root)?;
    let mut bytes = 0;
    let mut sums = String::new();
    for file in &files {
        let name = file.strip_prefix(root)?;
        let metadata = fs::symlink_metadata(file)?;
        bytes += metadata.len();
        if metadata.is_file() && !name.starts_with("etc") {
            let sum = cx.output(Command::new("md5sum").arg(name).current_dir(root))?;
            sums.push_str(&sum);
        }
    }
    let text = fs::read_to_string(sources.join("control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", arch.debian)
        .replace("@SIZE@", &bytes.div_ceil(1024).to_string());
    put(&folder.join("control"), &text, 0o644)?;
    put(&folder.join("conffiles"), "/etc/vconsoled.toml\n", 0o644)?;
    put(&folder.join("md5sums"), &sums, 0o644)?;
    place(&sources.join("triggers"), &folder.join("triggers"), 0o644)?;
    for script in SCRIPTS {
        place(&sources.join(script), &folder.join(script), 0o755)?;
    }
    Ok(())
}

fn epoch(cx: &Cx) -> Result<String> {
    let sources = sources(cx.dirs);
    let mut parse = Command::new("dpkg-parsechangelog");
    parse.args(["-S", "Timestamp", "-l"]);
    let epoch = cx.output(parse.arg(sources.join("debian/changelog")))?;
    Ok(epoch.trim().to_owned())
}

/// As Debian wants pages and changelogs: gzipped, without a name or a time.
fn compress(cx: &Cx, file: &Path) -> Result<()> {
    cx.run(Command::new("gzip").args(["-9", "-n"]).arg(file))
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let contents = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    put(to, contents, mode)
}

fn put(to: &Path, contents: impl AsRef<[u8]>, mode: u32) -> Result<()> {
    steps::write(to, contents)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Lets everybody into the folders, whatever the umask of who builds.
fn open_folders(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_becomes_a_field() {
        assert_eq!(indented("One\n\n two\n"), " One\n .\n  two");
    }

    #[test]
    fn what_is_packed_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let dirs = Dirs {
            target: root.join("target"),
            root,
        };
        let sources = sources(&dirs);
        let scripts = SCRIPTS.map(|script| format!("debian/{script}"));
        let files = FILES.map(|(from, ..)| from.to_owned());
        for name in files.iter().chain(&scripts) {
            let text = fs::read_to_string(sources.join(name)).unwrap();
            assert!(text.contains("SPDX-License-Identifier: MIT"), "{name}");
        }
        let version = format!("vconsoled ({})", env!("CARGO_PKG_VERSION"));
        let changelog = fs::read_to_string(sources.join("debian/changelog")).unwrap();
        assert!(
            changelog.starts_with(&version),
            "the changelog is of another version"
        );
    }
}
