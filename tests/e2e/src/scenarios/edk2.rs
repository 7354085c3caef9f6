// SPDX-License-Identifier: MIT
//! EDK2 as a guest's firmware: its menu and its shell, on the PL011.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::console::Console;
use crate::guest::{Config, Guest};
use crate::report::Report;
use crate::uefi;

/// The limit of a start and of an answer, on a busy machine: both take seconds on an
/// idle one.
const LIMIT: Duration = Duration::from_secs(180);

const ENTER: &str = "\r";

/// The shell's prompt.
const PROMPT: &str = "Shell> ";

/// The menu, which the firmware shows without a disk, and the shell from there; with a
/// device tree, and with ACPI.
pub(crate) fn edk2(report: &mut Report) -> Result<()> {
    let config = Config::efi("edk2").pl011();
    for (name, config, acpi) in [
        ("tree", config.clone(), false),
        ("ACPI", config.with("acpi = 1"), true),
    ] {
        let (guest, mut console) = start(&config)?;
        let menu = menu(&mut console);
        report.must(&format!("{name}: the menu, by keys"), menu)?;
        let prompt = shell(&mut console);
        report.must(&format!("{name}: the shell's prompt"), prompt)?;
        console.send("dmem\r")?;
        console.expect("ACPI 2.0 Table", LIMIT)?;
        let at = console.expect("MPS Table", LIMIT)?;
        let at = address(&String::from_utf8_lossy(&at));
        report.check(
            format_args!("{name}: whether dmem lists tables of ACPI's"),
            at.is_some_and(|at| (at != 0) == acpi),
            format_args!("{at:#x?}"),
        );
        guest.destroy()?;
    }
    Ok(())
}

/// Creates the guest and attaches to its console.
fn start(config: &Config) -> Result<(Guest, Console)> {
    let guest = config.create()?;
    let target = format!("{}/vuart0", guest.name);
    let mut console = Console::spawn("vconsole", &["attach", &target])?;
    console.expect("^T ? helps]", LIMIT)?;
    Ok((guest, console))
}

/// From the firmware's first line to the menu, and there to the page of what can be
/// started.
fn menu(console: &mut Console) -> Result<()> {
    console.expect("UEFI firmware (version", LIMIT)?;
    console.expect("Press ESCAPE for boot options", LIMIT)?;
    let page = uefi::boot_manager(console)?;
    ensure!(page.contains("UEFI Shell"), "no shell in {page:?}");
    Ok(())
}

/// From that page to the shell's prompt.
fn shell(console: &mut Console) -> Result<()> {
    console.send(ENTER)?;
    console.expect("UEFI Interactive Shell", LIMIT)?;
    // The words before have another colour.
    console.expect("seconds to skip", LIMIT)?;
    console.send(ENTER)?;
    console.expect(PROMPT, LIMIT).map(drop)
}

/// The address in what dmem prints after a table's name; 0 for none.
fn address(printed: &str) -> Option<u64> {
    u64::from_str_radix(printed.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_address_is_one_number() {
        let address = |text: &str| super::address(&format!("     {text}\r\r\n"));
        assert_eq!(address("000000007FBD0018"), Some(0x7fbd_0018));
        assert_eq!(address("0000000000000000"), Some(0));
        assert_eq!(address("0000000000000000\r\nAnother 1"), None);
    }
}
