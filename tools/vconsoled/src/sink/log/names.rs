// SPDX-License-Identifier: MIT
//! Names of the files of a log or a recording: `LOG` itself; the old files
//! `LOG.1`, the newest, `LOG.2` and so on, or compressed `LOG.1.zst`; and
//! `LOG.zst.part` while one is being compressed. Other files are never renamed or
//! removed.

use std::path::{Path, PathBuf};

/// The kind of a log's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The current file.
    Present,
    /// An old file.
    Old { number: u32, compressed: bool },
    /// An incomplete compressed file.
    Part,
}

pub(super) fn old(log: &Path, number: u32) -> PathBuf {
    with(log, &format!(".{number}"))
}

pub(super) fn compressed(log: &Path, number: u32) -> PathBuf {
    with(log, &format!(".{number}.zst"))
}

pub(super) fn part(log: &Path) -> PathBuf {
    with(log, ".zst.part")
}

fn with(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The log and the kind of a file, if the name is one of those above.
pub(super) fn parse(name: &str) -> Option<(&str, Form)> {
    let is_log = |log: &str| {
        let of_guest = log.strip_prefix("guest-");
        let named = of_guest.and_then(|rest| {
            rest.strip_suffix(".log")
                .or_else(|| rest.strip_suffix(".cast"))
        });
        log == "hypervisor.log" || named.is_some_and(|named| !named.is_empty())
    };
    if is_log(name) {
        return Some((name, Form::Present));
    }
    if let Some(log) = name.strip_suffix(".zst.part") {
        return is_log(log).then_some((log, Form::Part));
    }
    let uncompressed = name.strip_suffix(".zst");
    let (log, digits) = uncompressed.unwrap_or(name).rsplit_once('.')?;
    let number: u32 = digits.parse().ok()?;
    let form = Form::Old {
        number,
        compressed: uncompressed.is_some(),
    };
    (is_log(log) && number > 0 && number.to_string() == digits).then_some((log, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_make_are_known() {
        let old = |number, compressed| Form::Old { number, compressed };
        for (name, known) in [
            ("guest-web.log", Some(("guest-web.log", Form::Present))),
            ("hypervisor.log", Some(("hypervisor.log", Form::Present))),
            ("guest-web.log.1", Some(("guest-web.log", old(1, false)))),
            (
                "guest-web.log.12.zst",
                Some(("guest-web.log", old(12, true))),
            ),
            (
                "guest-web.log.zst.part",
                Some(("guest-web.log", Form::Part)),
            ),
            // A guest with the name `web.log.1`.
            (
                "guest-web.log.1.log",
                Some(("guest-web.log.1.log", Form::Present)),
            ),
            (
                "guest-web.log.1.log.2",
                Some(("guest-web.log.1.log", old(2, false))),
            ),
            ("guest-web.cast", Some(("guest-web.cast", Form::Present))),
            ("guest-web.cast.1", Some(("guest-web.cast", old(1, false)))),
            ("hypervisor.cast", None),
            ("guest-.log", None),
            ("guest-web.log.0", None),
            ("guest-web.log.01", None),
            ("guest-web.log.+1", None),
            ("guest-web.log.1.gz", None),
            ("guest-web.log.1.zst.zst", None),
            ("guest-web.log.99999999999", None),
            ("guest-web.log.old", None),
            ("web.log.1", None),
            ("hypervisor.log.1", Some(("hypervisor.log", old(1, false)))),
            ("guest-web", None),
            ("", None),
        ] {
            assert_eq!(parse(name), known, "{name}");
        }
        let log = Path::new("/l/guest-web.log");
        for (path, form) in [
            (super::old(log, 7), old(7, false)),
            (compressed(log, 7), old(7, true)),
            (part(log), Form::Part),
        ] {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert_eq!(parse(name), Some(("guest-web.log", form)));
        }
    }
}
