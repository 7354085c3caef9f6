// SPDX-License-Identifier: MIT
//! Writes the daemon's manual page and its shells' completions, by the same
//! definitions that its command line is read with, to a folder.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use vconsoled::options::Options;

/// What no option says.
const MORE: &str = r#".SH FILES
.TP
\fI/etc/vconsoled.toml\fR
The configuration. It shows every key with its default. Options go before it.
.TP
\fI/run/vconsoled/control.sock\fR
Where \fBvconsole\fR(1) asks.
.TP
\fI/run/vconsoled/metrics.sock\fR
Counters as Prometheus reads them: \fBcurl \-\-unix\-socket\fR \fIPATH\fR \fBhttp://localhost/metrics\fR.
.TP
\fI/run/vconsoled/consoles/\fR
Two sockets for each console, for programs that know nothing of this one.
.SH SIGNALS
.TP
.B SIGHUP
Opens all logs again, after they were moved away.
.TP
.BR SIGTERM ", " SIGINT
Ends in an orderly way. Guests go on; what they say stays in their rings.
.SH ENVIRONMENT
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC
Where a service manager is told of readiness, and how often of life.
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
