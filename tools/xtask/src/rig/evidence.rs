// SPDX-License-Identifier: MIT
//! Evidence from a hung machine before it is ended: from Xen, by the keys of its
//! console; from QEMU, by its monitor; and the CPUs' registers.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use goblin::elf::Elf;
use steps::end_of;

use crate::rig::machine::{Machine, Output};
use qemu::Debugger;

/// Switches the console's input: from dom0 to guests started by Xen, then to Xen.
const SWITCH: &[u8] = b"\x01\x01\x01";
const TO_XEN: &str = "*** Serial input to Xen";

/// Xen's keys: timers, run queues, interrupts, domains with their vCPUs and list
/// registers, and each CPU's present state.
const KEYS: &[u8] = b"ariqd";

/// Silence after which an answer counts as complete.
const SILENCE: Duration = Duration::from_secs(3);

/// Timeout of an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Registers of each CPU.
const REGISTERS: &[&str] = &[
    "CNTV_CTL_EL0",
    "CNTV_CVAL_EL0",
    "CNTVOFF_EL2",
    "CNTHP_CTL_EL2",
    "CNTHP_CVAL_EL2",
    "HCR_EL2",
    "ELR_EL2",
    "ESR_EL2",
];

/// The words of a page; Xen keeps a vCPU in one.
const PAGE: usize = 4096 / 8;

/// The check that a hung machine fails.
pub(crate) const GOES_ON: &str = "the machine continues";

/// A hung machine, with the path of the evidence.
#[derive(Debug)]
pub(crate) struct StandsStill(String);

impl StandsStill {
    /// Collects the evidence; `about` describes the machine so far.
    pub(crate) fn of(
        machine: &mut Machine,
        input: &mut impl Write,
        log: &Path,
        about: &str,
    ) -> Self {
        // Before the log contains the answers too.
        let end = end_of(log);
        Self(format!("{about}; {}; {end}", keep(machine, input, log)))
    }
}

impl fmt::Display for StandsStill {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StandsStill {}

/// Collects answers and stores them beside the machine's log. Returns a sentence about
/// it.
fn keep(machine: &mut Machine, input: &mut impl Write, log: &Path) -> String {
    let path = log.with_extension("evidence");
    let mut evidence = String::new();
    let mut part = |name: &str, answer: Result<String>| {
        let answer = answer.unwrap_or_else(|error| format!("no answer: {error:#}"));
        write!(evidence, "== {name}\n{}\n\n", answer.trim_end()).expect("a String takes any text");
    };
    part("Xen", xen(machine, input));
    match machine.monitor() {
        Ok(mut monitor) => {
            part("QEMU", monitor.ask("info registers -a"));
            let mut debugger = machine.debug(&mut monitor);
            let mut ask = |question: &dyn Fn(&mut Debugger) -> Result<String>| match &mut debugger {
                Ok(debugger) => question(debugger),
                Err(error) => bail!("{error:#}"),
            };
            part("timers of the CPUs", ask(&registers));
            let symbols = machine.symbols();
            part(
                "timers of dom0's vCPUs, as Xen keeps them",
                ask(&|debugger| saved_timers(debugger, &symbols)),
            );
        }
        Err(error) => part("QEMU", Err(error)),
    }
    match fs::write(&path, evidence) {
        Ok(()) => format!("evidence is in {}", path.display()),
        Err(error) => format!("no evidence: writing {}: {error}", path.display()),
    }
}

/// Xen's answers on its console.
fn xen(machine: &mut Machine, input: &mut impl Write) -> Result<String> {
    let mut said = String::new();
    let mut type_in = |keys: &[u8], enough: &str| {
        input.write_all(keys)?;
        input.flush()?;
        listen(machine, enough)
    };
    for _ in 0..4 {
        said += &type_in(SWITCH, TO_XEN)?;
        if said.contains(TO_XEN) {
            for key in KEYS {
                said += &type_in(&[*key], "")?;
            }
            return Ok(said);
        }
    }
    bail!("it does not take the console's input; it printed:\n{said}")
}

/// The console's output up to `enough`, or until it is silent.
fn listen(machine: &mut Machine, enough: &str) -> Result<String> {
    let mut shown = Vec::new();
    let end = Instant::now() + ANSWER;
    let mut silence = ANSWER;
    loop {
        let now = Instant::now();
        match machine.next(end.min(now + silence)) {
            Ok(Some(Output::Console(bytes))) => shown.extend(bytes),
            Ok(Some(_)) => {}
            Ok(None) => bail!("the machine has ended"),
            Err(_) => break,
        }
        silence = SILENCE;
        let text = String::from_utf8_lossy(&shown);
        if Instant::now() > end || !enough.is_empty() && text.contains(enough) {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&shown).replace('\r', ""))
}

/// The timers of each CPU.
fn registers(debugger: &mut Debugger) -> Result<String> {
    let mut text = String::new();
    let mut cpu = 0;
    while debugger.turn_to(cpu).is_ok() {
        for name in REGISTERS {
            let number = debugger.system_register(name)?;
            writeln!(text, "CPU{cpu} {name} {:#x}", debugger.register(number)?)?;
        }
        cpu += 1;
    }
    Ok(text)
}

/// The virtual timers of dom0's vCPUs that are not running, as saved by Xen.
fn saved_timers(debugger: &mut Debugger, xen: &Path) -> Result<String> {
    let file = fs::read(xen).with_context(|| format!("reading {}", xen.display()))?;
    let elf = Elf::parse(&file)?;
    let address = |name: &str| {
        let found = elf
            .syms
            .iter()
            .find(|symbol| elf.strtab.get_at(symbol.st_name) == Some(name));
        found
            .map(|symbol| symbol.st_value)
            .with_context(|| format!("there is no {name}"))
    };
    let (dom0, expired) = (address("hardware_domain")?, address("virt_timer_expired")?);
    // A CPU that runs Xen can read Xen's memory.
    let mut cpu = 0;
    while debugger.words(dom0, 1).is_err() {
        debugger.turn_to(cpu).context("no CPU is in Xen")?;
        cpu += 1;
    }
    let domain = debugger.words(dom0, 1)?[0];
    // struct domain begins with the domain's number, the number of its vCPUs, and a
    // pointer to an array of pointers to them.
    let head = debugger.words(domain, 2)?;
    let mut text = String::new();
    for (at, vcpu) in debugger
        .words(head[1], usize::try_from(head[0] >> 32)?)?
        .into_iter()
        .enumerate()
    {
        let (control, compare) = timer_in(&debugger.words(vcpu, PAGE)?, expired)
            .with_context(|| format!("vCPU {at} has no timer"))?;
        writeln!(text, "d0v{at} CTL {control:#x} CVAL {compare:#x}")?;
    }
    Ok(text)
}

/// The control and the compare value of the virtual timer in a vCPU: in struct vtimer
/// they follow a struct timer, which ends with its function, that function's argument,
/// and one more word.
fn timer_in(vcpu: &[u64], expired: u64) -> Option<(u64, u64)> {
    let function = vcpu.iter().position(|word| *word == expired)?;
    Some((*vcpu.get(function + 3)?, *vcpu.get(function + 4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_found_by_its_function() {
        let vcpu = [7, 0x27_12a0, 0x8000, 0x0001_0000, 3, 99];
        assert_eq!(timer_in(&vcpu, 0x27_12a0), Some((3, 99)));
        assert_eq!(timer_in(&vcpu, 0x27_12a4), None);
        assert_eq!(timer_in(&vcpu[..4], 0x27_12a0), None);
    }
}
