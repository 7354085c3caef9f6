// SPDX-License-Identifier: MIT
//! The client's binary, against a fake xenstored and a pty of the test's own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::termios::LocalModes;
use terminal::{PATIENCE, Program, Terminal, is_ready, wait_for};
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::Client;

/// A host with one domain, and a xenstored that the client can reach.
struct Host {
    dir: tempfile::TempDir,
    machine: Machine,
    domid: DomId,
    store: Client,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Machine::new();
        machine
            .store()
            .listen(&dir.path().join("xenstored"))
            .unwrap();
        let domid = machine.create_domain("guest").unwrap();
        let store = machine.toolstack().unwrap();
        Self {
            dir,
            machine,
            domid,
            store,
        }
    }

    /// The client, as `xl` runs it.
    fn xenconsole(&self, arguments: &str) -> Command {
        let link = self.dir.path().join("xenconsole");
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vconsole"), &link).unwrap();
        }
        self.command(&link, arguments)
    }

    fn vconsole(&self, arguments: &str) -> Command {
        self.command(Path::new(env!("CARGO_BIN_EXE_vconsole")), arguments)
    }

    fn command(&self, program: &Path, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments.split_whitespace())
            .env("XENSTORED_PATH", self.dir.path().join("xenstored"));
        command
    }

    fn announce(&mut self, console: &str, pty: &Terminal) {
        let path = format!("/local/domain/{}/{console}/tty", self.domid);
        self.store.write(&path, pty.name()).unwrap();
    }

    fn withdraw(&mut self, console: &str) {
        self.store
            .remove(&format!("/local/domain/{}/{console}/tty", self.domid))
            .unwrap();
    }
}

fn is_canonical(terminal: &Terminal) -> bool {
    let modes = rustix::termios::tcgetattr(&terminal.outer).unwrap();
    let wanted = LocalModes::ICANON | LocalModes::ECHO;
    modes.local_modes.contains(wanted)
}

fn stop(mut client: Program) {
    client.signal(Signal::TERM);
    assert!(client.wait().success());
}

fn complaint(mut client: Program) -> String {
    assert!(!client.wait().success());
    let mut said = String::new();
    let stderr = client.child().stderr.as_mut().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    said
}

/// Every byte value: none has a special meaning.
fn every_byte(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 7 + at / 256).to_le_bytes()[0])
        .collect()
}

#[test]
fn pipes_carry_every_byte_both_ways() {
    let mut host = Host::new();
    let mut pty = Terminal::raw();
    host.announce("console", &pty);
    let mut child = Program::piped(host.xenconsole("1 --num 0 --type pv"));
    let bytes = every_byte(65536);
    let mut stdin = child.child().stdin.take().unwrap();
    let to_send = bytes.clone();
    let writer = std::thread::spawn(move || {
        stdin.write_all(&to_send).unwrap();
        stdin
    });
    assert!(pty.read(65536) == bytes);
    let stdin = writer.join().unwrap();

    let mut outer = pty.outer.try_clone().unwrap();
    let to_send = bytes.clone();
    let writer = std::thread::spawn(move || outer.write_all(&to_send).unwrap());
    assert!(child.read(65536) == bytes);
    writer.join().unwrap();

    // Output continues after the end of input.
    drop(stdin);
    pty.write(b"more");
    assert_eq!(child.read(4), b"more");
    stop(child);
}

#[test]
fn a_pty_may_come_late_and_the_start_is_reported() {
    let mut host = Host::new();
    let pty = Terminal::raw();
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let mut told = File::from(told);
    // Inherited, as xl's is.
    let flags = rustix::io::fcntl_getfd(&tell).unwrap();
    rustix::io::fcntl_setfd(&tell, flags - rustix::io::FdFlags::CLOEXEC).unwrap();
    let fd = tell.as_raw_fd();
    let arguments = format!("1 --num 0 --type vuart --start-notify-fd {fd}");
    let child = Program::piped(host.xenconsole(&arguments));
    // On a busy machine this may be too short; then the check is weaker.
    std::thread::sleep(Duration::from_millis(300));
    let early = is_ready(&told, Duration::ZERO);
    assert!(!early, "no start is reported before the console is open");
    host.announce("vuart/0", &pty);
    assert!(is_ready(&told, PATIENCE));
    let mut byte = [1];
    told.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [0]);
    stop(child);
}

#[test]
fn two_consoles_of_a_domain_are_open_at_once_but_not_one_twice() {
    let mut host = Host::new();
    let (mut pv, mut vuart) = (Terminal::raw(), Terminal::raw());
    host.announce("console", &pv);
    host.announce("vuart/0", &vuart);
    let mut one = Program::piped(host.xenconsole("1 --type pv"));
    let mut two = Program::piped(host.xenconsole("1 --type vuart"));
    pv.write(b"pv");
    vuart.write(b"vu");
    assert_eq!(one.read(2), b"pv");
    assert_eq!(two.read(2), b"vu");

    let third = Program::piped(host.vconsole("attach guest/vuart0"));
    let said = complaint(third);
    assert!(
        said.contains("console vuart0 of domain 1 is in use"),
        "{said}"
    );
    assert!(said.contains(&two.child().id().to_string()), "{said}");

    stop(two);
    let mut fourth = Program::piped(host.vconsole("attach guest/vuart0"));
    vuart.write(b"again");
    assert_eq!(fourth.read(5), b"again");
    stop(fourth);
    stop(one);
}

#[test]
fn the_terminal_is_raw_inside_and_as_it_was_afterwards() {
    let mut host = Host::new();
    let mut pty = Terminal::raw();
    host.announce("console", &pty);
    for how in ["escape", "signal", "domain"] {
        let mut user = Terminal::open();
        assert!(is_canonical(&user));
        let mut command = host.vconsole("attach guest");
        command.stdin(user.end()).stdout(user.end());
        command.stderr(Stdio::null());
        let mut child = Program::start(command);
        pty.write(b"login: ");
        assert_eq!(user.read(7), b"login: ");
        assert!(!is_canonical(&user));
        // ^C and ^D are input for the guest.
        user.write(b"\x03\x04x");
        assert_eq!(pty.read(3), b"\x03\x04x");
        match how {
            "escape" => {
                user.write(b"last\x1dnot this");
                assert_eq!(pty.read(4), b"last");
                assert!(child.wait().success());
            }
            "signal" => stop(child),
            _ => {
                host.machine.destroy(host.domid).unwrap();
                assert_eq!(child.wait().code(), Some(5));
            }
        }
        assert!(is_canonical(&user), "after {how}");
    }
}

/// A console of another daemon has only a pty.
#[test]
fn without_our_daemon_a_pty_is_shown_in_the_same_way() {
    let mut host = Host::new();
    let mut pty = Terminal::raw();
    host.announce("console", &pty);
    let line = "attach guest --read-only --filter --interactive --control /nonexistent/socket";
    let mut child = Program::piped(host.vconsole(line));
    pty.write(b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07.");
    assert_eq!(child.read(6), b"red\r\n.");
    child.write(b"in vain\x1d");
    assert!(child.wait().success());
    let came = is_ready(&pty.outer, Duration::ZERO);
    assert!(!came, "the guest gets no input");
}

#[test]
fn a_client_with_blocked_output_can_be_ended() {
    let mut host = Host::new();
    let mut pty = Terminal::raw();
    host.announce("console", &pty);
    let mut child = Program::piped(host.xenconsole("1 --type pv"));
    pty.write(b"up");
    assert_eq!(child.read(2), b"up");
    // Nothing more is read, until both the pipe and the pty are full.
    rustix::io::ioctl_fionbio(&pty.outer, true).unwrap();
    let mut full = 0;
    while full < 100 {
        if let Err(error) = pty.outer.write_all(&[b'x'; 64]) {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            full += 1;
            // On a busy machine it may take more later; then the check is weaker.
            std::thread::sleep(Duration::from_millis(2));
        } else {
            full = 0;
        }
    }
    stop(child);
}

#[test]
fn another_escape_can_be_chosen() {
    let mut host = Host::new();
    let mut pty = Terminal::raw();
    host.announce("console", &pty);
    let mut child = Program::piped(host.xenconsole("1 --escape ^A --interactive"));
    child.write(b"\x1d\x01");
    assert_eq!(pty.read(1), b"\x1d");
    assert!(child.wait().success());
}

#[test]
fn a_restarted_daemon_is_followed() {
    let mut host = Host::new();
    let mut first = Terminal::raw();
    host.announce("console", &first);
    let mut child = Program::piped(host.xenconsole("1 --type pv"));
    first.write(b"one");
    assert_eq!(child.read(3), b"one");

    host.withdraw("console");
    let name = first.name();
    drop(first);
    let said = child.complaint("]\n");
    assert!(
        said.contains("console pv0 of domain 1: disconnected"),
        "{said:?}"
    );
    // Typed while no daemon is there: it waits.
    child.write(b"typed");

    // The same name again, as is usual. Another program's pty may have it for a
    // while.
    let mut second = wait_for("the name to be free", || {
        Some(Terminal::raw()).filter(|second| second.name() == name)
    });
    host.announce("console", &second);
    assert!(child.complaint("]\n").contains("reconnected"));
    assert_eq!(second.read(5), b"typed");
    second.write(b"two");
    assert_eq!(child.read(3), b"two");

    // A killed daemon leaves its name; the next one writes it again.
    drop(second);
    child.complaint("]\n");
    let mut third = Terminal::raw();
    host.announce("console", &third);
    third.write(b"three");
    assert_eq!(child.read(5), b"three");

    // Or another pty is announced while the old one is open.
    let mut fourth = Terminal::raw();
    host.announce("console", &fourth);
    fourth.write(b"four");
    assert_eq!(child.read(4), b"four");
    child.write(b"where");
    assert_eq!(fourth.read(5), b"where");
    stop(child);
}

#[test]
fn the_end_of_the_domain_is_the_end() {
    for nodes_stay in [true, false] {
        let mut host = Host::new();
        let mut pty = Terminal::raw();
        host.announce("console", &pty);
        host.machine.introduce(host.domid);
        let mut child = Program::piped(host.xenconsole("1 --type pv"));
        pty.write(b"up");
        assert_eq!(child.read(2), b"up");
        // Another domain's end has no effect.
        let other = host.machine.create_domain("other").unwrap();
        host.machine.introduce(other);
        host.machine.destroy(other).unwrap();
        // The daemon is faster than the toolstack.
        host.withdraw("console");
        drop(pty);
        assert!(
            child
                .complaint("]\n")
                .contains("disconnected; reconnecting")
        );
        assert!(child.runs());
        if nodes_stay {
            host.machine.kill(host.domid);
        } else {
            host.machine.destroy(host.domid).unwrap();
        }
        assert!(child.wait().success());
        assert!(child.complaint("\n").contains("the domain is gone"));
    }
}

#[test]
fn impossible_requests_are_reported() {
    let mut host = Host::new();
    for (arguments, words) in [
        ("attach nobody", "there is no domain \"nobody\""),
        ("attach guest/tty9", "\"tty9\" is no console"),
        ("attach 0", "no domain"),
    ] {
        let said = complaint(Program::piped(host.vconsole(arguments)));
        assert!(said.contains(words), "{arguments}: {said}");
    }
    let before = Instant::now();
    let mut children = Vec::new();
    for tty in [
        "/dev/zero",
        "/dev/pts/../zero",
        "/dev/pts/",
        "/etc/shadow",
        "pts/1",
        "\u{fffd}",
    ] {
        let domid = host.machine.create_domain("other").unwrap();
        host.store
            .write(&format!("/local/domain/{domid}/console/tty"), tty)
            .unwrap();
        let child = Program::piped(host.xenconsole(&domid.to_string()));
        children.push((child, "which is no pty"));
    }
    let quiet = Program::piped(host.xenconsole("1 --type pv"));
    children.push((quiet, "no daemon serves it"));
    let nobody = Program::piped(host.xenconsole("77 --type pv"));
    children.push((nobody, "there is no domain 77"));
    for (child, words) in children {
        let said = complaint(child);
        assert!(said.contains(words), "{said}");
    }
    // The nodes could have been corrected, so the clients waited the full time.
    assert!(before.elapsed() >= Duration::from_secs(4));
    let client = Program::piped(host.vconsole("list --control /nonexistent/socket"));
    assert!(complaint(client).contains("vconsoled at /nonexistent/socket"));
    let mut command = host.xenconsole("1");
    command.env("XENSTORED_PATH", "/nonexistent");
    assert!(complaint(Program::piped(command)).contains("xenconsole: "));
}
