// SPDX-License-Identifier: MIT
//! The book in a browser: Debian's Chromium opens every page at 1300 and at 400 pixels,
//! light and dark, and nothing may be wider than its column unless it has a scroll box.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, files, write};

/// The browser without a window, from the package with the same name.
const BROWSER: &str = "chromium-headless-shell";

/// The measuring page, with a placeholder for the names of the pages.
const MEASURE: &str = include_str!("measure.html");

/// Measurements of each page: two widths, two themes.
const LOOKS: usize = 4;

/// Measures every page of the book. Returns how many there are.
pub(super) fn check(cx: &Cx, html: &Path) -> Result<usize> {
    let pages = pages(html)?;
    let measure = html.join("measure.html");
    write(
        &measure,
        MEASURE.replace("PAGES", &serde_json::to_string(&pages)?),
    )?;
    let profile = cx.dirs.target.join("tmp/chromium");
    files::empty(&profile)?;
    let shown = cx.output(
        Command::new(BROWSER)
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--disable-quic", "--no-first-run", "--disable-sync"])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            // Pages of one folder may read each other.
            .arg("--allow-file-access-from-files")
            .args(["--virtual-time-budget=600000", "--dump-dom"])
            .arg(format!("file://{}", measure.display())),
    );
    std::fs::remove_file(&measure)?;
    judge(&shown?, pages.len())?;
    Ok(pages.len())
}

/// The pages of the book, by path from its folder.
fn pages(html: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for file in files::list(html)? {
        let name = file.strip_prefix(html)?;
        let is_page = name.extension().is_some_and(|end| end == "html");
        // The table of contents is a frame in other pages.
        let is_part = ["toc.html", "404.html"]
            .iter()
            .any(|part| name == Path::new(part));
        if is_page && !is_part {
            pages.push(name.to_owned());
        }
    }
    Ok(pages)
}

/// Fails unless every page was measured and nothing was too wide.
fn judge(shown: &str, pages: usize) -> Result<()> {
    let (_, result) = shown
        .split_once("<pre id=\"result\">")
        .context("the measuring page was not shown")?;
    let wide: Vec<&str> = result
        .lines()
        .filter(|line| line.starts_with("WIDE "))
        .collect();
    ensure!(wide.is_empty(), "{}", wide.join("\n"));
    let fit = result.lines().filter(|line| line.ends_with("fits")).count();
    ensure!(
        fit == pages * LOOKS && result.contains("\nend\n"),
        "only {fit} of {} looks",
        pages * LOOKS
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn every_view_must_fit() {
        let shown = |lines: &str| format!("<pre id=\"result\">{lines}</pre>");
        let fits = "fits\nfits\nfits\nfits\n";
        assert!(judge(&shown(&format!("{fits}end\n")), 1).is_ok());
        assert!(judge(&shown(fits), 1).is_err());
        assert!(judge(&shown(&format!("{fits}end\n")), 2).is_err());
        let wide = judge(&shown(&format!("{fits}WIDE a.html at 400\nend\n")), 1);
        assert_eq!(wide.unwrap_err().to_string(), "WIDE a.html at 400");
        assert!(judge("", 1).is_err());
    }
}
