// SPDX-License-Identifier: MIT
//! The emulated machine: QEMU with Xen, dom0 and its connections to this program.
//!
//! The console (Xen's and dom0's) is QEMU's standard input and output. The test agent's
//! events have a virtio port of their own, so that no console output mixes with them;
//! QEMU writes that port to its standard error, together with its own messages. Its
//! monitor and its debugger are sockets without a name, which only this program can
//! use.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use e2e::report::Event;
use rustix::io::{FdFlags, fcntl_setfd};
use steps::process::{Running, stop_if_interrupted};

use crate::image::{Dom0, Uefi, drive, value};
use crate::rig::domu::DomU;
use crate::rig::typing::Input;
use qemu::Debugger;
use qemu::Monitor;

/// Addresses of dom0's kernel and initramfs in QEMU's machine.
const KERNEL_AT: u64 = 0x5000_0000;
const INITRD_AT: u64 = 0x5800_0000;

/// Memory of the machine and of dom0, in MiB.
const MEMORY: u32 = 3072;
const DOM0_MEMORY: u32 = 1024;

/// Xen's option for a run queue, and so a lock, on each CPU. With one queue for both,
/// a CPU waits in a loop for its lock while the host runs another thread than the one
/// that has it.
const QUEUES: &str = " credit2_runqueue=cpu";

/// dom0's option for a kernel at its usual place. At a random one it has page tables
/// of its own for user space (KPTI), with which emulated system calls are slow.
const PLACE: &str = " nokaslr";

/// The QEMU program, and how it emulates.
#[derive(Debug, Clone)]
pub(crate) struct Emulator {
    pub(crate) program: PathBuf,
    /// The argument of its option `-accel`, if any.
    pub(crate) accel: Option<String>,
}

/// This machine's own QEMU, with default options.
impl Default for Emulator {
    fn default() -> Self {
        Self {
            program: "qemu-system-aarch64".into(),
            accel: None,
        }
    }
}

/// What to boot, and on which machine.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Xen's image.
    pub(crate) hypervisor: PathBuf,
    pub(crate) emulator: Emulator,
    /// Version of the interrupt controller, 2 or 3.
    pub(crate) gic: u8,
    /// CPUs.
    pub(crate) cpus: u8,
    /// Whether its clock counts instructions, one a nanosecond, so that its
    /// measurements do not depend on the host. It then has one CPU.
    pub(crate) counted: bool,
    /// dom0's task: words for its kernel's command line, read by its init.
    pub(crate) task: String,
    /// A guest that Xen itself starts, in addition to dom0.
    pub(crate) guest: Option<DomU>,
}

impl Spec {
    /// A machine whose clock counts instructions, for a task of dom0.
    pub(crate) fn counted(hypervisor: PathBuf, task: String) -> Self {
        Self {
            hypervisor,
            emulator: Emulator::default(),
            gic: 3,
            cpus: 1,
            counted: true,
            task,
            guest: None,
        }
    }

    /// QEMU's command line, with the guest's node in the device tree if there is one.
    fn command(&self, dom0: &Dom0, log: &Path) -> Result<Command> {
        let Some(guest) = &self.guest else {
            return Ok(self.command_on("", dom0));
        };
        let dtb = log.with_extension("dtb");
        let dump = format!(",dumpdtb={}", value(&dtb));
        guest.make_tree(&mut self.command_on(&dump, dom0), &dtb)?;
        let mut command = self.command_on("", dom0);
        command.arg("-dtb").arg(&dtb).args(guest.loaders());
        Ok(command)
    }

    /// QEMU's command line without what it boots, with further options of the machine.
    fn emulated(&self, options: &str) -> Command {
        // If this program is killed, the kernel ends QEMU.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command.arg(&self.emulator.program);
        command.arg("-machine").arg(format!(
            "virt,virtualization=on,gic-version={}{options}",
            self.gic
        ));
        command.args(["-cpu", "cortex-a57", "-smp", &self.cpus.to_string()]);
        if let Some(accel) = &self.emulator.accel {
            command.args(["-accel", accel]);
        }
        if self.counted {
            command.args(["-icount", "shift=0,sleep=off"]);
            // Other sources of differences between runs.
            command.args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]);
        }
        command.args(["-m", &MEMORY.to_string()]);
        command.args(["-display", "none", "-nic", "none", "-monitor", "none"]);
        command.args(["-serial", "stdio"]);
        command.args(["-chardev", "file,id=events,path=/dev/stderr"]);
        command.args(["-device", "virtio-serial-device"]);
        command.args(["-device", "virtserialport,nr=1,chardev=events,name=events"]);
        command
    }

    /// QEMU's command line for Xen and dom0 that it loads itself, with further options
    /// of the machine.
    fn command_on(&self, options: &str, dom0: &Dom0) -> Command {
        let mut command = self.emulated(options);
        command
            .arg("-no-reboot")
            .arg("-kernel")
            .arg(&self.hypervisor)
            .arg("-append")
            .arg(format!(
                "dom0_mem={DOM0_MEMORY}M console=dtuart dtuart=/pl011@9000000 \
             loglvl=info guest_loglvl=all bootscrub=0{}",
                self.unless_plain(QUEUES)
            ));
        command.arg("-device").arg(loader(
            "kernel",
            KERNEL_AT,
            &dom0.kernel,
            Some(&self.bootargs()),
        ));
        command
            .arg("-device")
            .arg(loader("initrd", INITRD_AT, &dom0.initrd, None));
        command.args(drives(&dom0.disks));
        command
    }

    /// QEMU's command line for firmware that boots the first of these disks. It gives
    /// the system a device tree and no ACPI, which Debian's Xen does not use on arm64.
    fn command_with(&self, uefi: &Uefi, disks: &[PathBuf], log: &Path) -> Result<Command> {
        let mut command = self.emulated(",acpi=off");
        command.args(uefi.drives(&log.with_extension("vars"))?);
        command.args(drives(disks));
        Ok(command)
    }

    fn bootargs(&self) -> String {
        let place = self.unless_plain(PLACE);
        format!("console=hvc0 rdinit=/init quiet{place} {}", self.task)
    }

    /// An option that saves processor time. Machines that measure, and those with a
    /// `GICv2`, run Xen and Linux with their defaults.
    fn unless_plain(&self, option: &'static str) -> &'static str {
        if self.counted || self.gic == 2 {
            ""
        } else {
            option
        }
    }
}

/// QEMU's options for disks. Linux numbers the devices from the last one.
fn drives(disks: &[PathBuf]) -> impl Iterator<Item = String> {
    let disks = disks.iter().enumerate().rev();
    disks.flat_map(|(number, disk)| drive(number, disk))
}

fn loader(what: &str, at: u64, file: &Path, bootargs: Option<&str>) -> OsString {
    let mut option = OsString::from(format!("guest-loader,addr={at:#x},{what}="));
    option.push(value(file));
    if let Some(bootargs) = bootargs {
        option.push(format!(",bootargs={}", bootargs.replace(',', ",,")));
    }
    option
}

/// Output of the machine.
#[derive(Debug)]
pub(crate) enum Output {
    /// Bytes of the console.
    Console(Vec<u8>),
    /// An event of the agent.
    Event(Event),
    /// A message of QEMU.
    Complaint(String),
}

/// A running machine. It ends when dropped.
pub(crate) struct Machine {
    #[expect(dead_code, reason = "dropping it ends QEMU")]
    running: Running,
    output: Receiver<Output>,
    /// The console's input.
    input: Option<Input<ChildStdin>>,
    monitor: UnixStream,
    debugger: UnixStream,
    hypervisor: PathBuf,
}

impl Machine {
    /// Starts it. All output of its console also goes to `log`.
    pub(crate) fn start(spec: &Spec, dom0: &Dom0, log: &Path) -> Result<Self> {
        Self::run(spec.hypervisor.clone(), spec.command(dom0, log)?, log)
    }

    /// Starts another machine of QEMU's, whose console is the program's standard input
    /// and output.
    pub(crate) fn start_without_xen(command: Command, log: &Path) -> Result<Self> {
        Self::run(PathBuf::new(), command, log)
    }

    /// Starts one that its firmware boots from a disk, and starts again when it is
    /// restarted. `spec.hypervisor` is used for its symbols only, and `spec.task` not at
    /// all.
    pub(crate) fn start_from(
        spec: &Spec,
        uefi: &Uefi,
        disks: &[PathBuf],
        log: &Path,
    ) -> Result<Self> {
        let command = spec.command_with(uefi, disks, log)?;
        Self::run(spec.hypervisor.clone(), command, log)
    }

    /// The same as [`Self::start`], but stopped before its first instruction until a
    /// debugger continues it.
    pub(crate) fn start_halted(spec: &Spec, dom0: &Dom0, log: &Path) -> Result<Self> {
        let mut command = spec.command(dom0, log)?;
        command.arg("-S");
        Self::run(spec.hypervisor.clone(), command, log)
    }

    fn run(hypervisor: PathBuf, mut command: Command, log: &Path) -> Result<Self> {
        let (monitor, its_monitor) = socket(&mut command, "monitor")?;
        command.args(["-mon", "chardev=monitor,mode=control"]);
        let (debugger, its_debugger) = socket(&mut command, "debugger")?;
        let log = File::create(log).with_context(|| format!("writing {}", log.display()))?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running::start(&mut command)?;
        drop((its_monitor, its_debugger));
        let child = running.pipes();
        let printed = Arc::new(AtomicUsize::new(0));
        let input = child.stdin.take();
        let input = input.map(|input| Input::new(input, Arc::clone(&printed)));
        let console = child.stdout.take().context("QEMU has no output")?;
        let events = child.stderr.take().context("QEMU has no output")?;
        let (sender, output) = mpsc::channel();
        let to = sender.clone();
        thread::spawn(move || read_console(console, log, &printed, &to));
        thread::spawn(move || read_events(events, &sender));
        Ok(Self {
            running,
            output,
            input,
            monitor,
            debugger,
            hypervisor,
        })
    }

    /// QEMU's monitor. To be called once.
    pub(crate) fn monitor(&self) -> Result<Monitor> {
        Monitor::attach(self.monitor.try_clone()?)
    }

    /// Stops the machine for its debugger. To be called once.
    pub(crate) fn debug(&self, monitor: &mut Monitor) -> Result<Debugger> {
        monitor.ask("gdbserver chardev:debugger")?;
        Debugger::attach(self.debugger.try_clone()?)
    }

    /// Xen with its symbols.
    pub(crate) fn symbols(&self) -> PathBuf {
        self.hypervisor.with_file_name("xen-syms")
    }

    /// The console's input.
    pub(crate) fn take_input(&mut self) -> Option<Input<ChildStdin>> {
        self.input.take()
    }

    /// The next output, `None` once the machine is off. An error if there is none until
    /// `deadline`.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Option<Output>> {
        match self
            .output
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            Ok(output) => Ok(Some(output)),
            Err(RecvTimeoutError::Disconnected) => {
                stop_if_interrupted();
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout) => bail!("the machine did not answer in time"),
        }
    }
}

/// A QEMU character device that is a socket, and both its ends. The second is QEMU's,
/// to be kept until QEMU runs.
fn socket(command: &mut Command, id: &str) -> Result<(UnixStream, UnixStream)> {
    let (ours, its) = UnixStream::pair()?;
    fcntl_setfd(&its, FdFlags::empty())?;
    command
        .arg("-chardev")
        .arg(format!("socket,id={id},fd={}", its.as_raw_fd()));
    Ok((ours, its))
}

/// Copies the console to the log and to `to`, and counts it in `printed`. Both readers
/// end with QEMU.
fn read_console(mut console: impl Read, mut log: File, printed: &AtomicUsize, to: &Sender<Output>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = console.read(&mut buffer) {
        let bytes = &buffer[..length];
        printed.fetch_add(length, Ordering::Relaxed);
        if log.write_all(bytes).is_err() || to.send(Output::Console(bytes.to_vec())).is_err() {
            return;
        }
    }
}

fn read_events(events: impl Read, to: &Sender<Output>) {
    for line in BufReader::new(events).lines().map_while(Result::ok) {
        let output = match Event::from_line(&line) {
            Some(event) => Output::Event(event),
            None => Output::Complaint(line),
        };
        if to.send(output).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_measure_or_have_a_gicv2_run_with_defaults() {
        let measures = Spec::counted("xen".into(), "e2e=a".into());
        assert_eq!(measures.bootargs(), "console=hvc0 rdinit=/init quiet e2e=a");
        let usual = Spec {
            counted: false,
            ..measures
        };
        assert_eq!(
            usual.bootargs(),
            "console=hvc0 rdinit=/init quiet nokaslr e2e=a"
        );
        assert_eq!(usual.unless_plain(QUEUES), QUEUES);
        let gicv2 = Spec { gic: 2, ..usual };
        assert_eq!(gicv2.unless_plain(QUEUES), "");
    }
}
