// SPDX-License-Identifier: MIT
//! The pages as an mdBook. They stay at their paths in the repository; mdBook builds a
//! copy of them, each at its own path, so links from one page to another are the same
//! in both.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Cx, Dirs, Steps, files, install, write};

use super::render;

/// mdBook, built without its server, which takes the shortest time.
const MDBOOK: &str = "0.5.4";
const OPTIONS: [&str; 4] = ["--debug", "--no-default-features", "--features", "search"];

/// The table of contents, and the folder its links are relative to.
const SUMMARY: &str = "docs/SUMMARY.md";
const SUMMARY_FOLDER: &str = "docs";

/// The page above the decisions, and their folder.
const DECISIONS: &str = "docs/adr/README.md";
const DECISIONS_FOLDER: &str = "docs/adr/";

/// Files in Markdown that are no pages of the book: the table of contents, and a part
/// of another page.
const NOT_PAGES: [&str; 2] = [SUMMARY, "tools/xtask/src/run/conformance/preface.md"];

/// The folder of forms for issues, which are no pages either.
const FORMS_FOLDER: &str = ".github/";

/// Other files that pages link to: pictures, schemas and results.
const LINKED: [&str; 2] = ["docs/images", "docs/*.json"];

/// Builds the book to `target/book/html` and checks its links. Returns the
/// first page.
pub(super) fn build(steps: &Steps) -> Result<PathBuf> {
    let mdbook = install(steps, "mdbook", MDBOOK, &OPTIONS)?;
    let html = steps.dirs.target.join("book/html");
    steps.always("book", |cx| {
        let pages = stage(cx)?;
        cx.run(
            Command::new(&mdbook)
                .arg("build")
                .arg(cx.dirs.target.join("book")),
        )?;
        let said = fs::read_to_string(cx.log())?;
        let warning = said.lines().find(|line| line.contains(" WARN "));
        ensure!(warning.is_none(), "{}", warning.unwrap_or_default());
        Ok(format!("{} pages", pages.len()))
    })?;
    steps.always("rendered", |cx| {
        let pages = render::check(cx, &html)?;
        Ok(format!("{pages} pages, wide and narrow, light and dark"))
    })?;
    steps.always("links", |cx| {
        check(cx, &html)?;
        Ok("all resolve".into())
    })?;
    Ok(html.join("index.html"))
}

/// Makes `target/book`: mdBook's configuration, and the sources in `src`.
/// Returns the pages.
fn stage(cx: &Cx) -> Result<BTreeSet<String>> {
    let book = cx.dirs.target.join("book");
    files::remove(&book)?;
    let source = book.join("src");
    let mut pages = tracked(cx, "*.md")?;
    pages.retain(|name| is_page(name));
    for name in &pages {
        write(&source.join(name), disclosed(&read(cx.dirs, name)?))?;
    }
    for pattern in LINKED {
        for name in tracked(cx, pattern)? {
            let contents = fs::read(cx.dirs.root.join(&name)).with_context(|| name.clone())?;
            write(&source.join(&name), contents)?;
        }
    }
    let summary = from_root(&read(cx.dirs, SUMMARY)?);
    let summary = with_decisions(&summary, &decisions(cx.dirs, &pages)?);
    for page in &pages {
        ensure!(names(&summary, page), "{SUMMARY} does not name {page}");
        ensure!(
            read(cx.dirs, page)?.starts_with("<!-- SPDX-License-Identifier: "),
            "{page} does not begin with its licence"
        );
    }
    write(&source.join("SUMMARY.md"), summary)?;
    for name in ["book.toml", "book.css"] {
        write(&book.join(name), read(cx.dirs, &format!("docs/{name}"))?)?;
    }
    Ok(pages)
}

/// Whether a file in Markdown is a page of the book.
fn is_page(name: &str) -> bool {
    !NOT_PAGES.contains(&name) && !name.starts_with(FORMS_FOLDER)
}

/// Whether a table of contents has an entry for a page.
fn names(summary: &str, page: &str) -> bool {
    summary.contains(&format!("]({page})"))
}

/// A page as shown in the book: cells of tests show the number, and the tests on a
/// click; names of cases may wrap.
fn disclosed(page: &str) -> String {
    let row = |line: &str| {
        // An empty cell has two spaces.
        let line = line.replace("| |", "|  |");
        let cells = line.split(" | ").map(|cell| {
            let (cell, end) = match cell.strip_suffix(" |") {
                Some(cell) => (cell, " |"),
                None => (cell, ""),
            };
            let words: String = cell.split('`').step_by(2).collect();
            let code = cell.split('`').skip(1).step_by(2);
            let tests = code.filter(|code| code.contains("::")).count();
            let many = if tests == 1 { "" } else { "s" };
            if tests > 0 && !words.contains(char::is_alphanumeric) {
                format!("<details><summary>{tests} test{many}</summary>{cell}</details>{end}")
            } else if words.contains("::") {
                let cell = cell.replace("::", "::<wbr>").replace('_', "_<wbr>");
                format!("{cell}{end}")
            } else {
                format!("{cell}{end}")
            }
        });
        cells.collect::<Vec<_>>().join(" | ")
    };
    let lines = page.lines().map(|line| {
        if line.starts_with("| ") {
            row(line)
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The entries of the decisions, which are not in the table of contents: one page per
/// file, by its heading.
fn decisions(dirs: &Dirs, pages: &BTreeSet<String>) -> Result<String> {
    let mut entries = String::new();
    for page in pages {
        if page.starts_with(DECISIONS_FOLDER) && page != DECISIONS {
            let text = read(dirs, page)?;
            let heading = text.lines().find_map(|line| line.strip_prefix("# "));
            let heading = heading.with_context(|| format!("{page} has no heading"))?;
            writeln!(entries, "  - [{heading}]({page})")?;
        }
    }
    Ok(entries)
}

/// The table of contents with these entries below the decisions' entry.
fn with_decisions(summary: &str, entries: &str) -> String {
    let parent = format!("]({DECISIONS})\n");
    summary.replacen(&parent, &format!("{parent}{entries}"), 1)
}

fn read(dirs: &Dirs, name: &str) -> Result<String> {
    fs::read_to_string(dirs.root.join(name)).with_context(|| format!("reading {name}"))
}

/// The files that match a pattern and are, or could be, under version control.
pub(super) fn tracked(cx: &Cx, pattern: &str) -> Result<BTreeSet<String>> {
    let listed = cx.output(
        Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others"])
            .args(["--exclude-standard", "--", pattern])
            .current_dir(&cx.dirs.root),
    )?;
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

/// The table of contents with its links from the root of the repository.
fn from_root(summary: &str) -> String {
    let mut parts = summary.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.strip_prefix("../") {
        Some(part) => format!("{text}]({part}"),
        None => format!("{text}]({SUMMARY_FOLDER}/{part}"),
    })
}

/// Shows linkchecker the book in a place that every user may enter, and that other
/// processes do not see: linkchecker drops root.
const SHOW: &str = "mount --bind \"$1\" /mnt; shift; exec \"$@\"";

/// Checks every link within the book, with its anchor.
fn check(cx: &Cx, html: &Path) -> Result<()> {
    write(&html.join("linkcheckerrc"), "[AnchorCheck]\n")?;
    cx.run(Command::new("chmod").args(["-R", "a+rX"]).arg(html))?;
    let (mut command, seen) = if rustix::process::geteuid().is_root() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "sh", "-ec", SHOW, "sh"]).arg(html);
        unshare.arg("linkchecker");
        (unshare, Path::new("/mnt"))
    } else {
        (Command::new("linkchecker"), html)
    };
    command.arg("--config").arg(seen.join("linkcheckerrc"));
    command.args(["--no-status", "--no-robots"]);
    cx.run(command.arg(seen.join("index.html")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_page_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert!(NOT_PAGES.iter().all(|name| root.join(name).is_file()));
    }

    #[test]
    fn the_contents_name_every_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--", "*.md"])
            .current_dir(&root)
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let summary = from_root(&fs::read_to_string(root.join(SUMMARY)).unwrap());
        let mut pages = 0;
        for page in listed.split_terminator('\0').filter(|name| is_page(name)) {
            let decision = page.starts_with(DECISIONS_FOLDER);
            assert!(decision || names(&summary, page), "no entry of {page}");
            pages += 1;
        }
        assert!(pages > 50, "only {pages} pages");
    }

    #[test]
    fn cells_of_tests_are_disclosed_and_names_of_cases_may_break() {
        let shown = [
            (
                "| a | `b::c` `b::d` |",
                "| a | <details><summary>2 tests</summary>`b::c` `b::d`</details> |",
            ),
            (
                "| a | `b::c` |",
                "| a | <details><summary>1 test</summary>`b::c`</details> |",
            ),
            ("| a | asserted; `b::c` |", "| a | asserted; `b::c` |"),
            ("| b::c_d | pass |", "| b::<wbr>c_<wbr>d | pass |"),
            (
                "| a | | `b::c` |",
                "| a |  | <details><summary>1 test</summary>`b::c`</details> |",
            ),
            ("text of `b::c`", "text of `b::c`"),
        ];
        for (line, expected) in shown {
            assert_eq!(disclosed(line), format!("{expected}\n"));
        }
    }

    #[test]
    fn contents_are_named_from_the_root() {
        assert_eq!(
            from_root("- [A](../README.md)\n- [B](b.md)\n  - [C](adr/c.md)\n"),
            "- [A](README.md)\n- [B](docs/b.md)\n  - [C](docs/adr/c.md)\n"
        );
    }

    #[test]
    fn decisions_stand_below_their_own_page() {
        assert_eq!(
            with_decisions(
                "- [D](docs/adr/README.md)\n- [E](e.md)\n",
                "  - [d](d.md)\n"
            ),
            "- [D](docs/adr/README.md)\n  - [d](d.md)\n- [E](e.md)\n"
        );
    }
}
