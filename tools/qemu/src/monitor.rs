// SPDX-License-Identifier: MIT
//! QEMU's monitor: queries about the emulated machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Timeout of an answer by QEMU.
const PATIENCE: Duration = Duration::from_secs(60);

/// The monitor of a running machine.
pub struct Monitor(BufReader<UnixStream>);

impl Monitor {
    /// The monitor at the other end of `stream`.
    pub fn attach(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut monitor = Self(BufReader::new(stream));
        monitor.execute(&json!({"execute": "qmp_capabilities"}))?;
        Ok(monitor)
    }

    /// Runs a command of the human monitor and returns its output.
    pub fn ask(&mut self, command: &str) -> Result<String> {
        let answer = self.execute(&json!({
            "execute": "human-monitor-command",
            "arguments": {"command-line": command},
        }))?;
        Ok(answer.as_str().unwrap_or_default().replace('\r', ""))
    }

    fn execute(&mut self, command: &Value) -> Result<Value> {
        writeln!(self.0.get_mut(), "{command}")?;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).context("asking QEMU")? == 0 {
                bail!("QEMU has closed its monitor");
            }
            let mut answer: Value = serde_json::from_str(&line)?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            // A greeting or an event, which is ignored.
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_distinguished_from_events() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let qemu = thread::spawn(move || {
            let said = "{\"QMP\": {}}\r\n{\"return\": {}}\r\n{\"event\": \"STOP\"}\r\n\
                        {\"return\": \"VM status: paused\\r\\n\"}\r\n{\"error\": {\"desc\": \"no\"}}\r\n";
            far.write_all(said.as_bytes()).unwrap();
            let heard = BufReader::new(far).lines().map_while(Result::ok);
            heard.collect::<Vec<_>>()
        });
        let mut monitor = Monitor::attach(near).unwrap();
        assert_eq!(monitor.ask("info status").unwrap(), "VM status: paused\n");
        let error = monitor.ask("info nothing").unwrap_err().to_string();
        assert!(error.contains("info nothing"), "{error}");
        drop(monitor);
        let heard = qemu.join().unwrap();
        assert!(heard[0].contains("qmp_capabilities") && heard[1].contains("info status"));
    }
}
