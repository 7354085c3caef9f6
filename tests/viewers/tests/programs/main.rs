// SPDX-License-Identifier: MIT
//! Other projects' programs on a console, by the commands of
//! docs/use/integrations/, literally except for paths and ports.

mod conserver;
mod screen;
mod shellinabox;
mod socat;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use viewers::{Guest, Host, Program, wait_for};

/// The blocks of one kind in a page.
pub(crate) fn blocks(page: &str, kind: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/use/integrations");
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let start = format!("```{kind}\n");
    let blocks = text.split(&start).skip(1);
    blocks
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// A host with a guest that echoes its input on its UART.
pub(crate) fn host() -> (Host, std::thread::JoinHandle<Guest>) {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    vuart.send(b"welcome\r\n");
    let guest = std::thread::spawn(move || {
        vuart.echo();
        vuart
    });
    (host, guest)
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Ends a server in an orderly way, with the processes that it started.
pub(crate) fn stop(mut server: Program) {
    server.signal(rustix::process::Signal::TERM);
    server.wait();
}

/// Fails with instructions if a program is missing.
pub(crate) fn unpacked(host: &Host, program: &str) {
    let found = host.shell(&format!("command -v {program}")).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found, "no {program} here: run `cargo xtask programs`");
}

/// Makes the guest stop its echo.
pub(crate) fn end(host: &Host) {
    let mut client = Program::piped(host.vconsole("attach guest/vuart0"));
    client.write(b"\roff\r");
    wait_for("the guest's end", || {
        let mut byte = [0];
        let mut seen = Vec::new();
        let stdout = client.child().stdout.as_mut()?;
        while !seen.ends_with(b"echo: off") {
            stdout.read_exact(&mut byte).ok()?;
            seen.push(byte[0]);
        }
        Some(())
    });
}

pub(crate) fn private(dir: &Path) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
}
