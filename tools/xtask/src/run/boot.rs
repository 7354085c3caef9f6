// SPDX-License-Identifier: MIT
//! `cargo xtask boot`: the machine with a user at its console. `demo --interactive`
//! uses it too.

use std::io::{IsTerminal, Read, Write};
use std::process::ChildStdin;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use steps::Steps;

use crate::debian::host;
use crate::image::{Dom0, Kernels, OwnGuest};
use crate::rig::machine::{Emulator, Machine, Output, Spec};
use crate::rig::typing::Input;
use crate::xen::{self, Choice, Flavour, Which};

/// A user may be silent for a long time.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Boot to a shell in dom0 (its end switches the machine off)
#[derive(clap::Args)]
pub(crate) struct Boot {
    /// Debian's Xen, toolstack and console daemon
    #[arg(long)]
    stock: bool,
    #[command(flatten)]
    xen: Choice,
    /// Version of the interrupt controller
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    gic: u8,
    /// CPUs of the machine
    #[arg(long, default_value_t = 2)]
    cpus: u8,
    #[command(flatten)]
    own: Option<OwnGuest>,
}

impl Boot {
    /// Builds everything and connects the terminal.
    pub(crate) fn run(&self, steps: &Steps) -> Result<()> {
        let flavour = if self.stock {
            Flavour::Stock
        } else {
            Flavour::Ours
        };
        self.own.as_ref().map_or(Ok(()), OwnGuest::check)?;
        host::prepare(steps)?;
        let version = self.xen.version(steps)?;
        let built = xen::build(steps, Which { version, flavour })?;
        let mut dom0 = Dom0::make(steps, &built, Kernels::default())?;
        let mut task = String::new();
        if let Some(own) = &self.own {
            dom0 = dom0.with_own(steps, &built, own)?;
            OwnGuest::TASK.clone_into(&mut task);
        }
        let spec = Spec {
            hypervisor: built.hypervisor,
            emulator: Emulator::default(),
            gic: self.gic,
            cpus: self.cpus,
            counted: false,
            task,
            guest: None,
        };
        hand_over(Machine::start(&spec, &dom0, &steps.dirs.log("boot"))?)
    }
}

/// Connects our terminal to the machine's console until the machine is off.
pub(crate) fn hand_over(mut machine: Machine) -> Result<()> {
    if let Some(input) = machine.take_input() {
        raw()?;
        let terminal = std::io::stdin().is_terminal();
        thread::spawn(move || {
            type_into(input);
            if terminal {
                // The terminal is gone, and with it the user.
                let _ = kill_process(getpid(), Signal::HUP);
            }
        });
    }
    let shown = show(&mut machine);
    restore();
    shown
}

/// Passes input on until it ends or the machine no longer reads it.
fn type_into(mut input: Input<ChildStdin>) {
    let mut buffer = [0; 64];
    while let Ok(length @ 1..) = std::io::stdin().read(&mut buffer) {
        if input.type_in(&buffer[..length]).is_err() {
            // The machine is off; the other thread notices.
            loop {
                thread::park();
            }
        }
    }
}

fn show(machine: &mut Machine) -> Result<()> {
    while let Some(output) = machine.next(Instant::now() + PATIENCE)? {
        match output {
            Output::Console(bytes) => {
                let mut out = std::io::stdout().lock();
                out.write_all(&bytes)?;
                out.flush()?;
            }
            Output::Event(event) => print!("{}\r\n", event.to_line()),
            Output::Complaint(line) => print!("qemu: {line}\r\n"),
        }
    }
    Ok(())
}

/// The terminal as it was before we changed it.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Passes every key to the machine, also Ctrl-C.
fn raw() -> Result<()> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let mut settings = tcgetattr(&stdin)?;
        *BEFORE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(settings.clone());
        settings.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &settings)?;
    }
    Ok(())
}

/// Puts the terminal back as it was.
pub(crate) fn restore() {
    let before = BEFORE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
    if let Some(settings) = before {
        // A failure cannot be reported any more.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &settings);
    }
}
