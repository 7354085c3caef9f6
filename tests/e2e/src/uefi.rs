// SPDX-License-Identifier: MIT
//! The conversation with a system that UEFI starts from a disk: the firmware's menu,
//! GRUB's, the kernel, a login. It is the same in Xen and in plain QEMU, as is the disk.
//!
//! The disk is that of `cargo xtask`'s `image/cloud.rs`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::ROOT_PASSWORD;
use crate::console::Console;

/// A user's console.
pub trait Typist {
    /// Types text.
    fn send(&mut self, text: &str) -> Result<()>;

    /// Waits until `pattern` is shown; returns the text before it.
    fn expect(&mut self, pattern: &str, limit: Duration) -> Result<String>;
}

impl Typist for Console {
    fn send(&mut self, text: &str) -> Result<()> {
        Self::send(self, text)
    }

    fn expect(&mut self, pattern: &str, limit: Duration) -> Result<String> {
        let before = Self::expect(self, pattern, limit)?;
        Ok(String::from_utf8_lossy(&before).into_owned())
    }
}

/// What describes the machine to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Description {
    /// ACPI's tables, of which the SPCR names the console.
    Acpi,
    /// A device tree, whose `stdout-path` names the console.
    Tree,
}

/// Limits on a busy machine: of a system's start and end, and of all else.
const BOOT: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(180);

/// Keys in menus.
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";

/// GRUB's prompt, and the end of root's.
const GRUB: &str = "grub> ";
const PROMPT: &str = "guest:~# ";

/// GRUB's commands for Debian's kernel with ACPI, of a machine that has a tree too.
const ACPI: [&str; 3] = [
    "probe --set=uuid --fs-uuid $root",
    "linux /vmlinuz root=UUID=$uuid ro acpi=on",
    "initrd /initrd.img",
];

/// Prints, between marks that their echo does not match: the kernel's command line, its
/// consoles, what describes the machine, and the shell's terminal.
const LOOK: &str = "echo \"<\"1\">\"; cat /proc/cmdline /proc/consoles; \
    ls /sys/firmware/acpi/tables 2>/dev/null | grep -x SPCR; \
    tr '\\0' '\\n' 2>/dev/null </proc/device-tree/chosen/stdout-path; tty; echo \"</\"1\">\"";

/// From power-on to a shell, with a kernel that has found its console. Yields each step
/// with its result.
pub fn up<T: Typist>(
    console: &mut T,
    by: Description,
) -> impl Iterator<Item = (String, Result<()>)> {
    let steps: [Step<T>; 4] = [
        (
            "GRUB's menu, and from there its command line",
            |console, _| commands(console),
        ),
        (
            "by its end to the firmware's menu, and from there to GRUB",
            |console, _| firmware(console),
        ),
        ("a login", |console, by| {
            start(console, by)?;
            login(console)
        }),
        (
            "the kernel finds its console, which its command line does not name",
            found,
        ),
    ];
    let steps = steps.into_iter();
    steps.map(move |(id, step)| (format!("{by:?}: {id}"), step(console, by)))
}

/// A check's name, and what it does.
type Step<T> = (&'static str, fn(&mut T, Description) -> Result<()>);

/// Waits for GRUB's menu.
fn menu<T: Typist>(console: &mut T) -> Result<()> {
    console.expect("GNU GRUB", SHORT)?;
    console.expect("Debian GNU/Linux", SHORT).map(drop)
}

/// From power-on to GRUB's command line.
fn commands<T: Typist>(console: &mut T) -> Result<()> {
    menu(console)?;
    console.send("c")?;
    console.expect(GRUB, SHORT)?;
    // The quotes distinguish the answer from its echo.
    console.send("echo $grub_cpu\"-\"$grub_platform\r")?;
    console.expect("arm64-efi", SHORT)?;
    console.expect(GRUB, SHORT).map(drop)
}

/// From there to the firmware, which shows its menu, and by its boot manager back to
/// GRUB's menu.
fn firmware<T: Typist>(console: &mut T) -> Result<()> {
    console.send("exit\r")?;
    let page = boot_manager(console)?;
    if shell_is_first(&page)? {
        console.send(DOWN)?;
    }
    console.send(ENTER)?;
    menu(console)
}

/// Whether the disk is the second of the two that can be started: the order is the
/// firmware's.
fn shell_is_first(page: &str) -> Result<bool> {
    let disk = page.find("UEFI Misc Device");
    let disk = disk.with_context(|| format!("no disk in {page:?}"))?;
    Ok(page[..disk].contains("Shell"))
}

/// From EDK2's menu to the page of what can be started, of which the first is selected.
/// Returns that page.
pub(crate) fn boot_manager<T: Typist>(console: &mut T) -> Result<String> {
    console.expect("Boot Maintenance Manager", SHORT)?;
    // The last text of the menu.
    console.expect("current system", SHORT)?;
    for key in [DOWN, DOWN, ENTER] {
        console.send(key)?;
    }
    console.expect("Device Path", SHORT)
}

/// From GRUB's menu to the kernel: with a tree by the menu, and with ACPI by the command
/// line.
fn start<T: Typist>(console: &mut T, by: Description) -> Result<()> {
    if by == Description::Tree {
        return console.send(ENTER);
    }
    console.send("c")?;
    console.expect(GRUB, SHORT)?;
    for command in ACPI {
        console.send(&format!("{command}\r"))?;
        let said = console.expect(GRUB, SHORT)?;
        ensure!(!said.contains("error:"), "GRUB, of {command}: {said:?}");
    }
    console.send("boot\r")
}

/// From the kernel to a shell of root's.
fn login<T: Typist>(console: &mut T) -> Result<()> {
    console.expect("Booting Linux on physical CPU", SHORT)?;
    console.expect("guest login: ", BOOT)?;
    console.send("root\r")?;
    console.expect("Password: ", SHORT)?;
    console.send(&format!("{ROOT_PASSWORD}\r"))?;
    console.expect(PROMPT, SHORT).map(drop)
}

/// In that shell: how the kernel has found its console.
fn found<T: Typist>(console: &mut T, by: Description) -> Result<()> {
    console.send(LOOK)?;
    console.send("\r")?;
    console.expect("<1>\r\n", SHORT)?;
    let seen = console.expect("</1>", SHORT)?;
    console.expect(PROMPT, SHORT)?;
    check(&seen, by).with_context(|| format!("seen: {seen}"))
}

fn check(seen: &str, by: Description) -> Result<()> {
    let mut lines = seen.lines();
    let cmdline = lines.next().unwrap_or_default();
    ensure!(
        cmdline.contains("root=") && !cmdline.contains("console="),
        "the command line names a console"
    );
    ensure!(seen.contains("/dev/ttyAMA0"), "the login is elsewhere");
    // Flags: enabled, printing, boot console, and so on.
    ensure!(
        lines.any(|line| line.starts_with("ttyAMA0 ") && line.contains("(E")),
        "ttyAMA0 is no console"
    );
    let has_table = seen.lines().any(|line| line == "SPCR");
    // QEMU's node is /pl011@9000000, and libxl's /serial@22000000.
    let has_path = seen
        .lines()
        .any(|line| line.starts_with('/') && line.contains('@'));
    let described = match by {
        Description::Acpi => has_table,
        Description::Tree => has_path && !has_table,
    };
    ensure!(described, "wrong description of the machine");
    Ok(())
}

/// Restarts the system from inside.
pub fn restart(console: &mut impl Typist) -> Result<()> {
    console.send("reboot\r")?;
    console.expect("reboot: Restarting system", BOOT).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "BOOT_IMAGE=/boot/vmlinuz root=UUID=1 ro\r\n\
        ttyAMA0              -W- (EC  a  )  204:64\r\nSPCR\r\n/dev/ttyAMA0\r\n";

    #[test]
    fn a_console_on_the_command_line_does_not_count() {
        check(SEEN, Description::Acpi).unwrap();
        let named = SEEN.replace(" ro\r", " ro console=ttyAMA0\r");
        let error = check(&named, Description::Acpi).unwrap_err();
        assert!(error.to_string().contains("names a console"), "{error}");
    }

    #[test]
    fn the_description_is_the_one_asked_for() {
        check(SEEN, Description::Tree).unwrap_err();
        let tree = SEEN.replace("SPCR", "/serial@22000000:115200n8");
        check(&tree, Description::Tree).unwrap();
        check(&tree, Description::Acpi).unwrap_err();
    }

    #[test]
    fn the_disk_is_selected_wherever_it_is() {
        let first = |page: &str| shell_is_first(page);
        assert!(first("UEFI Shell\r\nUEFI Misc Device").unwrap());
        assert!(!first("UEFI Misc Device\r\nEFI Internal Shell").unwrap());
        first("UEFI Shell").unwrap_err();
    }

    #[test]
    fn another_terminal_or_console_is_found() {
        for (from, to) in [("/dev/ttyAMA0", "/dev/hvc0"), ("(EC  a  )", "( C  a  )")] {
            check(&SEEN.replace(from, to), Description::Acpi).unwrap_err();
        }
    }
}
