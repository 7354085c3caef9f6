// SPDX-License-Identifier: MIT
//! One log or recording: writes the output buffer's next bytes to its file, and
//! records for the next daemon its position, and the write in progress.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cast::{self, Cast};
use super::file::{self, LogFile};
use super::progress::Progress;
use super::stamp::{self, Stamps};
use super::step::{Buffers, Closing, Step};
use super::text::Text;
use super::{Counts, LogOptions, Rotation, Shared};
use crate::buffer::{Arrival, Cursor, OutputBuffer, Record};

/// Shortest time between two messages about a log.
const QUIET: Duration = Duration::from_secs(60);

/// Where the log of an output buffer continues: at the recorded position, or at
/// the buffer's start.
pub(super) fn noted_position(output: &OutputBuffer, record: Record) -> u64 {
    Progress::of(output, record).map_or(output.start(), |noted| noted.position().min(output.end()))
}

/// A log that is written.
pub(super) struct OpenLog {
    shared: Arc<Shared>,
    options: LogOptions,
    /// Set for a recording.
    cast: Option<Cast>,
    file: Option<LogFile>,
    /// The file must be reopened.
    pub(super) reopen: bool,
    text: Text,
    cursor: Cursor,
    /// Position and number of bytes that wait for more: an incomplete sequence or
    /// character.
    held: Option<(u64, usize)>,
    /// The last error.
    trouble: Option<String>,
    /// When it was reported.
    said: Option<Instant>,
    pub(super) closing: Closing,
    /// The state file to remove when the log is complete.
    pub(super) state: Option<PathBuf>,
    /// A file was rotated.
    pub(super) rotated: bool,
}

impl OpenLog {
    pub(super) fn new(shared: Arc<Shared>, options: LogOptions, cast: Option<Cast>) -> Self {
        let position = shared.position.load(Ordering::Acquire);
        let mut log = Self {
            shared,
            options,
            cast,
            file: None,
            reopen: false,
            text: Text::default(),
            cursor: Cursor::at(position),
            held: None,
            trouble: None,
            said: None,
            closing: Closing::No,
            state: None,
            rotated: false,
        };
        log.configure(options);
        log
    }

    /// Changes the options.
    pub(super) fn configure(&mut self, options: LogOptions) {
        self.options = options;
        if let Some(output) = &*self.shared.output() {
            let position = self.cursor.position();
            output.set_times(self.shared.id, options.style.timestamps, position);
        }
    }

    /// The record of the log's progress.
    fn record(&self) -> Record {
        match self.cast {
            Some(_) => Record::Recording,
            None => Record::Log,
        }
    }

    /// Number of old files to keep.
    pub(super) fn count(&self) -> u32 {
        self.options.rotation.count
    }

    /// Whether its last write may have to be completed.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_new() && !self.shared.failed.load(Ordering::Relaxed)
    }

    /// Writes some output. On failure nothing was written.
    pub(super) fn step(&mut self, counts: &Counts, buffers: &mut Buffers) -> io::Result<Step> {
        let Some(output) = self.shared.output().clone() else {
            return Ok(Step::Nothing);
        };
        let mut file = match self.file.take() {
            Some(file) if !self.reopen && file.is_in_place() => file,
            Some(file) => self.open_again(&output, file),
            None => self.open(&output)?,
        };
        self.shared.urgent.store(false, Ordering::Relaxed);
        if self.seen() == output.end() {
            // Output after this is signalled again; earlier output may not be.
            self.shared.pending.swap(false, Ordering::AcqRel);
        }
        let typed = self.write_typed(&output, &mut file);
        let step = typed.and_then(|()| self.write(&output, &mut file, counts, buffers));
        self.file = Some(file);
        step
    }

    fn write(
        &mut self,
        output: &OutputBuffer,
        file: &mut LogFile,
        counts: &Counts,
        buffers: &mut Buffers,
    ) -> io::Result<Step> {
        let Buffers { raw, text: bytes } = buffers;
        let most = raw.len().min(self.most_at_once());
        let length = self.cursor.peek(output, &mut raw[..most])?;
        let position = self.cursor.position();
        let last = self.closing == Closing::ForGood && position + length as u64 == output.end();
        let same = self.held == Some((position, length));
        if length == 0 || same && length < most && !last {
            return Ok(Step::Nothing);
        }
        // A sequence that does not fit is shown as text.
        let all = last || same;
        let mut raw = &raw[..length];
        file.look()?;
        if self.cast.is_some() && file.extent().size == 0 {
            self.begin(file)?;
        }
        let stamps = self.stamps(output, position, length);
        let (mut text, mut done) = self.render(&stamps, raw, all, bytes);
        self.held = None;
        if done == 0 {
            self.held = Some((position, length));
            return Ok(if length == most {
                Step::Partly
            } else {
                Step::Wrote
            });
        }
        let rotation = self.options.rotation;
        let holds = self.cast.as_ref().is_none_or(|cast| cast.holds(file));
        if holds && file.is_full(rotation, bytes.len()) {
            let line_end = raw.iter().position(|byte| *byte == b'\n');
            match line_end.filter(|_| !self.text.at_line_start()) {
                // The line is completed first.
                Some(end) if end + 1 < raw.len() => {
                    raw = &raw[..=end];
                    (text, done) = self.render(&stamps, raw, all, bytes);
                }
                _ => {
                    self.rotate(output, file, rotation);
                    if self.cast.is_some() {
                        // The recording's times count from the new file's start.
                        self.begin(file)?;
                        let stamps = self.stamps(output, position, length);
                        (text, done) = self.render(&stamps, raw, all, bytes);
                    }
                }
            }
        }
        if self.cursor.is_in_output() {
            let progress = self.progress(file);
            progress
                .writing((raw.len(), all), self.options.style)
                .write(output, self.record());
        }
        file.append(bytes)?;
        counts.writes.fetch_add(1, Ordering::Relaxed);
        self.text = text;
        self.cursor.advance(done);
        if done < raw.len() {
            self.held = Some((self.cursor.position(), raw.len() - done));
        }
        self.note(output, file);
        self.recover();
        let all = self.seen() == output.end();
        Ok(if all { Step::Wrote } else { Step::Partly })
    }

    /// Adds input to a recording. Input that cannot be written now is dropped: it
    /// may be a password, and must not be kept for long.
    fn write_typed(&mut self, output: &OutputBuffer, file: &mut LogFile) -> io::Result<()> {
        let typed: Vec<(Arrival, Vec<u8>)> = self.shared.typed().drain(..).collect();
        if self.cast.is_none() || typed.is_empty() {
            return Ok(());
        }
        file.look()?;
        if file.extent().size == 0 {
            self.begin(file)?;
        }
        if let Some(cast) = &self.cast {
            let events = typed
                .iter()
                .map(|(arrival, bytes)| cast.typed(*arrival, bytes));
            file.append(events.collect::<String>().as_bytes())?;
        }
        self.note(output, file);
        Ok(())
    }

    /// Most output of one write: a file must not exceed its size by much.
    fn most_at_once(&self) -> usize {
        let size = match (self.options.rotation.size, &self.cast) {
            (0, _) => u64::MAX,
            (size, None) => size - size / 4,
            // A character may become an escape of six bytes.
            (size, Some(_)) => size / 8,
        };
        usize::try_from(size).unwrap_or(usize::MAX).max(1)
    }

    /// The end of the output that was read.
    fn seen(&self) -> u64 {
        let position = self.cursor.position();
        match self.held {
            Some((at, length)) if at == position => position + length as u64,
            _ => position,
        }
    }

    /// The time stamps for lines that begin in these bytes.
    fn stamps(&self, output: &OutputBuffer, position: u64, length: usize) -> Stamps {
        if let Some(cast) = &self.cast {
            stamp::seconds(output, position, length, cast.base)
        } else if self.options.style.timestamps {
            stamp::stamps(output, position, length)
        } else {
            Stamps::new()
        }
    }

    /// Renders `raw`: returns the text's new state, and the number of finished
    /// bytes. The rest waits for more, unless it is `all`.
    fn render(&self, stamps: &Stamps, raw: &[u8], all: bool, bytes: &mut Vec<u8>) -> (Text, usize) {
        bytes.clear();
        let mut text = self.text;
        let done = match self.cast {
            Some(_) => cast::render(stamps, raw, all, bytes),
            None => text.render(self.options.style.filter, stamps, raw, all, bytes),
        };
        (text, done)
    }

    fn open(&mut self, output: &OutputBuffer) -> io::Result<LogFile> {
        let path = &self.shared.path;
        let noted = Progress::of(output, self.record());
        if let Some(noted) = noted {
            self.text = noted.text();
            // The console's earlier log may have ended after this one was created.
            self.cursor = Cursor::at(noted.position().min(output.end()));
            if let Some(pending) = noted.pending(output, self.record())
                && file::complete(path, noted.extent(), &pending.bytes)?
            {
                self.text = pending.text;
                self.cursor = Cursor::at(pending.end);
            }
        }
        let mut file = LogFile::open(path)?;
        let is_known = noted.is_some_and(|noted| noted.extent().is_same_file(file.extent()));
        // A recording's start is read from its file.
        if !is_known || self.cast.is_some() {
            self.begin(&mut file)?;
        }
        self.note(output, &file);
        self.recover();
        Ok(file)
    }

    /// Opens the file of that name; on failure continues the one that was moved.
    fn open_again(&mut self, output: &OutputBuffer, old: LogFile) -> LogFile {
        self.reopen = false;
        let opened = LogFile::open(&self.shared.path).and_then(|mut file| {
            if !old.extent().is_same_file(file.extent()) {
                self.begin(&mut file)?;
            }
            Ok(file)
        });
        let file = opened.unwrap_or_else(|error| {
            self.say(&format!("cannot be opened again: {error}"));
            old
        });
        self.note(output, &file);
        file
    }

    /// Begins a file that this daemon has not written to.
    fn begin(&mut self, file: &mut LogFile) -> io::Result<()> {
        self.text = Text::default();
        if let Some(cast) = &mut self.cast {
            if !cast.begin(file)? {
                // A file of other content is rotated.
                file.rotate(self.options.rotation)?;
                cast.begin(file)?;
            }
        } else if self.options.style.timestamps {
            let mut bytes = Vec::new();
            let (text, _) = self.render(&stamp::now(), b"Logfile Opened\n", true, &mut bytes);
            file.append(&bytes)?;
            self.text = text;
        }
        Ok(())
    }

    fn rotate(&mut self, output: &OutputBuffer, file: &mut LogFile, rotation: Rotation) {
        match file.rotate(rotation) {
            // Recorded before anything is written to the new file.
            Ok(()) => {
                self.note(output, file);
                self.rotated = true;
            }
            Err(error) => self.say(&format!("cannot be rotated: {error}")),
        }
    }

    /// Records the log's position for the next daemon.
    fn note(&self, output: &OutputBuffer, file: &LogFile) {
        self.progress(file).write(output, self.record());
        let position = self.cursor.position();
        self.shared.position.store(position, Ordering::Release);
        output.forget_times(self.shared.id, position);
        let lost = self.cursor.lost(output);
        self.shared.lost.store(lost, Ordering::Relaxed);
    }

    fn progress(&self, file: &LogFile) -> Progress {
        let base = self.cast.as_ref().map_or(0, |cast| cast.base);
        Progress::at(self.cursor.position(), file.extent(), self.text).since(base)
    }

    /// Whether nothing was written yet.
    pub(super) fn is_new(&self) -> bool {
        self.file.is_none()
    }

    /// Whether both have one record of one output.
    pub(super) fn has_record_of(&self, other: &Self) -> bool {
        self.record() == other.record() && self.shared.has_output_of(&other.shared)
    }

    /// Releases the output's times when the log is closed.
    pub(super) fn leave(&self) {
        if let Some(output) = &*self.shared.output() {
            output.leave_times(self.shared.id);
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(super) fn fail(&mut self, error: &io::Error) {
        self.say(&format!(
            "{error}; output waits, and is lost if it waits too long"
        ));
        self.shared.failed.store(true, Ordering::Relaxed);
    }

    /// Reports an error once.
    fn say(&mut self, trouble: &str) {
        let known = self.trouble.as_deref() == Some(trouble);
        let lately = self.said.is_some_and(|said| said.elapsed() < QUIET);
        if !known && !lately {
            tracing::error!("{}: {trouble}", self.shared.path.display());
            self.said = Some(Instant::now());
        }
        self.trouble = Some(trouble.to_owned());
    }

    fn recover(&mut self) {
        self.shared.failed.store(false, Ordering::Relaxed);
        if self.trouble.take().is_some() {
            tracing::info!("{}: written again", self.shared.path.display());
        }
    }
}
