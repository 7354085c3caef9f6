// SPDX-License-Identifier: MIT
//! `cargo xtask package`: the Debian packages, of the daemon with its client, of the
//! pages for browsers and of guests' firmware. The same sources give the same package,
//! byte by byte; dom0's image is made from the daemon's for arm64. With `--stack` also
//! Xen's, with `--rpm` the daemon's RPM.

mod check;
pub(crate) mod programs;
mod recipe;
mod rehearsal;
mod rpm;
pub(crate) mod stack;

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
use crate::edk2;
use crate::xterm;
pub(crate) use programs::ALL;
use programs::{ARM64, Arch, TESTED};
use recipe::{Recipe, VCONSOLE_WEB};
pub(crate) use recipe::{VCONSOLED, VPL011_EFI};

/// Make the Debian packages of vconsoled with vconsole, of vconsole-web, and of guests'
/// firmware
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Instead, everything for a host of a Debian release, trixie or bookworm: Xen's
    /// packages with our device, cross-built for arm64 in a system of that release, and
    /// vconsoled's, as an apt repository in target/package/stack; needs root
    #[arg(
        long,
        value_name = "RELEASE",
        num_args = 0..=1,
        default_missing_value = "trixie",
        value_parser = stack::release
    )]
    stack: Option<&'static stack::Release>,

    /// Instead, the RPM of vconsoled with vconsole
    #[arg(long, conflicts_with = "stack")]
    rpm: bool,
    /// Also build everything a second time, from other folders, and fail unless each
    /// file of the repository is the same
    #[arg(long, requires = "stack")]
    twice: bool,
}

impl Options {
    /// Makes the requested packages, checks them, and prints their paths.
    pub(crate) fn run(&self, steps: &Steps) -> Result<()> {
        if self.rpm {
            return rpm::run(steps);
        }
        let Some(release) = self.stack else {
            return run(steps);
        };
        println!("{}", stack::run(steps, release, self.twice)?.display());
        Ok(())
    }
}

/// A package, for `cargo xtask package` and the image.
pub(crate) struct Package {
    /// The file.
    pub(crate) file: PathBuf,
    /// The folder with its unpacked contents.
    pub(crate) root: PathBuf,
    /// The folder in which it was assembled.
    staged: PathBuf,
    /// A digest of its sources.
    pub(crate) key: String,
}

/// Makes the packages, checks them, and prints their paths; then runs their scripts.
fn run(steps: &Steps) -> Result<()> {
    for why in [packages(steps, true)?, scripts(steps)?]
        .into_iter()
        .flatten()
    {
        eprintln!("{why}");
    }
    Ok(())
}

/// Makes the packages, checks them, and prints their paths; unless for all, that of the
/// daemon only for arm64, whose hosts have guests with this UART, that of the pages only
/// for this machine, and not that of the firmware. Returns why that of the pages was not
/// made, if it cannot be made here.
pub(crate) fn packages(steps: &Steps, for_all: bool) -> Result<Option<String>> {
    host::prepare(steps)?;
    let check = |recipe: &Recipe| {
        let is_wanted = |arch: &&&Arch| {
            let is_of_daemon = recipe.name == VCONSOLED.name && arch.debian == ARM64.debian;
            let is_of_pages = recipe.name == VCONSOLE_WEB.name && arch.is_this_machines();
            for_all || is_of_daemon || is_of_pages
        };
        for arch in recipe.archs().iter().filter(is_wanted) {
            let package = make(steps, recipe, arch)?;
            check::check(steps, &package, recipe, arch)?;
            println!("{}", package.file.display());
        }
        Ok(())
    };
    if for_all {
        check(&VPL011_EFI)?;
    }
    each(steps, check)
}

/// Runs the scripts of packages for this machine; or returns why they cannot run here.
pub(crate) fn scripts(steps: &Steps) -> Result<Option<String>> {
    host::prepare(steps)?;
    if host::architecture() != TESTED.debian {
        return Ok(Some("needs a machine that the package is for".into()));
    }
    let mut why = None;
    let missing = each(steps, |recipe| {
        let package = make(steps, recipe, &TESTED)?;
        why = rehearsal::rehearse(steps, &package, recipe)?;
        Ok(())
    })?;
    Ok(why.map(str::to_owned).or(missing))
}

/// Handles each package with programs in turn. Returns why the last is missing, if
/// xterm.js is not available.
fn each(steps: &Steps, mut what: impl FnMut(&Recipe) -> Result<()>) -> Result<Option<String>> {
    what(&VCONSOLED)?;
    if let Err(error) = xterm::fetch(steps) {
        return Ok(Some(format!("no package of vconsole-web: {error:#}")));
    }
    what(&VCONSOLE_WEB)?;
    Ok(None)
}

/// Makes a package for one architecture, unless it exists.
pub(crate) fn make(steps: &Steps, recipe: &Recipe, arch: &Arch) -> Result<Package> {
    let names: Vec<&str> = recipe.programs.iter().map(|(name, _)| *name).collect();
    let built = match recipe.efi {
        Some(_) => edk2::build(steps)?,
        None => programs::build(steps, arch, &names)?,
    };
    let sources = sources(&steps.dirs, recipe);
    let version = env!("CARGO_PKG_VERSION");
    let (name, packages) = (recipe.name, steps.dirs.target.join("package"));
    let folder = packages.join(name).join(arch.label);
    let [root, staged] = ["root", "staged"].map(|part| folder.join(part));
    let is_released = arch.label == arch.debian;
    let file = if is_released { &packages } else { &folder };
    let file = file.join(format!("{name}_{version}_{}.deb", arch.debian));
    let mut key = Key::default().text(built).text(version);
    key = key.text(include_str!("recipe.rs"));
    let mut inputs = list(&sources)?;
    for program in &names {
        inputs.push(example(&steps.dirs, program));
    }
    if !recipe.xterm.is_empty() {
        let modules = xterm::fetch(steps)?;
        inputs.extend(recipe.xterm.iter().map(|file| modules.join(file)));
    }
    for input in &inputs {
        key = key.file(input)?;
    }
    let step = format!("package {name}, {}", arch.label);
    let key = steps.run(&step, key, &[&file, &root], |cx| {
        empty(&staged)?;
        stage(cx, recipe, arch, &staged)?;
        control(cx, recipe, arch, &staged)?;
        open_folders(&staged)?;
        for folder in recipe.private {
            let folder = staged.join(folder);
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        let compression = if is_released { XZ } else { QUICK };
        pack(cx, recipe, compression, &staged, &file)?;
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

fn sources(dirs: &Dirs, recipe: &Recipe) -> PathBuf {
    dirs.root.join("tools").join(recipe.name).join("packaging")
}

/// The example that writes a program's manual page.
fn example(dirs: &Dirs, program: &str) -> PathBuf {
    dirs.root
        .join(format!("tools/{program}/examples/{program}-manual.rs"))
}

/// dpkg-deb's options for the compression of a package that users get.
const XZ: &[&str] = &["-Zxz"];
/// The same of one that is only installed here.
const QUICK: &[&str] = &["-Zgzip", "-z1"];

fn pack(cx: &Cx, recipe: &Recipe, how: &[&str], staged: &Path, file: &Path) -> Result<()> {
    let mut pack = Command::new("dpkg-deb");
    pack.arg("--root-owner-group").args(how).arg("--build");
    // Every file has the time of the changelog's last entry.
    pack.env("SOURCE_DATE_EPOCH", epoch(cx, recipe)?);
    cx.run(pack.arg(staged).arg(file))
}

/// Assembles the package's files.
fn stage(cx: &Cx, recipe: &Recipe, arch: &Arch, root: &Path) -> Result<()> {
    for (program, folder) in recipe.programs {
        let to = root.join(folder).join(program);
        place(&programs::path(cx.dirs, arch, program), &to, 0o755)?;
    }
    let sources = sources(cx.dirs, recipe);
    for (from, to, mode) in recipe.files {
        place(&sources.join(from), &root.join(to), *mode)?;
    }
    let modules = root
        .join("usr/share")
        .join(recipe.name)
        .join("node_modules");
    for file in recipe.xterm {
        place(
            &xterm::folder(cx.dirs).join(file),
            &modules.join(file),
            0o644,
        )?;
    }
    let docs = root.join("usr/share/doc").join(recipe.name);
    if let Some(to) = recipe.efi {
        place(&edk2::image(cx.dirs), &root.join(to), 0o644)?;
        let copyright = docs.join("copyright.edk2");
        place(&edk2::copyright(cx.dirs), &copyright, 0o644)?;
    }
    for (link, to) in recipe.links {
        let link = root.join(link);
        fs::create_dir_all(link.parent().context("a link at the root")?)?;
        symlink(to, link)?;
    }
    manual(cx, recipe, root)?;
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

/// A text as continuation lines of a field in a Debian control file.
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
fn manual(cx: &Cx, recipe: &Recipe, root: &Path) -> Result<()> {
    let made = root.with_file_name("manual");
    empty(&made)?;
    for (program, _) in recipe.programs {
        let example = format!("{program}-manual");
        cx.run(
            cargo::locked("build")
                .arg("--target-dir")
                .arg(&cx.dirs.target)
                .args(cargo::WORKSPACE)
                .args(["--example", &example])
                .current_dir(&cx.dirs.root),
        )?;
        let example = cx.dirs.target.join("debug/examples").join(example);
        cx.run(Command::new(example).arg(&made).current_dir(&cx.dirs.root))?;
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

/// Writes the package's control files.
fn control(cx: &Cx, recipe: &Recipe, arch: &Arch, root: &Path) -> Result<()> {
    let sources = sources(cx.dirs, recipe).join("debian");
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
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@ARCHITECTURE@", arch.debian)
        .replace("@SIZE@", &bytes.div_ceil(1024).to_string());
    put(&folder.join("control"), &text, 0o644)?;
    if !recipe.conffiles.is_empty() {
        put(&folder.join("conffiles"), recipe.conffiles, 0o644)?;
    }
    put(&folder.join("md5sums"), &sums, 0o644)?;
    if let Some(file) = recipe.triggers {
        place(&sources.join(file), &folder.join(file), 0o644)?;
    }
    for script in recipe.scripts {
        place(&sources.join(script), &folder.join(script), 0o755)?;
    }
    Ok(())
}

fn epoch(cx: &Cx, recipe: &Recipe) -> Result<String> {
    let sources = sources(cx.dirs, recipe);
    let mut parse = Command::new("dpkg-parsechangelog");
    parse.args(["-S", "Timestamp", "-l"]);
    let epoch = cx.output(parse.arg(sources.join("debian/changelog")))?;
    Ok(epoch.trim().to_owned())
}

/// Compresses pages and changelogs as Debian requires: with gzip, without a name or a
/// time.
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

/// Makes the folders accessible to every user, whatever the umask.
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
        for recipe in [&VCONSOLED, &VCONSOLE_WEB, &VPL011_EFI] {
            let sources = sources(&dirs, recipe);
            let scripts = recipe.scripts.iter();
            let scripts = scripts.map(|script| format!("debian/{script}"));
            let files = recipe.files.iter().map(|(from, ..)| (*from).to_owned());
            for name in files.chain(scripts) {
                let text = fs::read_to_string(sources.join(&name)).unwrap();
                assert!(text.contains("SPDX-License-Identifier: MIT"), "{name}");
            }
            let version = format!("{} ({})", recipe.name, env!("CARGO_PKG_VERSION"));
            let changelog = fs::read_to_string(sources.join("debian/changelog")).unwrap();
            assert!(
                changelog.starts_with(&version),
                "the changelog is of another version"
            );
        }
    }
}
