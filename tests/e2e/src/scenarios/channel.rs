// SPDX-License-Identifier: MIT
//! Channels of libxl: byte streams beside the consoles, on a socket or a pty,
//! served by the daemon without a device model. The host's end is socat.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command;
use crate::console::{Console, Line};
use crate::daemon;
use crate::guest::{self, Config};
use crate::pattern;
use crate::report::Report;
use crate::scenarios::boot::BOTH_LINES;
use crate::scenarios::transfer::TRANSFER;
use crate::shell::{SHORT, Shell};

/// In the daemon's folder for channels.
const SOCKET: &str = "/run/vconsoled/channels/agent.sock";
/// udev's own limits are longer.
const UDEV: Duration = Duration::from_secs(60);

/// Adds udev and the programs of its rule, from dom0, to the guest's image.
const WITH_UDEV: &str = r"
set -e
mkdir /tmp/udev
cd /tmp/udev
programs='/bin/udevadm /usr/bin/xenstore-read'
needs() { for program in $programs; do LD_TRACE_LOADED_OBJECTS=1 $program; done; }
for file in $programs $(needs | grep -o '/[^ ]*' | sort -u); do
    mkdir -p .${file%/*}
    cp -L $file .$file
done
{ cat /guest/guest.cpio.gz; find . | cpio -o -H newc; } >/tmp/channel.cpio
";
const IMAGE: &str = "/tmp/channel.cpio";

/// The page with the udev rule for the channels' names.
const PAGE: &str = include_str!("../../../../docs/use/channels.md");

/// A guest with both kinds of channel, and its end.
pub(crate) fn channel(report: &mut Report) -> Result<()> {
    command::run("sh", &["-c", WITH_UDEV], UDEV)?.ok()?;
    let guest = Config::linux_on("channel", IMAGE)
        .pl011()
        .bootargs(BOTH_LINES)
        .with(&format!(
            "channel = [ \"name=org.example.agent.0,connection=socket,path={SOCKET}\", \
             \"name=second,connection=pty\" ]"
        ))
        .create()?;
    let there = command::poll(SHORT, || Path::new(SOCKET).exists());
    report.check(
        "the socket is there",
        there,
        format_args!("{:?}", daemon::status()?),
    );
    let socket = fs::symlink_metadata(SOCKET).context(SOCKET)?;
    report.check(
        "only its owner can open the socket",
        socket.file_type().is_socket() && socket.permissions().mode() & 0o777 == 0o600,
        format_args!("{:o}", socket.permissions().mode()),
    );
    report.check_eq("device models", &device_models()?, &vec![]);

    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    let ends = shell.run("cat /sys/bus/xen/devices/console-*/nodename", SHORT)?;
    report.check_eq(
        "the guest's ends",
        &ends.as_str(),
        &"device/console/1\ndevice/console/2\n",
    );
    named(report, &mut shell)?;
    // The driver drops a terminal's mode when it is closed.
    shell.run(
        "exec 3<>/dev/hvc1 4<>/dev/hvc2; stty raw -echo <&3; stty raw -echo <&4",
        SHORT,
    )?;
    let mut client = connect()?;
    from_guest(report, &mut shell, &mut client)?;
    to_guest(report, &mut shell, &mut client)?;
    let mut second = connect()?;
    let refused = command::poll(SHORT, || !second.is_open());
    report.check(
        "a second client is refused",
        refused && client.is_open(),
        "while one is connected",
    );
    pty(report, &guest.name, &mut shell)?;

    guest.destroy()?;
    let gone = command::poll(guest::GONE, || !Path::new(SOCKET).exists());
    report.check("the socket is removed with the guest", gone, SOCKET);
    let ended = command::poll(SHORT, || !client.is_open());
    report.check("and the client's connection is closed", ended, "socat ends");
    report.check("the guest is gone", guest::all_gone(), "no domain is left");
    Ok(())
}

/// The guest finds its channels by name, with the rule of the page.
fn named(report: &mut Report, shell: &mut Shell) -> Result<()> {
    let rule = PAGE
        .lines()
        .find_map(|line| line.strip_prefix("    SUBSYSTEM"));
    let rule = rule.context("the page has no rule")?;
    for line in [
        "mkdir -p /etc/udev/rules.d",
        &format!("echo 'SUBSYSTEM{rule}' >/etc/udev/rules.d/60-xen-channel.rules"),
        "ln -s /bin/udevadm /tmp/systemd-udevd",
        "/tmp/systemd-udevd --daemon 2>/tmp/udev.log",
        "udevadm trigger --action=add --subsystem-match=tty",
        "udevadm settle --timeout=60",
    ] {
        shell.run(line, UDEV)?;
    }
    let names = shell.run(
        "cd /dev/xen-channel; for name in *; do echo $name $(readlink -f $name); done; cd /",
        SHORT,
    )?;
    report.check_eq(
        "udev names the guest's ends",
        &names.as_str(),
        &"org.example.agent.0 /dev/hvc1\nsecond /dev/hvc2\n",
    );
    let errors = shell.run("cat /tmp/udev.log; killall systemd-udevd", SHORT)?;
    report.check(
        "without complaint",
        !errors.contains("60-xen-channel"),
        errors,
    );
    Ok(())
}

/// socat between the socket and a terminal in raw mode.
fn connect() -> Result<Console> {
    Console::spawn(
        "socat",
        &["-,raw,echo=0", &format!("UNIX-CONNECT:{SOCKET}")],
    )
}

/// Every byte value, from the guest's hvc1.
fn from_guest(report: &mut Report, shell: &mut Shell, client: &mut Console) -> Result<()> {
    let wanted = pattern::bytes(21, pattern::LEN);
    let pattern = format!("e2e probe pattern 21 {}", pattern::LEN);
    shell.run(&format!("({pattern} >/dev/hvc1 &)"), SHORT)?;
    let came = client.expect_bytes(wanted.len(), TRANSFER);
    let came = report.check_ok("64 KiB come from the guest", came);
    let came = came.unwrap_or_default();
    let sum = shell.run(&format!("{pattern} | sha256sum"), SHORT)?;
    let same = came == wanted && sum.starts_with(&pattern::sha256(&came));
    report.check(
        "they are the bytes that the guest sent",
        same,
        pattern::difference(&came, &wanted),
    );
    Ok(())
}

/// Every byte value, to the guest's hvc1.
fn to_guest(report: &mut Report, shell: &mut Shell, client: &mut Console) -> Result<()> {
    let sent = pattern::bytes(22, pattern::LEN);
    shell.console.send(&format!(
        "echo \"<\"sum\">\"; head -c {} </dev/hvc1 | sha256sum\r",
        pattern::LEN
    ))?;
    shell.console.expect("<sum>\r\n", SHORT)?;
    client.send_bytes(&sent, TRANSFER)?;
    let sum = shell.console.expect("  -", TRANSFER)?;
    let guests = String::from_utf8_lossy(&sum).into_owned();
    report.check_eq("64 KiB to the guest", &guests, &pattern::sha256(&sent));
    shell.run("true", SHORT)?;
    Ok(())
}

/// The other channel works like any console.
fn pty(report: &mut Report, name: &str, shell: &mut Shell) -> Result<()> {
    let mut console = Console::spawn("xl", &["console", "-t", "pv", "-n", "2", name])?;
    shell.run("echo over the pty >/dev/hvc2", SHORT)?;
    report.check_ok(
        "xl console -t pv -n 2 shows the channel",
        console.expect("over the pty", SHORT),
    );
    shell
        .console
        .send("head -n 1 </dev/hvc2 | sed 's/^/got /'\r")?;
    console.send("typed\n")?;
    report.check_ok("and types to it", shell.console.expect("got typed", SHORT));
    report.check(
        "it leaves on ^]",
        console.leave()?,
        "as from other consoles",
    );
    Ok(())
}

/// Processes whose name is that of a device model.
fn device_models() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // A process may end meanwhile.
        let name = fs::read_to_string(entry?.path().join("comm")).unwrap_or_default();
        if name.contains("qemu") {
            found.push(name.trim().to_owned());
        }
    }
    Ok(found)
}
