// SPDX-License-Identifier: MIT
//! `cargo xtask e2e`: scenarios in emulated machines, one boot for all that need the
//! same machine; and those that need a machine of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use e2e::report::Outcome;
use e2e::{Hypervisor, Scenario};
use steps::{Progress, Steps};

use crate::debian::host;
use crate::image::{Dom0, Kernels};
use crate::rig::domu::DomU;
use crate::rig::follow::{self, Task, follow, say};
use crate::rig::machine::{Emulator, Machine, Spec};
use crate::run::install::{self, Installation};
use crate::run::outside::{self, Outside};
use crate::xen::{self, Built, Choice, Flavour, Version, Which};

/// Run end-to-end scenarios in emulated Xen
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Names; if none is given, the scenarios of a whole run
    scenarios: Vec<String>,
    /// Run them in a dom0 of Debian 13 on a disk, with the packages of Xen that `cargo
    /// xtask package --stack` has made
    #[arg(long, conflicts_with_all = ["xen", "tree", "dom0", "guest", "list"])]
    debian: bool,
    #[command(flatten)]
    xen: Choice,
    #[command(flatten)]
    kernels: Kernels,
    /// Show the scenarios and run none
    #[arg(long)]
    list: bool,
}

impl Options {
    /// Runs them. Returns whether all passed.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        if self.list {
            for (name, about) in Chosen::known().list() {
                println!("{name:<18} {about}");
            }
            return Ok(true);
        }
        let outcomes = if self.debian {
            host::prepare(steps)?;
            install::inside(steps, &self.scenarios)?
        } else {
            let chosen = Chosen::named(&self.scenarios)?;
            let mut outcomes = if chosen.inside.is_empty() && chosen.outside.is_empty() {
                Vec::new()
            } else {
                let version = self.xen.version(steps)?;
                Bench::with_kernels(steps, version, self.kernels)?.run(&chosen)?
            };
            for scenario in &chosen.install {
                host::prepare(steps)?;
                outcomes.push((scenario.run)(steps)?);
            }
            outcomes
        };
        let failed = outcomes.iter().filter(|outcome| !outcome.pass).count();
        println!("{} passed, {failed} failed", outcomes.len() - failed);
        Ok(failed == 0)
    }
}

/// The scenarios to run, in the order of a whole run.
pub(crate) struct Chosen {
    /// Scenarios run by the agent in dom0.
    inside: Vec<&'static Scenario>,
    /// Scenarios run by this program, at the machine's console.
    outside: Vec<&'static Outside>,
    /// Scenarios with a Debian on a disk.
    install: Vec<&'static Installation>,
}

impl Chosen {
    /// Every scenario.
    fn known() -> Self {
        Self {
            inside: e2e::scenarios().iter().collect(),
            outside: outside::ALL.iter().collect(),
            install: install::ALL.iter().collect(),
        }
    }

    /// The scenarios of a whole run.
    fn whole_run() -> Self {
        Self {
            inside: e2e::whole_run().collect(),
            install: Vec::new(),
            ..Self::known()
        }
    }

    /// The scenarios of a whole run that need our usual build of the hypervisor, in the
    /// small dom0.
    pub(crate) fn usual() -> Self {
        let mut chosen = Self::of_builds(|hypervisor| hypervisor == Hypervisor::Ours);
        chosen.inside.retain(|s| s.needs.dom0 == e2e::Dom0::Plain);
        chosen.outside.clear();
        chosen
    }

    /// The others that need it: in another dom0, or at the machine's console.
    pub(crate) fn other_machines() -> Self {
        let mut chosen = Self::of_builds(|hypervisor| hypervisor == Hypervisor::Ours);
        chosen.inside.retain(|s| s.needs.dom0 != e2e::Dom0::Plain);
        chosen
    }

    /// The scenarios that need another build.
    pub(crate) fn other_builds() -> Self {
        Self::of_builds(|hypervisor| hypervisor != Hypervisor::Ours)
    }

    fn of_builds(is_wanted: fn(Hypervisor) -> bool) -> Self {
        let mut chosen = Self::whole_run();
        chosen.inside.retain(|s| is_wanted(s.needs.hypervisor));
        chosen.outside.retain(|s| is_wanted(s.needs.hypervisor));
        chosen
    }

    /// The scenarios with these names; without names, those of a whole run.
    pub(crate) fn named(names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self::whole_run());
        }
        let mut chosen = Self::known();
        let known: Vec<&str> = chosen.list().map(|(name, _)| name).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("there is no scenario `{name}`; `cargo xtask e2e --list` shows them");
        }
        let wanted = |name: &str| names.iter().any(|wanted| wanted == name);
        chosen.inside.retain(|scenario| wanted(scenario.name));
        chosen.outside.retain(|scenario| wanted(scenario.name));
        chosen.install.retain(|scenario| wanted(scenario.name));
        Ok(chosen)
    }

    /// The scenarios with a long form and these names; all of them without names.
    pub(crate) fn long(names: &[String]) -> Result<Self> {
        let known: Vec<&str> = e2e::soaks().map(|scenario| scenario.name).collect();
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            bail!("`{name}` has no long form; there are {}", known.join(", "));
        }
        let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        Ok(Self {
            inside: e2e::soaks().filter(|s| wanted(s.name)).collect(),
            outside: Vec::new(),
            install: Vec::new(),
        })
    }

    /// How many scenarios these are.
    pub(crate) fn len(&self) -> usize {
        self.list().count()
    }

    /// Names and descriptions of the scenarios.
    fn list(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let inside = self.inside.iter().map(|s| (s.name, s.about));
        inside
            .chain(self.outside.iter().map(|s| (s.name, s.about)))
            .chain(self.install.iter().map(|s| (s.name, s.about)))
    }
}

impl From<&'static Scenario> for Chosen {
    fn from(scenario: &'static Scenario) -> Self {
        Self {
            inside: vec![scenario],
            outside: Vec::new(),
            install: Vec::new(),
        }
    }
}

/// Everything that scenarios boot.
#[derive(Clone)]
pub(crate) struct Bench<'a> {
    steps: &'a Steps,
    kernels: Kernels,
    dom0: Dom0,
    built: Built,
    /// Whether scenarios run in their long form.
    pub(crate) soak: bool,
    /// The number of this run, if there are several; a part of its logs' names.
    pub(crate) number: Option<usize>,
    pub(crate) emulator: Emulator,
    /// Booted in place of a built hypervisor.
    pub(crate) hypervisor: Option<PathBuf>,
}

impl<'a> Bench<'a> {
    /// Runs every step up to the images, with the default version of Xen.
    pub(crate) fn prepare(steps: &'a Steps) -> Result<Self> {
        Self::on(steps, Version::default())
    }

    /// The same with a version of Xen.
    pub(crate) fn on(steps: &'a Steps, version: Version) -> Result<Self> {
        Self::with_kernels(steps, version, Kernels::default())
    }

    /// The same with versions of the kernels.
    fn with_kernels(steps: &'a Steps, version: Version, kernels: Kernels) -> Result<Self> {
        kernels.check()?;
        host::prepare(steps)?;
        let flavour = Flavour::Ours;
        let built = xen::build(steps, Which { version, flavour })?;
        Self::with(steps, built, kernels)
    }

    /// The same with that version's own toolstack, for scenarios on stock Xen.
    pub(crate) fn with_stock_toolstack(steps: &'a Steps, version: Version) -> Result<Self> {
        host::prepare(steps)?;
        let flavour = Flavour::Stock;
        let mut built = xen::build(steps, Which { version, flavour })?;
        // dom0 has our daemon nevertheless.
        built.which.flavour = Flavour::Ours;
        Self::with(steps, built, Kernels::default())
    }

    fn with(steps: &'a Steps, built: Built, kernels: Kernels) -> Result<Self> {
        let dom0 = Dom0::make(steps, &built, kernels)?;
        Ok(Self {
            steps,
            kernels,
            dom0,
            built,
            soak: false,
            number: None,
            emulator: Emulator::default(),
            hypervisor: None,
        })
    }

    /// Starts a machine for a task of dom0 (words on its kernel's command line), with a
    /// guest that Xen itself starts, if there is one. Its console is logged under
    /// `name`.
    pub(crate) fn start(
        &self,
        needs: e2e::Machine,
        task: String,
        guest: Option<DomU>,
        name: &str,
    ) -> Result<(Machine, PathBuf)> {
        let which = self.which(needs.hypervisor);
        let hypervisor = match &self.hypervisor {
            Some(hypervisor) => hypervisor.clone(),
            None if which == self.built.which => self.built.hypervisor.clone(),
            None => xen::hypervisor(self.steps, which)?,
        };
        let spec = Spec {
            hypervisor,
            emulator: self.emulator.clone(),
            gic: needs.gic,
            cpus: needs.cpus,
            counted: false,
            task,
            guest,
        };
        let log = match self.number {
            None => self.steps.dirs.log(name),
            Some(number) => self.steps.dirs.log(&format!("{name}-{number}")),
        };
        let dom0 = match needs.dom0 {
            e2e::Dom0::Plain => &self.dom0,
            e2e::Dom0::Systemd => &Dom0::with_systemd(self.steps, &self.built, self.kernels)?,
            e2e::Dom0::Web => &self.dom0.with_web(self.steps, &self.built)?,
            e2e::Dom0::Installer => &self.dom0.with_installer(self.steps, &self.built)?,
            e2e::Dom0::Efi => &self.dom0.with_efi(self.steps, &self.built)?,
            e2e::Dom0::Cloud => &self.dom0.with_efi(self.steps, &self.built)?.with_cloud(
                self.steps,
                &self.built,
                self.kernels,
            )?,
            e2e::Dom0::Gdb => &self.dom0.with_gdb(self.steps, &self.built)?,
        };
        Ok((Machine::start(&spec, dom0, &log)?, log))
    }

    /// The build for a scenario's hypervisor.
    fn which(&self, hypervisor: Hypervisor) -> Which {
        let flavour = match hypervisor {
            Hypervisor::Ours => Flavour::Ours,
            Hypervisor::Debug => Flavour::Debug,
            Hypervisor::NewVgic => Flavour::NewVgic,
            Hypervisor::NoFastTrap => Flavour::NoFastTrap,
            Hypervisor::Off => Flavour::Off,
            Hypervisor::Stock => Flavour::Stock,
        };
        Which {
            flavour,
            ..self.built.which
        }
    }

    /// Runs scenarios, except those with a Debian on a disk, and prints a line for each.
    pub(crate) fn run(&self, chosen: &Chosen) -> Result<Vec<Outcome>> {
        let mut outcomes = self.run_inside(&chosen.inside)?;
        for scenario in &chosen.outside {
            let progress = Progress::start(&format!("e2e {}", scenario.name));
            let log = format!("machine-{}", scenario.name);
            let guest = DomU {
                kernel: self.dom0.guest_kernel.clone(),
                initrd: self.dom0.guest.clone(),
                bootargs: scenario.bootargs.to_owned(),
                vpl011: scenario.vpl011,
            };
            let outcome =
                scenario.run(|| self.start(scenario.needs, String::new(), Some(guest), &log));
            say(progress, &outcome);
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    fn run_inside(&self, scenarios: &[&Scenario]) -> Result<Vec<Outcome>> {
        let mut groups: BTreeMap<e2e::Machine, Vec<&Scenario>> = BTreeMap::new();
        for scenario in scenarios {
            groups.entry(scenario.needs).or_default().push(scenario);
        }
        let mut outcomes = Vec::new();
        for (needs, mut left) in groups {
            // A machine that fails ends one scenario, not the rest.
            while !left.is_empty() {
                let done = self.run_group(needs, &left)?;
                left.drain(..done.len().min(left.len()));
                outcomes.extend(done);
            }
        }
        Ok(outcomes)
    }

    /// Boots once and runs scenarios until one ends the machine. Returns at least one
    /// outcome.
    fn run_group(&self, needs: e2e::Machine, scenarios: &[&Scenario]) -> Result<Vec<Outcome>> {
        let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
        let system = match needs.dom0 {
            e2e::Dom0::Plain => "",
            e2e::Dom0::Systemd => " systemd",
            e2e::Dom0::Web => " web",
            e2e::Dom0::Installer => " installer",
            e2e::Dom0::Efi => " efi",
            e2e::Dom0::Cloud => " cloud",
            e2e::Dom0::Gdb => " gdb",
        };
        let which = self.which(needs.hypervisor);
        let label = which.step(&format!("boot GICv{}{system}", needs.gic));
        let log = format!("machine-gicv{}-{}-{}", needs.gic, which.tree(), names[0]);
        let task = Task {
            names: &names,
            soak: self.soak,
            boot: follow::BOOT,
        };
        let (machine, log) = self.start(needs, task.words(), None, &log)?;
        Ok(follow(machine, &log, &label, &task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_run_has_each_scenario_once() {
        let parts = [
            Chosen::usual(),
            Chosen::other_machines(),
            Chosen::other_builds(),
        ];
        assert!(parts.iter().all(|part| part.len() > 0));
        let mut run: Vec<_> = parts.iter().flat_map(Chosen::list).collect();
        let all = Chosen::whole_run();
        let mut all: Vec<_> = all.list().collect();
        run.sort_unstable();
        all.sort_unstable();
        assert_eq!(run, all);
    }

    #[test]
    fn what_takes_minutes_to_make_is_run_by_name_alone() {
        for alone in [
            "installer",
            "kgdb",
            "uefi",
            "uefi-qemu",
            "web",
            "install",
            "install-sysvinit",
            "install-stack",
            "install-bookworm",
            "install-grub",
            "libvirt",
        ] {
            let has = |chosen: &Chosen| chosen.list().any(|(name, _)| name == alone);
            for part in [
                Chosen::usual(),
                Chosen::other_machines(),
                Chosen::other_builds(),
            ] {
                assert!(!has(&part), "{alone}");
            }
            assert!(!has(&Chosen::named(&[]).unwrap()));
            assert!(has(&Chosen::named(&[alone.to_owned()]).unwrap()));
        }
    }

    #[test]
    fn names_choose_in_the_order_of_a_whole_run() {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let chosen = Chosen::named(&names)?;
            anyhow::Ok(chosen.list().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let chosen = named(&["dom0less", "gicv2", "demo"]).unwrap();
        assert_eq!(chosen, ["demo", "gicv2", "dom0less"]);
        let all = named(&[]).unwrap();
        assert_eq!(all.len(), e2e::whole_run().count() + outside::ALL.len());
        let error = named(&["nonesuch"]).unwrap_err().to_string();
        assert!(
            error.contains("nonesuch") && error.contains("--list"),
            "{error}"
        );
    }
}
