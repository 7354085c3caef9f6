// SPDX-License-Identifier: MIT
//! Writes the manual page and the shell completions to a folder, from the
//! definitions that parse the command line.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use vconsole_web::Options;

/// Sections of the page that are not from the options.
const MORE: &str = r#".SH FILES
.TP
\fI/etc/default/vconsole-web\fR
\fBVCONSOLE_WEB_ARGS\fR: the options that the unit gives it.
.TP
\fI/etc/vconsole-web/tenants\fR
Who may log in, unless the options name another file. A change holds from the next
login on.
.TP
\fI/etc/vconsole-web/tls/\fR
\fIcert.pem\fR and \fIkey.pem\fR, which systemd hands to the service as
\fI/run/credentials/vconsole\-web.service/tls_cert.pem\fR and \fItls_key.pem\fR.
.TP
\fI/etc/vconsoled.toml\fR
Rules: what each tenant may do, with \fBby = ["vconsole\-web"]\fR.
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
Ends it. Terminals in browsers connect again and go on.
.SH SEE ALSO
.BR vconsoled (8),
.BR vconsole (1)
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
    fs::write(folder.join("vconsole-web.8"), page)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "vconsole-web", &folder)?;
    }
    Ok(())
}
