// SPDX-License-Identifier: MIT
//! How long log files are kept, and which are removed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::names::{self, Form};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Rules for the files in the log folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The folder.
    pub dir: PathBuf,
    /// Files without writes for this many days are removed; none if 0.
    pub days: u32,
    /// Limit of the size of all files; the oldest are removed beyond it. No limit if 0.
    pub total: u64,
    /// Old files are compressed.
    pub compress: bool,
}

impl Retention {
    /// Whether existing files need any work.
    pub(super) fn is_needed(&self) -> bool {
        self.days > 0 || self.total > 0 || self.compress
    }
}

/// A file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    /// Its log.
    pub(super) log: PathBuf,
    pub(super) form: Form,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

impl Entry {
    pub(super) fn number(&self) -> u32 {
        match self.form {
            Form::Old { number, .. } => number,
            Form::Present | Form::Part => 0,
        }
    }
}

/// Every log file in a folder that belongs to this user.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let user = rustix::process::geteuid().as_raw();
    let mut entries = Vec::new();
    for entry in dir.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((log, form)) = name.to_str().and_then(names::parse) else {
            continue;
        };
        // A file that was removed meanwhile is skipped.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_file() && metadata.uid() == user {
            entries.push(Entry {
                path: entry.path(),
                log: dir.join(log),
                form,
                size: metadata.len(),
                modified: metadata.modified()?,
            });
        }
    }
    Ok(entries)
}

/// The files to remove. `open` are the logs of served consoles with the number of
/// old files that each keeps: current files stay.
pub(super) fn too_many<'a>(
    entries: &'a [Entry],
    open: &BTreeMap<PathBuf, u32>,
    retention: &Retention,
    now: SystemTime,
) -> Vec<&'a Entry> {
    let mut go = BTreeSet::new();
    let mut left: u64 = entries.iter().map(|entry| entry.size).sum();
    let oldest_first = oldest_first(entries, open);
    for (at, modified) in &oldest_first {
        let entry = &entries[*at];
        let surplus = open
            .get(&entry.log)
            .is_some_and(|count| entry.number() > *count);
        let age = now.duration_since(*modified).unwrap_or_default();
        let expired = retention.days > 0 && age >= DAY * retention.days;
        if surplus || expired {
            go.insert(*at);
            left -= entry.size;
        }
    }
    for (at, _) in oldest_first {
        if retention.total > 0 && left > retention.total && go.insert(at) {
            left -= entries[at].size;
        }
    }
    go.into_iter().map(|at| &entries[at]).collect()
}

/// Files that may be removed with their times: first the old ones, then current
/// files of closed consoles. Of one log's files none counts as older than one
/// with a higher number, even if the clock was set back.
fn oldest_first(entries: &[Entry], open: &BTreeMap<PathBuf, u32>) -> Vec<(usize, SystemTime)> {
    let may_go = |entry: &Entry| match entry.form {
        Form::Old { .. } => true,
        Form::Present => !open.contains_key(&entry.log),
        Form::Part => false,
    };
    let mut newest: BTreeMap<&Path, SystemTime> = BTreeMap::new();
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|at| Reverse(entries[*at].number()));
    let mut timed = Vec::new();
    for at in order.into_iter().filter(|at| may_go(&entries[*at])) {
        let entry = &entries[at];
        let newest = newest.entry(&entry.log).or_insert(entry.modified);
        *newest = entry.modified.max(*newest);
        timed.push((at, *newest));
    }
    timed.sort_by_key(|(at, modified)| (entries[*at].number() == 0, *modified));
    timed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * u32::try_from(day).unwrap()
    }

    fn entry(name: &str, size: u64, modified: u64) -> Entry {
        let (log, form) = names::parse(name).unwrap();
        Entry {
            path: name.into(),
            log: log.into(),
            form,
            size,
            modified: day(modified),
        }
    }

    /// Which files are removed, of the logs of a served guest `open` that keeps
    /// three old ones and of a closed one.
    fn go(days: u32, total: u64) -> Vec<String> {
        let entries = [
            entry("guest-open.log", 10, 10),
            entry("guest-open.log.1", 10, 96),
            entry("guest-open.log.2.zst", 10, 95),
            entry("guest-open.log.4", 10, 94),
            entry("guest-gone.log", 10, 75),
            entry("guest-gone.log.1", 10, 70),
            // The clock was set back between the two.
            entry("guest-gone.log.2", 10, 80),
            entry("guest-gone.log.9.zst", 10, 50),
        ];
        let open = [("guest-open.log".into(), 3)].into();
        let retention = Retention {
            days,
            total,
            ..Retention::default()
        };
        let go = too_many(&entries, &open, &retention, day(100));
        let names = go.into_iter().map(|entry| entry.path.display().to_string());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_more_than_a_log_keeps_goes() {
        assert_eq!(go(0, 0), ["guest-open.log.4"]);
    }

    #[test]
    fn what_was_not_written_to_for_so_long_goes_but_for_what_is_open() {
        assert_eq!(go(51, 0), ["guest-open.log.4"]);
        assert_eq!(go(50, 0), ["guest-gone.log.9.zst", "guest-open.log.4"]);
        assert_eq!(go(21, 0).len(), 2, "none is older than one before it");
        assert_eq!(go(20, 0).len(), 5);
        let all = go(1, 0);
        assert_eq!(all.len(), 7);
        assert!(!all.contains(&"guest-open.log".to_owned()));
    }

    #[test]
    fn the_oldest_go_until_all_fit_and_those_of_consoles_that_have_gone_last() {
        assert_eq!(go(0, 70).len(), 1);
        assert_eq!(go(0, 60), ["guest-gone.log.9.zst", "guest-open.log.4"]);
        assert_eq!(
            go(0, 55),
            [
                "guest-gone.log.2",
                "guest-gone.log.9.zst",
                "guest-open.log.4"
            ]
        );
        let few = go(0, 20);
        assert!(!few.contains(&"guest-gone.log".to_owned()) && few.len() == 6);
        assert_eq!(go(0, 1).len(), 7, "what is open stays whatever it takes");
    }

    #[test]
    fn only_files_that_are_ours_by_name_and_kind_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for name in ["guest-a.log", "guest-a.log.1", "guest-a.log.1.gz", "notes"] {
            std::fs::write(path(name), "12345").unwrap();
        }
        std::os::unix::fs::symlink(path("notes"), path("guest-a.log.2")).unwrap();
        std::fs::create_dir(path("guest-a.log.3")).unwrap();
        let mut found: Vec<(String, u64)> = list(dir.path())
            .unwrap()
            .into_iter()
            .map(|entry| {
                (
                    entry.path.file_name().unwrap().to_str().unwrap().to_owned(),
                    entry.size,
                )
            })
            .collect();
        found.sort();
        let expected = [
            ("guest-a.log".to_owned(), 5),
            ("guest-a.log.1".to_owned(), 5),
        ];
        assert_eq!(found, expected);
    }
}
