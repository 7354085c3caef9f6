// SPDX-License-Identifier: MIT
//! Guests, created and destroyed with `xl` as a user does it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{self, Finished};

/// The time limit of a command of `xl`; `create` builds the image.
const XL: Duration = Duration::from_secs(120);
/// How long a destroyed domain may take to disappear.
pub(crate) const GONE: Duration = Duration::from_secs(60);

/// A guest's configuration file.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    name: String,
    lines: Vec<String>,
}

impl Config {
    /// The Debian guest, without any UART.
    pub(crate) fn linux(name: &str) -> Self {
        Self::linux_on(name, "/guest/guest.cpio.gz")
    }

    /// The same with another initramfs.
    pub(crate) fn linux_on(name: &str, ramdisk: &str) -> Self {
        Self::linux_of(name, "/guest/Image", ramdisk)
    }

    /// The same with a kernel that has a debugger.
    pub(crate) fn kgdb(name: &str) -> Self {
        Self::linux_of(name, "/guest/kgdb/Image", "/guest/guest.cpio.gz")
    }

    fn linux_of(name: &str, kernel: &str, ramdisk: &str) -> Self {
        let kernel = format!("kernel = \"{kernel}\"");
        let ramdisk = format!("ramdisk = \"{ramdisk}\"");
        Self::new(name, &[&kernel, &ramdisk, "memory = 192"])
    }

    /// The bare-metal guest that runs commands from its UART.
    pub(crate) fn monitor(name: &str) -> Self {
        Self::new(name, &["kernel = \"/guest/monitor.bin\"", "memory = 32"])
    }

    /// The bare-metal guest without a UART that measures Xen's operations.
    pub(crate) fn no_uart(name: &str) -> Self {
        Self::new(name, &["kernel = \"/guest/no-uart.bin\"", "memory = 32"])
    }

    /// U-Boot, without any UART.
    pub(crate) fn u_boot(name: &str) -> Self {
        Self::new(name, &["kernel = \"/guest/u-boot.bin\"", "memory = 64"])
    }

    /// Debian's installer, without any UART.
    pub(crate) fn installer(name: &str) -> Self {
        let lines = [
            "kernel = \"/guest/installer-linux\"",
            "ramdisk = \"/guest/installer-initrd.gz\"",
            "memory = 640",
        ];
        Self::new(name, &lines)
    }

    /// EDK2's firmware, without any UART or disk.
    pub(crate) fn efi(name: &str) -> Self {
        let kernel = "kernel = \"/usr/lib/vpl011/efi.fd\"";
        Self::new(name, &[kernel, "memory = 768"])
    }

    fn new(name: &str, lines: &[&str]) -> Self {
        let config = Self {
            name: name.to_owned(),
            lines: Vec::new(),
        };
        lines
            .iter()
            .fold(config, |config, line| config.with(line))
            .with("on_crash = \"destroy\"")
    }

    /// A bare-metal guest of `tests/firmware`, by its image's name.
    pub(crate) fn firmware(name: &str, image: &str) -> Self {
        Self::new(
            name,
            &[&format!("kernel = \"/guest/{image}\""), "memory = 32"],
        )
    }

    /// With the full PL011.
    pub(crate) fn pl011(self) -> Self {
        self.with("pl011 = 1")
    }

    /// With the stock, SBSA, UART.
    pub(crate) fn sbsa(self) -> Self {
        self.with("vuart = \"sbsa_uart\"")
    }

    /// With a kernel command line.
    pub(crate) fn bootargs(self, bootargs: &str) -> Self {
        self.with(&format!("extra = \"{bootargs}\""))
    }

    /// With one more line.
    pub(crate) fn with(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// The text of the file.
    fn text(&self) -> String {
        format!("name = \"{}\"\n{}\n", self.name, self.lines.join("\n"))
    }

    /// Runs `xl create` on it with `options`; returns the result, also of a
    /// failure.
    pub(crate) fn xl_create(&self, options: &[&str]) -> Result<Finished> {
        let path = self.file()?;
        command::run("xl", &[&["create"], options, &[&path]].concat(), XL)
    }

    /// Writes the file; returns its path.
    pub(crate) fn file(&self) -> Result<String> {
        let path = format!("/tmp/{}.cfg", self.name);
        fs::write(&path, self.text()).with_context(|| format!("writing {path}"))?;
        Ok(path)
    }

    /// Creates the guest and starts it.
    pub(crate) fn create(&self) -> Result<Guest> {
        self.xl_create(&[])?
            .ok()
            .with_context(|| format!("xl create {}", self.name))?;
        self.created()
    }

    /// Creates the guest paused: a domain under construction.
    pub(crate) fn create_paused(&self) -> Result<Guest> {
        self.xl_create(&["-p"])?
            .ok()
            .with_context(|| format!("xl create -p {}", self.name))?;
        self.created()
    }

    /// The guest of that name, after it was created by other means.
    pub(crate) fn created(&self) -> Result<Guest> {
        Ok(Guest {
            name: self.name.clone(),
            domid: domid(&self.name)?,
        })
    }
}

/// A guest whose kernel binds the full driver, and one with the SBSA driver,
/// booting at the same time; and the name that each driver prints for its device.
pub(crate) fn of_each_driver(name: &str, bootargs: &str) -> Result<[(&'static str, Guest); 2]> {
    let config = |driver: &str| Config::linux(&format!("{name}-{driver}")).bootargs(bootargs);
    Ok([
        ("PL011 rev3", config("pl011").pl011().create()?),
        ("SBSA", config("sbsa").sbsa().create()?),
    ])
}

/// A running guest, destroyed when dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) domid: u16,
}

impl Guest {
    /// Destroys it at once.
    pub(crate) fn destroy(self) -> Result<()> {
        xl(&["destroy", &self.domid.to_string()]).map(drop)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have been destroyed, or have ended by itself.
        let _ = xl(&["destroy", &self.name]);
    }
}

/// Runs `xl`, which must succeed; returns its output.
pub(crate) fn xl(args: &[&str]) -> Result<String> {
    command::run("xl", args, XL)?
        .ok()
        .with_context(|| format!("xl {}", args.join(" ")))
}

/// The number of a domain.
pub(crate) fn domid(name: &str) -> Result<u16> {
    let text = xl(&["domid", name])?;
    text.trim()
        .parse()
        .with_context(|| format!("xl domid {name} printed {text:?}"))
}

/// The numbers of all domains except dom0, including dying ones.
pub(crate) fn domids() -> Result<Vec<u16>> {
    Ok(parse_domids(&xl(&["list"])?))
}

fn parse_domids(list: &str) -> Vec<u16> {
    // Name, ID, Mem, VCPUs, State, Time; a name may contain blanks.
    list.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().rev().nth(4)?.parse().ok())
        .filter(|&domid| domid != 0)
        .collect()
}

/// The machine's free memory in KiB, by Xen's debug key; `xl info` has only MiB.
pub(crate) fn free_memory() -> Result<u64> {
    // Clears Xen's log, so that everything read later is new.
    xl(&["dmesg", "-c"])?;
    xl(&["debug-keys", "m"])?;
    let mut free = None;
    command::poll(GONE, || {
        free = xl(&["dmesg"]).ok().and_then(|dmesg| parse_free(&dmesg));
        free.is_some()
    });
    free.context("Xen's log has no report of free memory after the request")
}

/// What Xen prints before its list of free memory.
const MEMORY: &str = "Physical memory information";

/// The sum of all zones' free memory in the newest report, in KiB.
fn parse_free(dmesg: &str) -> Option<u64> {
    let (_, report) = dmesg.rsplit_once(MEMORY)?;
    let (zones, _) = report.split_once("Dom heap:")?;
    let free: Vec<u64> = zones
        .lines()
        .filter_map(|line| line.split_once("]: ")?.1.strip_suffix("kB free"))
        .filter_map(|kib| kib.trim().parse().ok())
        .collect();
    (!free.is_empty()).then(|| free.iter().sum())
}

/// Destroys every guest and waits until none is left, dying ones included.
pub(crate) fn clear() -> Result<bool> {
    for domid in domids()? {
        // A dying domain cannot be destroyed again.
        let _ = xl(&["destroy", &domid.to_string()]);
    }
    Ok(all_gone())
}

/// Waits until no guest is left; `false` if one stays.
pub(crate) fn all_gone() -> bool {
    command::poll(GONE, || domids().is_ok_and(|domids| domids.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_is_what_a_user_would_write() {
        let config = Config::linux("a").pl011().bootargs("console=hvc0");
        assert_eq!(
            config.text(),
            "name = \"a\"\nkernel = \"/guest/Image\"\nramdisk = \"/guest/guest.cpio.gz\"\n\
             memory = 192\non_crash = \"destroy\"\npl011 = 1\nextra = \"console=hvc0\"\n"
        );
    }

    #[test]
    fn the_newest_report_of_free_memory_counts() {
        let report = |a, b| {
            format!(
                "(XEN) Physical memory information:\n(XEN)     Xen heap: 0kB free\n\
                 (XEN)     heap[12]: {a}kB free\n(XEN)     heap[18]: {b}kB free\n"
            )
        };
        let end = "(XEN)     Dom heap: 7kB free\n";
        let dmesg = [report(1, 2), end.into(), report(4, 2_000_000), end.into()].concat();
        assert_eq!(parse_free(&dmesg), Some(2_000_004));
        assert_eq!(parse_free(&report(4, 8)), None, "cut off");
        assert_eq!(parse_free("(XEN) *** Serial input to DOM0\n"), None);
    }

    #[test]
    fn dying_domains_are_listed_too() {
        let list = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                    Domain-0                                     0  1024     2     r-----      10.6\n\
                    (null)                                       3     0     1     --psrd       0.1\n\
                    two words                                    4   192     1     -b----       0.4\n";
        assert_eq!(parse_domids(list), [3, 4]);
    }
}
