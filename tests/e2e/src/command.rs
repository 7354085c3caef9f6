// SPDX-License-Identifier: MIT
//! Runs programs to their end, with a time limit.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The polling interval.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The result of a program.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) success: bool,
    /// Standard output and standard error, in that order.
    pub(crate) text: String,
}

impl Finished {
    /// The output if the program succeeded.
    pub(crate) fn ok(self) -> Result<String> {
        if !self.success {
            bail!("{}", self.text.trim());
        }
        Ok(self.text)
    }
}

/// Runs `program`; at `limit` it is killed, which is an error.
pub(crate) fn run(program: &str, args: &[&str], limit: Duration) -> Result<Finished> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let out = collect(child.stdout.take());
    let err = collect(child.stderr.take());
    let Some(status) = wait(&mut child, limit)? else {
        bail!("{program} {} took longer than {limit:?}", args.join(" "));
    };
    let text = out.join().unwrap_or_default() + &err.join().unwrap_or_default();
    Ok(Finished {
        success: status.success(),
        text,
    })
}

/// Waits for a child; at the limit kills it and returns `None`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<std::process::ExitStatus>> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(TICK);
    }
}

/// Polls until the answer is true; `false` at the limit.
pub(crate) fn poll(limit: Duration, mut ask: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if ask() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(TICK);
    }
}

fn collect(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_failure_are_returned() {
        let limit = Duration::from_secs(10);
        let finished = run("sh", &["-c", "echo out; echo err >&2; exit 3"], limit).unwrap();
        assert_eq!(
            (finished.success, finished.text.as_str()),
            (false, "out\nerr\n")
        );
        assert!(run("sh", &["-c", "exit 0"], limit).unwrap().ok().is_ok());
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let start = Instant::now();
        let error = run("sleep", &["60"], Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("sleep 60"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
