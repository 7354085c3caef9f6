// SPDX-License-Identifier: MIT
//! Checks of the finished package: its contents are complete, pages are readable and
//! scripts executable, and a second build gives the same package.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Steps, files::list};

use super::programs::Arch;
use super::recipe::Recipe;
use super::{Package, XZ, pack};

/// Fails with the first error.
pub(super) fn check(steps: &Steps, package: &Package, recipe: &Recipe, arch: &Arch) -> Result<()> {
    let name = format!("package {} check, {}", recipe.name, arch.debian);
    steps.always(&name, |cx| {
        let files = contents(cx, &package.file)?;
        for (path, mode) in recipe.wanted {
            let found = files
                .get(*path)
                .with_context(|| format!("no {path} in it"))?;
            ensure!(found == mode, "{path} is {found}");
        }
        let pages = pages(cx, recipe, &package.root)?;
        scripts(cx, package, recipe)?;
        let lint = lint(cx, &package.file)?;
        let again = cx.dirs.target.join("package/again.deb");
        pack(cx, recipe, XZ, &package.staged, &again)?;
        ensure!(
            fs::read(&again)? == fs::read(&package.file)?,
            "a second build from the same files differs"
        );
        let said = format!(
            "{} files, {pages} pages, a second build is identical{lint}",
            files.len()
        );
        Ok(said)
    })
}

/// Permissions by path; root must own all files.
fn contents(cx: &Cx, file: &Path) -> Result<BTreeMap<String, String>> {
    let list = cx.output(Command::new("dpkg-deb").arg("-c").arg(file))?;
    list.lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [mode, owner, _, _, _, path, ..] = words[..] else {
                anyhow::bail!("{line:?} is not an entry");
            };
            ensure!(owner == "root/root", "{path} belongs to {owner}");
            let path = path.trim_start_matches('.').to_owned();
            Ok((path, mode.to_owned()))
        })
        .collect()
}

/// Renders every page, without warnings. Returns how many there are.
fn pages(cx: &Cx, recipe: &Recipe, root: &Path) -> Result<usize> {
    let pages = match recipe.programs {
        [] => Vec::new(),
        _ => list(&root.join("usr/share/man"))?,
    };
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
        tells(recipe, page, &text)?;
    }
    for (program, _) in recipe.programs {
        let script = root
            .join("usr/share/bash-completion/completions")
            .join(program);
        tells(recipe, &script, &fs::read_to_string(&script)?)?;
        cx.run(Command::new("bash").arg("-n").arg(script))?;
    }
    Ok(pages.len())
}

/// A page or a shell's completions contain the required words.
fn tells(recipe: &Recipe, file: &Path, text: &str) -> Result<()> {
    for (_, word) in recipe.told.iter().filter(|(name, _)| file.ends_with(name)) {
        ensure!(
            text.contains(word),
            "{} does not mention {word}",
            file.display()
        );
    }
    Ok(())
}

/// The shell can parse every script.
fn scripts(cx: &Cx, package: &Package, recipe: &Recipe) -> Result<()> {
    let control = recipe.scripts.iter();
    let control = control.map(|script| package.staged.join("DEBIAN").join(script));
    let ours = recipe.files.iter().filter(|(.., mode)| *mode == 0o755);
    let ours = ours.map(|(_, to, _)| package.root.join(to));
    for script in control.chain(ours) {
        cx.run(Command::new("sh").arg("-n").arg(script))?;
    }
    Ok(())
}

/// Runs lintian, if it is installed; it must find nothing. Returns a text for the
/// result.
fn lint(cx: &Cx, file: &Path) -> Result<&'static str> {
    if !Path::new("/usr/bin/lintian").exists() {
        return Ok("");
    }
    let mut lint = Command::new("lintian");
    lint.args(["--fail-on", "error,warning", "--allow-root"]);
    cx.run(lint.arg(file))?;
    Ok(", lintian finds nothing")
}
