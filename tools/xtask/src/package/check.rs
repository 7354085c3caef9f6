// SPDX-License-Identifier: MIT
//! A look at the finished package: that everything is in it, that pages can be
//! read and scripts be run, and that it is the same when it is made again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Steps, files::list};

use super::programs::Arch;
use super::{Package, SCRIPTS, pack};

/// What people look for, and with which permissions.
const WANTED: [(&str, &str); 21] = [
    ("/etc/vconsoled.toml", "-rw-r--r--"),
    ("/lib/systemd/system/vconsoled.service", "-rw-r--r--"),
    ("/usr/bin/vconsole", "-rwxr-xr-x"),
    ("/usr/lib/sysusers.d/vconsoled.conf", "-rw-r--r--"),
    ("/usr/lib/vconsoled/vconsole-login", "lrwxrwxrwx"),
    ("/usr/lib/vconsoled/xen-programs", "-rwxr-xr-x"),
    ("/usr/lib/vconsoled/xenconsoled", "lrwxrwxrwx"),
    ("/usr/lib/vconsoled/xenconsoled-start", "-rwxr-xr-x"),
    ("/usr/sbin/vconsoled", "-rwxr-xr-x"),
    (
        "/usr/share/bash-completion/completions/vconsole",
        "-rw-r--r--",
    ),
    (
        "/usr/share/bash-completion/completions/vconsoled",
        "-rw-r--r--",
    ),
    ("/usr/share/doc/vconsoled/changelog.gz", "-rw-r--r--"),
    ("/usr/share/doc/vconsoled/copyright", "-rw-r--r--"),
    (
        "/usr/share/fish/vendor_completions.d/vconsole.fish",
        "-rw-r--r--",
    ),
    (
        "/usr/share/fish/vendor_completions.d/vconsoled.fish",
        "-rw-r--r--",
    ),
    ("/usr/share/man/man1/vconsole.1.gz", "-rw-r--r--"),
    ("/usr/share/man/man1/vconsole-attach.1.gz", "-rw-r--r--"),
    ("/usr/share/man/man1/vconsole-log.1.gz", "-rw-r--r--"),
    ("/usr/share/man/man8/vconsoled.8.gz", "-rw-r--r--"),
    ("/usr/share/zsh/vendor-completions/_vconsole", "-rw-r--r--"),
    ("/usr/share/zsh/vendor-completions/_vconsoled", "-rw-r--r--"),
];

/// Options that pages and completions must know.
const OPTIONS: [(&str, &str); 4] = [
    ("man8/vconsoled.8.gz", "--overflow-data"),
    ("man8/vconsoled.8.gz", "--check-config"),
    ("man8/vconsoled.8.gz", "SIGHUP"),
    ("man1/vconsole-attach.1.gz", "--read-only"),
];

/// Fails with the first thing that is not as it should be.
pub(super) fn check(steps: &Steps, package: &Package, arch: &Arch) -> Result<()> {
    let name = format!("package check, {}", arch.debian);
    steps.always(&name, |cx| {
        let files = contents(cx, &package.file)?;
        for (path, mode) in WANTED {
            let found = files
                .get(path)
                .with_context(|| format!("no {path} in it"))?;
            ensure!(found == mode, "{path} is {found}");
        }
        let pages = pages(cx, &package.root)?;
        scripts(cx, package)?;
        let again = cx.dirs.target.join("package/again.deb");
        pack(cx, &package.staged, &again)?;
        ensure!(
            fs::read(&again)? == fs::read(&package.file)?,
            "made again from the same files it is another one"
        );
        let said = format!("{} files, {pages} pages, the same again", files.len());
        Ok(said)
    })
}

/// Permissions by path; all must be root's.
fn contents(cx: &Cx, file: &Path) -> Result<BTreeMap<String, String>> {
    let list = cx.output(Command::new("dpkg-deb").arg("-c").arg(file))?;
    list.lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [mode, owner, _, _, _, path, ..] = words[..] else {
                anyhow::bail!("{line:?} is no entry");
            };
            ensure!(owner == "root/root", "{path} is {owner}'s");
            let path = path.trim_start_matches('.').to_owned();
            Ok((path, mode.to_owned()))
        })
        .collect()
}

/// Every page is rendered without a complaint. Returns how many there are.
fn pages(cx: &Cx, root: &Path) -> Result<usize> {
    let man = root.join("usr/share/man");
    let pages = list(&man)?;
    for page in &pages {
        let shown = page.display();
        let mut render = Command::new("man");
        render
            .args(["--warnings", "-l"])
            .arg(page)
            .env("LC_ALL", "C.UTF-8");
        let output = render
            .env("MANWIDTH", "80")
            .output()
            .context("running man")?;
        ensure!(output.status.success(), "{shown} cannot be rendered");
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(complaints.is_empty(), "{shown}: {complaints}");
        let text = String::from_utf8_lossy(&output.stdout).replace('\u{2010}', "-");
        for (_, option) in OPTIONS.iter().filter(|(name, _)| page.ends_with(name)) {
            ensure!(text.contains(option), "{shown} says nothing of {option}");
        }
    }
    ensure!(pages.len() >= 5, "only {} pages", pages.len());
    let bash = fs::read_to_string(root.join("usr/share/bash-completion/completions/vconsole"))?;
    ensure!(bash.contains("attach"), "bash is not told of `attach`");
    for program in ["vconsole", "vconsoled"] {
        let script = root
            .join("usr/share/bash-completion/completions")
            .join(program);
        cx.run(Command::new("bash").arg("-n").arg(script))?;
    }
    Ok(pages.len())
}

/// The shell understands every script.
fn scripts(cx: &Cx, package: &Package) -> Result<()> {
    let control = SCRIPTS.map(|script| package.staged.join("DEBIAN").join(script));
    let ours = ["xen-programs", "xenconsoled-start"];
    let ours = ours.map(|script| package.root.join("usr/lib/vconsoled").join(script));
    for script in control.iter().chain(&ours) {
        cx.run(Command::new("sh").arg("-n").arg(script))?;
    }
    Ok(())
}
