// SPDX-License-Identifier: MIT
//! The step engine.
//!
//! A step has a name, a key (a digest of everything its result depends on, including
//! the module that makes it), outputs and work. Its stamp under `target/stamp/` holds
//! the key of its last run: with the same key and all outputs present the work is
//! skipped. A step's key is part of the keys of the steps that build on it. Each step
//! prints one line, and its commands' output goes to `target/log/STEP.log`. Steps may
//! run in several threads; those with the same name run one after the other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use pins::{Fetcher, Origins, Pins, Store};

use crate::dirs::Dirs;
use crate::files::write;
use crate::key::Key;
use crate::process::Running;
use crate::progress::{self, Progress};

/// Lines of a log that are shown when a step fails.
const TAIL: usize = 25;

/// More than `TAIL` lines need.
const TAIL_BYTES: usize = 16 << 10;

/// The folder to which the compiler's names of source files are relative.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Runs steps.
pub struct Steps {
    /// The folders.
    pub dirs: Dirs,
    /// Repeats steps whose key has not changed.
    pub force: bool,
    /// The lock file of pinned files.
    pub lock: PathBuf,
    /// Other origins of pinned files.
    pub origins: Origins,
    /// The steps that threads are running.
    pub busy: Busy,
}

/// A lock for each step, by its name.
#[derive(Debug, Default)]
pub struct Busy(Mutex<BTreeMap<String, Arc<Mutex<()>>>>);

impl Busy {
    fn of(&self, name: &str) -> Arc<Mutex<()>> {
        lock(&self.0).entry(name.to_owned()).or_default().clone()
    }
}

/// After a panic the value is still used: steps keep no state in memory.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The context of a step's work.
pub struct Cx<'a> {
    /// The folders.
    pub dirs: &'a Dirs,
    origins: &'a Origins,
    log: PathBuf,
    progress: &'a Progress,
}

impl Steps {
    /// Runs the step unless it was done for `key`. `work` returns its result in a few
    /// words. Returns the key's digest.
    ///
    /// The module that calls this contains the work, so its text is part of the key.
    #[track_caller]
    pub fn run(
        &self,
        name: &str,
        key: Key,
        outputs: &[&Path],
        work: impl FnOnce(&Cx) -> Result<String>,
    ) -> Result<String> {
        let recipe = Path::new(SOURCES).join(Location::caller().file());
        let key = key.text(name).file(&recipe)?.finish();
        let busy = self.busy.of(name);
        let _busy = lock(&busy);
        let stamp = self.stamp(name);
        let done = fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == key);
        if done && !self.force && outputs.iter().all(|output| output.exists()) {
            progress::unchanged(name);
            return Ok(key);
        }
        // An interrupted step must not count as done.
        remove_if_there(&stamp)?;
        self.work(name, work)?;
        for output in outputs {
            if !output.exists() {
                bail!("step `{name}` ended without making {}", output.display());
            }
        }
        write(&stamp, &key)?;
        Ok(key)
    }

    /// Runs the step every time: its work checks for changes itself.
    pub fn always(&self, name: &str, work: impl FnOnce(&Cx) -> Result<String>) -> Result<()> {
        let busy = self.busy.of(name);
        let _busy = lock(&busy);
        self.work(name, work)
    }

    fn work(&self, name: &str, work: impl FnOnce(&Cx) -> Result<String>) -> Result<()> {
        let log = self.dirs.log(&file_name(name));
        write(&log, "")?;
        let progress = Progress::start(name);
        let said = work(&Cx {
            dirs: &self.dirs,
            origins: &self.origins,
            log,
            progress: &progress,
        });
        progress.finish(said.as_deref().unwrap_or("FAILED"));
        said.map(drop)
    }

    /// The same for work with a result. Returns that result.
    pub fn value<T>(&self, name: &str, work: impl FnOnce(&Cx) -> Result<(String, T)>) -> Result<T> {
        let mut result = None;
        self.always(name, |cx| {
            let (said, value) = work(cx)?;
            result = Some(value);
            Ok(said)
        })?;
        result.ok_or_else(|| anyhow!("step `{name}` has no result"))
    }

    /// Runs work that is no step: without a line of its own.
    pub fn quietly<T>(&self, name: &str, work: impl FnOnce(&Cx) -> Result<T>) -> Result<T> {
        let busy = self.busy.of(name);
        let _busy = lock(&busy);
        let log = self.dirs.log(&file_name(name));
        write(&log, "")?;
        work(&Cx {
            dirs: &self.dirs,
            origins: &self.origins,
            log,
            progress: &Progress::start(name),
        })
    }

    /// The pinned files of a set.
    pub fn pins(&self, set: &str) -> Result<Pins> {
        Pins::of_set(&self.lock, set)
    }

    fn stamp(&self, name: &str) -> PathBuf {
        self.dirs.target.join("stamp").join(file_name(name))
    }
}

impl Cx<'_> {
    /// Runs `command` with its output in the step's log; the log's tail is
    /// part of the error when it fails.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        let status = self.watch(command)?;
        if !status.success() {
            bail!(
                "`{}` failed ({status}); the end of {}:\n{}",
                command.get_program().display(),
                self.log.display(),
                tail(&self.log)
            );
        }
        Ok(())
    }

    /// Runs `command`, which may fail. Returns whether it succeeded, and its output.
    pub fn attempt(&self, command: &mut Command) -> Result<(bool, String)> {
        let before = usize::try_from(fs::metadata(&self.log)?.len())?;
        let status = self.watch(command)?;
        let log = fs::read(&self.log)?;
        // A run of the same step by another process restarts the log.
        let said = String::from_utf8_lossy(log.get(before..).unwrap_or_default());
        // The first line is the command.
        let (_, said) = said.split_once('\n').unwrap_or_default();
        Ok((status.success(), said.to_owned()))
    }

    /// Fetches pinned files. Returns them in the same order.
    pub fn fetch(&self, pins: &Pins) -> Result<Vec<PathBuf>> {
        self.with_fetcher(|fetcher| fetcher.fetch(pins))
    }

    /// Runs work with the fetcher of pinned files.
    pub fn with_fetcher<T>(&self, work: impl FnOnce(&Fetcher) -> Result<T>) -> Result<T> {
        work(&Fetcher {
            run: &|command| self.attempt(command),
            store: Store::of_user()?,
            indices: self.dirs.target.join("apt"),
            origins: self.origins.clone(),
        })
    }

    fn watch(&self, command: &mut Command) -> Result<ExitStatus> {
        let mut log = File::options().append(true).open(&self.log)?;
        writeln!(log, "$ {command:?}")?;
        let mut running = Running::start(
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?),
        )?;
        let mut said = Instant::now();
        loop {
            if let Some(status) = running.poll()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
            if said.elapsed() > Duration::from_millis(250) {
                said = Instant::now();
                self.progress.at(&last_line(&self.log));
            }
        }
    }

    /// Runs `command` and returns its standard output.
    pub fn output(&self, command: &mut Command) -> Result<String> {
        let log = File::options().append(true).open(&self.log)?;
        let output = command
            .stdin(Stdio::null())
            .stderr(log)
            .output()
            .with_context(|| format!("running {}", command.get_program().display()))?;
        if !output.status.success() {
            bail!(
                "`{}` failed ({}):\n{}",
                command.get_program().display(),
                output.status,
                tail(&self.log)
            );
        }
        String::from_utf8(output.stdout).context("output that is not text")
    }

    /// The step's log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }
}

fn file_name(name: &str) -> String {
    name.replace([' ', '/', ':'], "-")
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The last lines of a log, after its name.
#[must_use]
pub fn end_of(log: &Path) -> String {
    format!("the end of {}:\n{}", log.display(), tail(log))
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL_BYTES)..]);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// The end of the last line, which contains the file in compilers' messages.
fn last_line(log: &Path) -> String {
    const SHOWN: usize = 48;
    let tail = tail(log);
    let line = tail.lines().last().unwrap_or_default().trim();
    match line.char_indices().rev().nth(SHOWN) {
        Some((at, _)) => format!("…{}", &line[at..]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn steps(dir: &Path) -> Steps {
        let dirs = Dirs {
            root: dir.to_owned(),
            target: dir.join("target"),
        };
        Steps {
            dirs,
            force: false,
            lock: dir.join("pins.lock"),
            origins: Origins::default(),
            busy: Busy::default(),
        }
    }

    /// Runs a step that makes `output`. Returns whether it had to work.
    fn make(steps: &Steps, key: &str, output: &Path) -> bool {
        let worked = Cell::new(false);
        let work = |_: &Cx| {
            worked.set(true);
            write(output, "made")?;
            Ok("made".to_owned())
        };
        steps
            .run("s", Key::default().text(key), &[output], work)
            .unwrap();
        worked.get()
    }

    #[test]
    fn a_step_is_done_again_only_when_something_changed() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("o");
        let mut steps = steps(dir.path());
        assert!(make(&steps, "1", &output));
        assert!(!make(&steps, "1", &output));
        assert!(make(&steps, "2", &output));
        fs::remove_file(&output).unwrap();
        assert!(make(&steps, "2", &output));
        assert!(!make(&steps, "2", &output));
        steps.force = true;
        assert!(make(&steps, "2", &output));
    }

    #[test]
    fn a_step_is_done_again_when_its_module_changed() {
        let dir = tempfile::tempdir().unwrap();
        let steps = steps(dir.path());
        let key = steps.run("s", Key::default(), &[], |_| Ok("done".into()));
        let module = Path::new(SOURCES).join(file!());
        let with_module = Key::default().text("s").file(&module).unwrap();
        assert_eq!(key.unwrap(), with_module.finish());
    }

    #[test]
    fn two_threads_do_a_step_once() {
        let dir = tempfile::tempdir().unwrap();
        let steps = steps(dir.path());
        let done = AtomicUsize::new(0);
        let both = Barrier::new(2);
        let run = || {
            both.wait();
            let work = |_: &Cx| {
                done.fetch_add(1, Ordering::Relaxed);
                Ok("done".to_owned())
            };
            steps.run("s", Key::default(), &[], work).unwrap();
        };
        for round in 1..=50 {
            remove_if_there(&steps.stamp("s")).unwrap();
            thread::scope(|scope| [scope.spawn(run), scope.spawn(run)].map(|t| t.join().unwrap()));
            assert_eq!(done.load(Ordering::Relaxed), round);
        }
    }

    #[test]
    fn a_step_that_failed_is_not_taken_for_done() {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("o");
        let steps = steps(dir.path());
        assert!(make(&steps, "1", &output));
        let failed = steps.run("s", Key::default().text("2"), &[&output], |_| bail!("no"));
        assert!(failed.is_err());
        assert!(
            make(&steps, "1", &output),
            "a result half overwritten passes for the old one"
        );
    }

    #[test]
    fn a_step_must_make_the_files_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("o");
        let ran = steps(dir.path()).run("s", Key::default(), &[&missing], |_| Ok("done".into()));
        assert!(ran.unwrap_err().to_string().contains("without making"));
    }

    #[test]
    fn a_failed_command_shows_the_end_of_its_output() {
        let dir = tempfile::tempdir().unwrap();
        let steps = steps(dir.path());
        let script = "for i in $(seq 1000); do echo line $i; done; exit 3";
        let error = steps
            .run("s", Key::default(), &[], |cx| {
                cx.run(Command::new("sh").args(["-c", script]))?;
                Ok(String::new())
            })
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 1000") && !error.contains("line 900\n"),
            "{error}"
        );
    }
}
