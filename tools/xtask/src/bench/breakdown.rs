// SPDX-License-Identifier: MIT
//! The instructions of an access by part of Xen's work: single steps through an access
//! in the middle of a bare-metal guest's thousand, with each instruction assigned to a
//! part.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::Steps;

use crate::debian::host;
use crate::image::{Dom0, Kernels};
use crate::rig::machine::{Machine, Spec};
use crate::xen::{self, Flavour};
use qemu::Debugger;

/// Step through single accesses and print where their instructions are spent
#[derive(clap::Args)]
pub(crate) struct Breakdown {
    /// Show the functions of each access too
    #[arg(long)]
    functions: bool,
}

/// An access that the measurement `registers` makes a thousand times.
#[derive(Clone, Copy)]
struct Access {
    title: &'static str,
    flavour: Flavour,
    /// The guest's function that does so.
    function: &'static str,
    address: u64,
}

const DR: u64 = 0x2200_0000;
const FR: u64 = DR + 0x18;

const ACCESSES: [Access; 4] = [
    Access {
        title: "floor (stock, FR write)",
        flavour: Flavour::Stock,
        function: "time_writes",
        address: FR,
    },
    Access {
        title: "stock, DR write",
        flavour: Flavour::Stock,
        function: "time_writes",
        address: DR,
    },
    Access {
        title: "ours, DR write",
        flavour: Flavour::Ours,
        function: "time_writes",
        address: DR,
    },
    Access {
        title: "ours, FR read",
        flavour: Flavour::Ours,
        function: "time_reads",
        address: FR,
    },
];

/// Start of the guest's memory. Its MMU is off, so addresses below are Xen's.
const GUEST: u64 = 0x4000_0000;

/// Accesses before those that are stepped through.
const BEFORE: u32 = 200;
/// The shortest of so many counts; it rings no doorbell.
const STEPPED: usize = 15;

/// The part of Xen's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Entry,
    Vgic,
    Dispatch,
    Device,
    Lock,
    Doorbell,
    Exit,
}

const PHASES: [(Phase, &str); 7] = [
    (Phase::Entry, "exception entry: registers saved"),
    (Phase::Vgic, "vGIC: list registers in and out"),
    (
        Phase::Dispatch,
        "dispatch: which device has the address, and the PC",
    ),
    (Phase::Device, "the device"),
    (Phase::Lock, "its lock"),
    (Phase::Doorbell, "event channel"),
    (Phase::Exit, "exit: softirqs, registers restored"),
];

impl Phase {
    /// The part of Xen's work in `function`, after `self`. A function that fits every
    /// part, such as one that finds a bit, belongs to the part before.
    fn then(self, function: &str) -> Self {
        match function {
            "vgic_sync_from_lrs" | "vgic_sync_to_lrs" => Self::Vgic,
            "do_trap_guest_sync"
            | "do_trap_stage2_abort_guest"
            | "try_handle_mmio"
            | "advance_pc" => Self::Dispatch,
            "notify_via_xen_event_channel" => Self::Doorbell,
            "leave_hypervisor_to_guest" | "return_from_trap" => Self::Exit,
            "guest_sync_slowpath" => match self {
                Self::Dispatch | Self::Exit => Self::Exit,
                _ => Self::Entry,
            },
            "_spin_lock_irqsave" | "_spin_unlock_irqrestore" if self == Self::Device => Self::Lock,
            _ if function.starts_with("vpl011_") => Self::Device,
            _ => self,
        }
    }
}

/// Functions, sorted by address.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    fn of(program: &Path) -> Result<Self> {
        let output = Command::new("aarch64-linux-gnu-nm")
            .arg("-n")
            .arg(program)
            .output()
            .context("running aarch64-linux-gnu-nm")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self::from_listing(&String::from_utf8(output.stdout)?))
    }

    fn from_listing(listing: &str) -> Self {
        let functions = listing.lines().filter_map(|line| {
            let [address, kind, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return None;
            };
            // `$x` marks code for disassemblers; a name that starts with a dot marks a
            // place in it.
            let function = matches!(kind, "t" | "T" | "w" | "W") && !name.starts_with(['$', '.']);
            let address = u64::from_str_radix(address, 16).ok()?;
            function.then(|| (address, name.to_owned()))
        });
        Self(functions.collect())
    }

    /// The function that contains `address`.
    fn at(&self, address: u64) -> &str {
        let behind = self.0.partition_point(|(start, _)| *start <= address);
        behind
            .checked_sub(1)
            .map_or("?", |before| self.0[before].1.as_str())
    }

    fn address(&self, function: &str) -> Result<u64> {
        self.0
            .iter()
            .find(|(_, name)| name == function)
            .map(|(address, _)| *address)
            .with_context(|| format!("there is no {function}"))
    }
}

impl Breakdown {
    /// Steps through the accesses and prints the table.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        host::prepare(steps)?;
        let mut columns: Vec<(Access, Vec<String>)> = Vec::new();
        for flavour in [Flavour::Stock, Flavour::Ours] {
            let accesses = ACCESSES.iter().filter(|access| access.flavour == flavour);
            let built = xen::build(steps, flavour)?;
            let dom0 = Dom0::make(steps, &built, Kernels::default())?;
            let spec = Spec::counted(built.hypervisor, "e2e=registers".into());
            columns.extend(steps.value(&flavour.step("bench breakdown"), |_| {
                let traces = trace(steps, &spec, &dom0, flavour, accesses.copied().collect())?;
                Ok((format!("{} accesses", traces.len()), traces))
            })?);
        }
        columns.sort_by_key(|(access, _)| ACCESSES.iter().position(|a| a.title == access.title));
        println!();
        print!("{}", table(&columns));
        if self.functions {
            for (access, functions) in &columns {
                println!("\n{}:\n{}", access.title, by_function(functions));
            }
        }
        Ok(true)
    }
}

/// The functions of each instruction of these accesses.
fn trace(
    steps: &Steps,
    spec: &Spec,
    dom0: &Dom0,
    flavour: Flavour,
    mut accesses: Vec<Access>,
) -> Result<Vec<(Access, Vec<String>)>> {
    let log = steps.dirs.log(&flavour.step("bench breakdown machine"));
    let machine = Machine::start_halted(spec, dom0, &log)?;
    let mut debugger = machine.debug(&mut machine.monitor()?)?;
    let guest = Symbols::of(&steps.dirs.target.join("machine/guests/monitor.elf"))?;
    let xen = Symbols::of(&spec.hypervisor.with_file_name("xen-syms"))?;
    let loops = ["time_reads", "time_writes"];
    for function in loops {
        debugger.break_at(GUEST + guest.address(function)?)?;
    }
    let mut traces = Vec::new();
    while !accesses.is_empty() {
        let start = debugger.go()?;
        let (function, address) = (guest.at(start - GUEST).to_owned(), debugger.register(0)?);
        debugger.pass(start)?;
        let asked = accesses
            .iter()
            .position(|access| access.function == function && access.address == address);
        if let Some(asked) = asked {
            let instructions = stepped(&mut debugger)?;
            let functions = instructions.iter().map(|at| xen.at(*at).to_owned());
            traces.push((accesses.remove(asked), functions.collect()));
        } else {
            debugger.step()?;
        }
        debugger.break_at(start)?;
    }
    Ok(traces)
}

/// The addresses of Xen's instructions in one access of the loop that starts.
fn stepped(debugger: &mut Debugger) -> Result<Vec<u64>> {
    let mut access = 0;
    loop {
        let at = debugger.step()?;
        if at < GUEST {
            break;
        }
        access = at;
    }
    debugger.break_at(access)?;
    for _ in 0..BEFORE {
        debugger.go()?;
        debugger.pass(access)?;
        debugger.step()?;
        debugger.break_at(access)?;
    }
    let mut traces: Vec<Vec<u64>> = Vec::new();
    while traces.len() < STEPPED {
        debugger.go()?;
        debugger.pass(access)?;
        let mut trace = Vec::new();
        let back = loop {
            let at = debugger.step()?;
            if at >= GUEST {
                break at;
            }
            trace.push(at);
        };
        // Else another domain got the CPU.
        if back == access + 4 {
            traces.push(trace);
        }
        debugger.break_at(access)?;
    }
    debugger.pass(access)?;
    traces
        .into_iter()
        .min_by_key(Vec::len)
        .context("no access was stepped through")
}

/// Instructions by phase, one column per access, in Markdown.
fn table(columns: &[(Access, Vec<String>)]) -> String {
    let mut text = String::from("| |");
    for (access, _) in columns {
        let _ = write!(text, " {} |", access.title);
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(columns.len()));
    text.push('\n');
    let phases: Vec<Vec<Phase>> = columns
        .iter()
        .map(|(_, functions)| phases(functions))
        .collect();
    for (phase, title) in PHASES {
        let _ = write!(text, "| {title} |");
        for of_column in &phases {
            let count = of_column.iter().filter(|other| **other == phase).count();
            let _ = match count {
                0 => write!(text, " - |"),
                count => write!(text, " {count} |"),
            };
        }
        text.push('\n');
    }
    text.push_str("| **all** |");
    for of_column in &phases {
        let _ = write!(text, " **{}** |", of_column.len());
    }
    text.push('\n');
    text
}

/// The part of Xen's work at each instruction.
fn phases(functions: &[String]) -> Vec<Phase> {
    functions
        .iter()
        .scan(Phase::Entry, |phase, function| {
            *phase = phase.then(function);
            Some(*phase)
        })
        .collect()
}

/// Instructions by function, in the order in which they are first entered.
fn by_function(functions: &[String]) -> String {
    let mut counts: Vec<(&str, u32)> = Vec::new();
    for function in functions {
        match counts.iter_mut().find(|(name, _)| name == function) {
            Some((_, count)) => *count += 1,
            None => counts.push((function, 1)),
        }
    }
    counts
        .iter()
        .fold(String::new(), |mut text, (name, count)| {
            let _ = writeln!(text, "{count:>6} {name}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(runs: &[(&str, usize)]) -> Vec<String> {
        runs.iter()
            .flat_map(|(name, count)| std::iter::repeat_n((*name).to_owned(), *count))
            .collect()
    }

    /// A helper belongs to its caller.
    #[test]
    fn each_instruction_has_one_phase() {
        let trace = functions(&[
            ("guest_sync_slowpath", 3),
            ("vgic_sync_from_lrs", 2),
            ("_spin_lock_irqsave", 1),
            ("guest_sync_slowpath", 1),
            ("do_trap_guest_sync", 1),
            ("vpl011_takes_trap", 2),
            ("_spin_lock_irqsave", 4),
            ("vpl011_access", 1),
            ("advance_pc", 1),
            ("guest_sync_slowpath", 1),
            ("leave_hypervisor_to_guest", 1),
            ("vgic_sync_to_lrs", 1),
            ("guest_sync_slowpath", 1),
            ("return_from_trap", 1),
        ]);
        let found = phases(&trace);
        let count = |phase| found.iter().filter(|other| **other == phase).count();
        assert_eq!(count(Phase::Device), 3);
        assert_eq!(count(Phase::Lock), 4);
        assert_eq!(count(Phase::Dispatch), 2);
        assert_eq!(count(Phase::Vgic), 4);
        assert_eq!(found.len(), trace.len());
    }

    #[test]
    fn addresses_are_put_down_to_functions() {
        let symbols = Symbols::from_listing(
            "0000000000001000 T first\n0000000000001004 t $x\n\
             0000000000001008 D data\n0000000000001010 t second\n                 U gone\n",
        );
        assert_eq!(symbols.at(0x1000), "first");
        assert_eq!(symbols.at(0x100c), "first");
        assert_eq!(symbols.at(0x1010), "second");
        assert_eq!(symbols.at(0xfff), "?");
        assert_eq!(symbols.address("second").unwrap(), 0x1010);
        assert!(symbols.address("data").is_err());
    }
}
