// SPDX-License-Identifier: MIT
//! Error reports of Xen, a kernel or a program of this project on a console.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

/// Words of error reports, from any source.
const WORDS: [&str; 11] = [
    "Assertion '",
    "BUG:",
    "Kernel panic",
    "Oops",
    "Panic on CPU",
    "Unable to handle kernel",
    "WARNING: CPU",
    "Xen BUG",
    "Xen WARN",
    "avc:  denied",
    "panicked at",
];

/// Programs of this project, for which "unhandled" is an error. For other guest
/// accesses Xen prints it at each boot.
const OURS: [&str; 4] = ["vpl011", "vconsole", "xl[", "e2e"];

/// What a kernel prints when the host gave the emulated CPU no time.
const STARVED: &str = "soft lockup";

/// Whether a line of a console is a complaint.
fn is_complaint(line: &str) -> bool {
    (WORDS.iter().any(|word| line.contains(word)) && !line.contains(STARVED))
        || (line.to_lowercase().contains("unhandled")
            && OURS.iter().any(|name| line.contains(name)))
}

/// Finds complaints in a console's output.
#[derive(Debug, Default)]
pub struct Complaints {
    line: Vec<u8>,
    found: Vec<String>,
}

impl Complaints {
    /// Adds output.
    pub fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(*byte);
            }
        }
    }

    /// The complaints since the last call. An unfinished line counts.
    pub fn found(&mut self) -> Vec<String> {
        self.end_line();
        std::mem::take(&mut self.found)
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if is_complaint(&line) {
            self.found.push(line.trim().to_owned());
        }
        self.line.clear();
    }
}

/// Bytes of a guest's output that explain a failure.
const END: usize = 4096;

/// The guests' logs, and how far they have been searched.
#[derive(Debug)]
pub(crate) struct Logs {
    dir: PathBuf,
    seen: BTreeMap<PathBuf, usize>,
}

impl Logs {
    /// The logs of a folder, from their present ends.
    pub(crate) fn new(dir: &str) -> Self {
        let mut logs = Self {
            dir: dir.into(),
            seen: BTreeMap::new(),
        };
        // A log that cannot be read now is searched from its beginning.
        let _ = logs.grown();
        logs
    }

    /// What was logged since the last call, by file name.
    pub(crate) fn grown(&mut self) -> io::Result<Grown> {
        let mut grown = Grown::default();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with("guest-") {
                continue;
            }
            let mut text = fs::read(&path)?;
            let seen = self.seen.insert(path.clone(), text.len()).unwrap_or(0);
            // A log that has become shorter is a new one.
            if seen <= text.len() {
                text.drain(..seen);
            }
            if !text.is_empty() {
                grown.0.insert(name.into_owned(), text);
            }
        }
        Ok(grown)
    }
}

/// Output of guests, by the file names of their logs.
#[derive(Debug, Default)]
pub(crate) struct Grown(BTreeMap<String, Vec<u8>>);

impl Grown {
    /// The complaints in it.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let of = |(name, text): (&String, &Vec<u8>)| {
            let mut complaints = Complaints::default();
            complaints.take(text);
            let found = complaints.found().into_iter();
            found
                .map(|line| format!("{name}: {line}"))
                .collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    /// The end of each guest's output, to be read by a person: without control characters.
    pub(crate) fn ends(&self) -> String {
        let end = |(name, text): (&String, &Vec<u8>)| {
            let end = String::from_utf8_lossy(&text[text.len().saturating_sub(END)..]);
            let end = end.replace(|c: char| c.is_control() && c != '\n', "");
            format!("\n--- the end of {name}:\n{end}")
        };
        self.0.iter().map(end).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_boot_has_no_complaint_and_errors_are_found() {
        for line in [
            "(XEN) Xen WARN at arch/arm/vgic.c:432",
            "(XEN) Assertion 'spin_is_locked(&v->lock)' failed at vpl011.c:10",
            "(XEN) Panic on CPU 0:",
            "(XEN) avc:  denied  { map_write } for domid=0 target=32754",
            "[    3.1] WARNING: CPU: 0 PID: 1 at kernel/irq/manage.c:10",
            "[    3.1] BUG: scheduling while atomic: swapper/0/0/0x00000002",
            "[    3.1] Internal error: Oops: 96000004 [#1] SMP",
            "[    3.1] Kernel panic - not syncing: Fatal exception",
            "thread 'main' panicked at src/main.rs:3:5:",
            "(XEN) d1v0: vpl011: unhandled read r3 offset 0x44",
            "[    3.1] vconsoled[116]: unhandled exception: DABT",
        ] {
            assert!(is_complaint(line), "{line}");
        }
        for line in [
            "(XEN) d1v0: vGICD: unhandled word write 0x000000ffffffff to ICACTIVER4",
            "(XEN) d0v0 Unhandled SMC/HVC: 0x84000050",
            "(XEN) Std. Loglevel: Errors, warnings and info",
            "(XEN)   Debug Features: 0000000010305106 0000000000000000",
            "[    0.0] Kernel command line: console=ttyAMA0 panic=1",
            "[   63.1] watchdog: BUG: soft lockup - CPU#0 stuck for 23s!",
        ] {
            assert!(!is_complaint(line), "{line}");
        }
    }

    #[test]
    fn a_complaint_is_found_however_the_console_is_cut() {
        let text = b"quiet\r\n(XEN) Xen BUG at x.c:1\r\nquiet\r\n";
        for cut in 0..text.len() {
            let mut complaints = Complaints::default();
            complaints.take(&text[..cut]);
            complaints.take(&text[cut..]);
            assert_eq!(complaints.found(), ["(XEN) Xen BUG at x.c:1"], "{cut}");
            assert_eq!(complaints.found(), [""; 0]);
        }
    }

    #[test]
    fn only_what_was_logged_since_the_last_look_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("guest-a.log");
        fs::write(&file, "Kernel panic of before\n").unwrap();
        fs::write(dir.path().join("hypervisor.log"), "Xen BUG\n").unwrap();
        let mut logs = Logs::new(dir.path().to_str().unwrap());
        fs::write(&file, "Kernel panic of before\nOops of now\r\n").unwrap();
        let grown = logs.grown().unwrap();
        assert_eq!(grown.complaints(), ["guest-a.log: Oops of now"]);
        assert_eq!(grown.ends(), "\n--- the end of guest-a.log:\nOops of now\n");
        let grown = logs.grown().unwrap();
        assert_eq!((grown.complaints(), grown.ends()), (vec![], String::new()));
        fs::write(&file, "BUG: of another\n").unwrap();
        let grown = logs.grown().unwrap();
        assert_eq!(grown.complaints(), ["guest-a.log: BUG: of another"]);
    }

    #[test]
    fn a_long_output_is_shown_by_its_end() {
        let text = [vec![b'a'; END], vec![b'z'; END]].concat();
        let grown = Grown([("guest-a.log".to_owned(), text)].into());
        assert_eq!(grown.ends().matches('z').count(), END);
        assert_eq!(
            grown.ends().matches('a').count(),
            "guest-a".matches('a').count()
        );
    }
}
