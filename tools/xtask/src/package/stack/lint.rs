// SPDX-License-Identifier: MIT
//! Lintian, that of the release, on the packages: it finds exactly what is known.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use steps::{Cx, files};

use super::super::VCONSOLED;
use super::builder::Builder;
use super::release::{EACH, Release};

/// The folder for the packages, inside the system.
const INSIDE: &str = "/srv/lint";

/// A package and a tag.
type Finding<'a> = (&'a str, &'a str);

/// Checks all packages of a folder. Returns a text for the result.
pub(super) fn lint(cx: &Cx, release: &Release, builder: &Builder, folder: &Path) -> Result<String> {
    let copies = builder.path(INSIDE);
    files::empty(&copies)?;
    let mut names = Vec::new();
    for file in files::list(folder)? {
        if file.extension().is_some_and(|end| end == "deb") {
            let name = file.file_name().and_then(|name| name.to_str());
            let name = name.context("a package whose name is not text")?;
            fs::copy(&file, copies.join(name))?;
            names.push(name.to_owned());
        }
    }
    let mut command = vec!["lintian", "--allow-root", "--no-tag-display-limit"];
    command.extend(["--fail-on", "none"]);
    command.extend(names.iter().map(String::as_str));
    let said = cx.output(&mut builder.command(INSIDE, &command)?)?;
    let count = judge(&said, release.findings)?;
    Ok(format!(", lintian has {count} findings, all known"))
}

/// Checks that errors and warnings are the known ones. Returns how many there are.
fn judge(said: &str, known: &[Finding]) -> Result<usize> {
    let lines = || said.lines().filter_map(|line| Some((line, finding(line)?)));
    let new = lines().filter(|(_, found)| !known.iter().any(|known| covers(*known, *found)));
    let new: Vec<&str> = new.map(|(line, _)| line).collect();
    ensure!(
        new.is_empty(),
        "lintian finds what is not among the known findings of the release, in \
         tools/xtask/src/package/stack/release.rs:\n{}",
        new.join("\n")
    );
    let occurs = |known: Finding| lines().any(|(_, found)| covers(known, found));
    let gone: Vec<_> = known.iter().filter(|known| !occurs(**known)).collect();
    ensure!(
        gone.is_empty(),
        "lintian does not find {gone:?} any more: remove that from the release's findings"
    );
    Ok(lines().count())
}

/// Whether a known finding is what was found.
fn covers(known: Finding, found: Finding) -> bool {
    let is_package = known.0 == found.0 || known.0 == EACH && found.0 != VCONSOLED.name;
    is_package && known.1 == found.1
}

/// The finding in a line of lintian's, if it is an error or a warning.
fn finding(line: &str) -> Option<Finding<'_>> {
    let rest = line.strip_prefix("E: ").or(line.strip_prefix("W: "))?;
    let (package, rest) = rest.split_once(": ")?;
    Some((package, rest.split(' ').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_findings_pass_and_all_must_occur() {
        let said = "N: about\nW: a: old-tag [usr/a]\nW: a: old-tag [usr/b]\nI: a: minor\n";
        assert_eq!(judge(said, &[("a", "old-tag")]).unwrap(), 2);
        assert_eq!(judge("", &[]).unwrap(), 0);

        for (new, known) in [
            ("W: a: new-tag x", ("a", "old-tag")),
            ("W: b: old-tag [usr/a]", ("a", "old-tag")),
            ("E: a: old-tagged", ("a", "old-tag")),
        ] {
            let said = format!("{said}{new}\n");
            let error = judge(&said, &[known]).unwrap_err().to_string();
            assert!(error.ends_with(&format!("release.rs:\n{new}")), "{error}");
        }

        assert_eq!(judge(said, &[(EACH, "old-tag")]).unwrap(), 2);
        let ours = "W: vconsoled: old-tag\n";
        judge(ours, &[(EACH, "old-tag")]).unwrap_err();

        let known = [("a", "old-tag"), ("b", "mended")];
        let error = judge(said, &known).unwrap_err().to_string();
        assert!(
            error.contains("does not find [(\"b\", \"mended\")]"),
            "{error}"
        );
    }
}
