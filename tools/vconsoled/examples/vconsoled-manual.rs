// SPDX-License-Identifier: MIT
//! Writes the daemon's manual page and its shell completions to a folder, from
//! the definitions of its command line.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use vconsoled::options::Options;

/// Sections beyond the options.
const MORE: &str = r#".SH FILES
.TP
\fI/etc/vconsoled.toml\fR
The configuration. It shows every key with its default. Options take precedence.
.TP
\fI/run/vconsoled/control.sock\fR
The socket of \fBvconsole\fR(1).
.TP
\fI/run/vconsoled/metrics.sock\fR
Counters in Prometheus' format: \fBcurl \-\-unix\-socket\fR \fIPATH\fR \fBhttp://localhost/metrics\fR.
.TP
\fI/run/vconsoled/consoles/\fR
Two sockets for each console, for programs without support for its protocol.
.SH SIGNALS
.TP
.B SIGHUP
Reads the configuration again, and reopens all logs.
.TP
.BR SIGTERM ", " SIGINT
Ends normally. Guests continue; their output stays in their rings.
.SH ENVIRONMENT
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC
The socket of the service manager, and the period of its watchdog.
.SH SEE ALSO
.BR vconsole (1),
.BR xl (1)
"#;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .context("name the folder to write to")?;
    let folder = PathBuf::from(folder);
    fs::create_dir_all(&folder)?;
    let mut command = Options::command();
    let mut page = Vec::new();
    Man::new(command.clone()).section("8").render(&mut page)?;
    page.extend_from_slice(MORE.as_bytes());
    fs::write(folder.join("vconsoled.8"), page)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "vconsoled", &folder)?;
    }
    Ok(())
}
