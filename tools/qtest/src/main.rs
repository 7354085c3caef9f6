// SPDX-License-Identifier: MIT
//! `vpl011-qtest`: the device alone behind QEMU's qtest line protocol.
#![forbid(unsafe_code)]

mod machine;
mod protocol;
mod serve;

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use vpl011::ring::fake::AtomicPage;

use self::machine::Machine;
use self::serve::Chardev;

/// A PL011 behind QEMU's qtest protocol on standard input and output
#[derive(Parser)]
#[command(name = "vpl011-qtest", version, after_help = AFTER_HELP)]
struct Options {
    /// Address of the device's 4 KiB frame
    #[arg(long, value_name = "ADDRESS", default_value = "0x9000000", value_parser = address)]
    base: u64,

    /// Which UART to emulate
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    profile: Profile,

    /// Listen on this unix stream socket for the serial peer; without a peer
    /// the guest's output waits in its ring of 2048 bytes
    #[arg(long, value_name = "PATH")]
    chardev: Option<PathBuf>,
}

/// The device's profiles, by their names on the command line.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Profile {
    /// Arm's PL011, every register of it
    #[default]
    Pl011,
    /// The Generic UART of the SBSA, with its FIFOs enabled from reset
    Sbsa,
}

impl From<Profile> for vpl011::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Pl011 => Self::Pl011,
            Profile::Sbsa => Self::Sbsa,
        }
    }
}

const AFTER_HELP: &str = "\
Commands: readb|readw|readl ADDR, writeb|writew|writel ADDR VALUE, clock_step [NS],
irq_intercept_in PATH. Each is answered by a line `OK ...` or `FAIL ...`; once
irq_intercept_in was given, `IRQ raise 0` and `IRQ lower 0` report the combined
interrupt line. The end of standard input ends the program.";

fn address(text: &str) -> Result<u64, String> {
    match protocol::number(text) {
        Ok(address) if address % 0x1000 == 0 => Ok(address),
        Ok(_) => Err("the address must be a multiple of 0x1000".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let chardev = options
        .chardev
        .as_ref()
        .map(|path| {
            let listener = UnixListener::bind(path)
                .with_context(|| format!("cannot listen on {}", path.display()))?;
            Chardev::new(listener)
        })
        .transpose()?;
    let page = AtomicPage::new();
    let mut machine = Machine::new(options.base, options.profile.into(), &page);
    let result = serve::serve(
        &mut machine,
        chardev,
        std::io::stdin().as_fd(),
        &mut std::io::stdout(),
    );
    if let Some(path) = &options.chardev {
        // The socket is ours: bind() refuses a path that exists.
        std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
    }
    result
}
