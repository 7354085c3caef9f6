// SPDX-License-Identifier: MIT
//! The client's binary, against a fake xenstored and a pty of the test's own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions};
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::Client;

const PATIENCE: Duration = Duration::from_secs(60);

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
            .env("XENSTORED_PATH", self.dir.path().join("xenstored"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn announce(&mut self, console: &str, pty: &Pty) {
        let path = format!("/local/domain/{}/{console}/tty", self.domid);
        self.store.write(&path, &pty.name).unwrap();
    }

    fn withdraw(&mut self, console: &str) {
        self.store
            .remove(&format!("/local/domain/{}/{console}/tty", self.domid))
            .unwrap();
    }
}

/// The daemon's end of a console.
struct Pty {
    master: File,
    slave: OwnedFd,
    name: String,
}

impl Pty {
    fn open() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
        let name = rustix::pty::ptsname(&master, Vec::new())
            .unwrap()
            .into_string()
            .unwrap();
        Self {
            master: master.into(),
            slave,
            name,
        }
    }

    fn raw() -> Self {
        let pty = Self::open();
        let mut modes = rustix::termios::tcgetattr(&pty.slave).unwrap();
        modes.make_raw();
        rustix::termios::tcsetattr(&pty.slave, OptionalActions::Now, &modes).unwrap();
        pty
    }

    fn is_canonical(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

fn ready(fd: &impl AsFd) -> bool {
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    rustix::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0
}

fn read(source: &mut (impl Read + AsFd), length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 4096];
    while bytes.len() < length {
        assert!(
            ready(source),
            "{} of {length} bytes came: {:?}",
            bytes.len(),
            bytes
        );
        let wanted = buffer.len().min(length - bytes.len());
        let got = source.read(&mut buffer[..wanted]).unwrap();
        assert!(got > 0, "an end after {} bytes", bytes.len());
        bytes.extend_from_slice(&buffer[..got]);
    }
    bytes
}

fn read_until(source: &mut (impl Read + AsFd), end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        text.extend(read(source, 1));
    }
    String::from_utf8(text).unwrap()
}

fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the client did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn stop(mut child: Child) {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(wait(&mut child).success());
}

fn complaint(mut child: Child) -> String {
    assert!(!wait(&mut child).success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    said
}

/// Every byte there is, so that none has a meaning of its own.
fn every_byte(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 7 + at / 256).to_le_bytes()[0])
        .collect()
}

#[test]
fn pipes_carry_every_byte_both_ways() {
    let mut host = Host::new();
    let mut pty = Pty::raw();
    host.announce("console", &pty);
    let mut child = host.xenconsole("1 --num 0 --type pv").spawn().unwrap();
    let bytes = every_byte(65536);
    let mut stdin = child.stdin.take().unwrap();
    let to_send = bytes.clone();
    let writer = std::thread::spawn(move || {
        stdin.write_all(&to_send).unwrap();
        stdin
    });
    assert!(read(&mut pty.master, 65536) == bytes);
    let stdin = writer.join().unwrap();

    let mut stdout = child.stdout.take().unwrap();
    let mut master = pty.master.try_clone().unwrap();
    let to_send = bytes.clone();
    let writer = std::thread::spawn(move || master.write_all(&to_send).unwrap());
    assert!(read(&mut stdout, 65536) == bytes);
    writer.join().unwrap();

    // The end of the input is not the end of the output.
    drop(stdin);
    pty.master.write_all(b"more").unwrap();
    assert_eq!(read(&mut stdout, 4), b"more");
    stop(child);
}

#[test]
fn a_pty_may_come_late_and_the_start_is_told() {
    let mut host = Host::new();
    let pty = Pty::raw();
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let mut told = File::from(told);
    // Inherited, as xl's is.
    let flags = rustix::io::fcntl_getfd(&tell).unwrap();
    rustix::io::fcntl_setfd(&tell, flags - rustix::io::FdFlags::CLOEXEC).unwrap();
    let fd = tell.as_raw_fd();
    let arguments = format!("1 --num 0 --type vuart --start-notify-fd {fd}");
    let child = host.xenconsole(&arguments).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let none = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let early = rustix::event::poll(&mut [PollFd::new(&told, PollFlags::IN)], Some(&none)).unwrap();
    assert_eq!(early, 0, "nothing is told before the console is open");
    host.announce("vuart/0", &pty);
    assert_eq!(read(&mut told, 1), [0]);
    stop(child);
}

#[test]
fn two_consoles_of_a_domain_are_open_at_once_but_not_one_twice() {
    let mut host = Host::new();
    let (mut pv, mut vuart) = (Pty::raw(), Pty::raw());
    host.announce("console", &pv);
    host.announce("vuart/0", &vuart);
    let mut one = host.xenconsole("1 --type pv").spawn().unwrap();
    let mut two = host.xenconsole("1 --type vuart").spawn().unwrap();
    pv.master.write_all(b"pv").unwrap();
    vuart.master.write_all(b"vu").unwrap();
    assert_eq!(read(one.stdout.as_mut().unwrap(), 2), b"pv");
    assert_eq!(read(two.stdout.as_mut().unwrap(), 2), b"vu");

    let third = host.vconsole("attach guest/vuart0").spawn().unwrap();
    let said = complaint(third);
    assert!(
        said.contains("console vuart0 of domain 1 is in use"),
        "{said}"
    );
    assert!(said.contains(&two.id().to_string()), "{said}");

    stop(two);
    let mut fourth = host.vconsole("attach guest/vuart0").spawn().unwrap();
    vuart.master.write_all(b"again").unwrap();
    assert_eq!(read(fourth.stdout.as_mut().unwrap(), 5), b"again");
    stop(fourth);
    stop(one);
}

#[test]
fn the_terminal_is_raw_inside_and_as_it_was_afterwards() {
    let mut host = Host::new();
    let mut pty = Pty::raw();
    host.announce("console", &pty);
    for how in ["escape", "signal", "domain"] {
        let mut user = Pty::open();
        let terminal = || Stdio::from(user.slave.try_clone().unwrap());
        assert!(user.is_canonical());
        let mut child = host
            .vconsole("attach guest")
            .stdin(terminal())
            .stdout(terminal())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        pty.master.write_all(b"login: ").unwrap();
        assert_eq!(read(&mut user.master, 7), b"login: ");
        assert!(!user.is_canonical());
        // ^C and ^D go to the guest.
        user.master.write_all(b"\x03\x04x").unwrap();
        assert_eq!(read(&mut pty.master, 3), b"\x03\x04x");
        match how {
            "escape" => {
                user.master.write_all(b"last\x1dnot this").unwrap();
                assert_eq!(read(&mut pty.master, 4), b"last");
                assert!(wait(&mut child).success());
            }
            "signal" => stop(child),
            _ => {
                host.machine.destroy(host.domid).unwrap();
                assert!(wait(&mut child).success());
            }
        }
        assert!(user.is_canonical(), "after {how}");
    }
}

/// Another daemon's console, which has a pty alone.
#[test]
fn without_our_daemon_a_pty_is_shown_in_the_same_manner() {
    let mut host = Host::new();
    let mut pty = Pty::raw();
    host.announce("console", &pty);
    let line = "attach guest --read-only --filter --interactive --control /nonexistent/socket";
    let mut child = host.vconsole(line).spawn().unwrap();
    pty.master
        .write_all(b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07.")
        .unwrap();
    assert_eq!(read(child.stdout.as_mut().unwrap(), 6), b"red\r\n.");
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"in vain\x1d")
        .unwrap();
    assert!(wait(&mut child).success());
    let none = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let came = rustix::event::poll(&mut [PollFd::new(&pty.master, PollFlags::IN)], Some(&none));
    assert_eq!(came.unwrap(), 0, "the guest hears nothing");
}

#[test]
fn who_takes_no_output_can_still_be_ended() {
    let mut host = Host::new();
    let mut pty = Pty::raw();
    host.announce("console", &pty);
    let mut child = host.xenconsole("1 --type pv").spawn().unwrap();
    pty.master.write_all(b"up").unwrap();
    assert_eq!(read(child.stdout.as_mut().unwrap(), 2), b"up");
    // Nobody reads further, until neither the pipe nor the pty takes more.
    rustix::io::ioctl_fionbio(&pty.master, true).unwrap();
    let mut full = 0;
    while full < 100 {
        if let Err(error) = pty.master.write_all(&[b'x'; 64]) {
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            full += 1;
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
    let mut pty = Pty::raw();
    host.announce("console", &pty);
    let mut child = host
        .xenconsole("1 --escape ^A --interactive")
        .spawn()
        .unwrap();
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"\x1d\x01")
        .unwrap();
    assert_eq!(read(&mut pty.master, 1), b"\x1d");
    assert!(wait(&mut child).success());
}

#[test]
fn a_restarted_daemon_is_followed() {
    let mut host = Host::new();
    let mut first = Pty::raw();
    host.announce("console", &first);
    let mut child = host.xenconsole("1 --type pv").spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    first.master.write_all(b"one").unwrap();
    assert_eq!(read(child.stdout.as_mut().unwrap(), 3), b"one");

    host.withdraw("console");
    let name = first.name.clone();
    drop(first);
    let said = read_until(&mut stderr, "]\n");
    assert!(said.contains("console pv0 of domain 1: gone"), "{said:?}");
    // Typed while nobody listens: it waits.
    child.stdin.as_mut().unwrap().write_all(b"typed").unwrap();

    let mut second = Pty::raw();
    assert_eq!(second.name, name, "the same name again, as is usual");
    host.announce("console", &second);
    assert!(read_until(&mut stderr, "]\n").contains("back"));
    assert_eq!(read(&mut second.master, 5), b"typed");
    second.master.write_all(b"two").unwrap();
    assert_eq!(read(child.stdout.as_mut().unwrap(), 3), b"two");

    // A daemon that was killed leaves its name; the next one writes it again.
    drop(second);
    read_until(&mut stderr, "]\n");
    let mut third = Pty::raw();
    host.announce("console", &third);
    third.master.write_all(b"three").unwrap();
    assert_eq!(read(child.stdout.as_mut().unwrap(), 5), b"three");

    // Or another pty is announced while the old one is open.
    let mut fourth = Pty::raw();
    host.announce("console", &fourth);
    fourth.master.write_all(b"four").unwrap();
    assert_eq!(read(child.stdout.as_mut().unwrap(), 4), b"four");
    child.stdin.as_mut().unwrap().write_all(b"where").unwrap();
    assert_eq!(read(&mut fourth.master, 5), b"where");
    stop(child);
}

#[test]
fn the_end_of_the_domain_is_the_end() {
    for nodes_stay in [true, false] {
        let mut host = Host::new();
        let mut pty = Pty::raw();
        host.announce("console", &pty);
        host.machine.introduce(host.domid);
        let mut child = host.xenconsole("1 --type pv").spawn().unwrap();
        pty.master.write_all(b"up").unwrap();
        assert_eq!(read(child.stdout.as_mut().unwrap(), 2), b"up");
        // Another domain's end is none of its business.
        let other = host.machine.create_domain("other").unwrap();
        host.machine.introduce(other);
        host.machine.destroy(other).unwrap();
        // The daemon is quicker than the toolstack.
        host.withdraw("console");
        drop(pty);
        let mut stderr = child.stderr.take().unwrap();
        assert!(read_until(&mut stderr, "]\n").contains("gone; waiting"));
        assert!(child.try_wait().unwrap().is_none());
        if nodes_stay {
            host.machine.kill(host.domid);
        } else {
            host.machine.destroy(host.domid).unwrap();
        }
        assert!(wait(&mut child).success());
        assert!(read_until(&mut stderr, "\n").contains("the domain is gone"));
    }
}

#[test]
fn what_cannot_be_is_said() {
    let mut host = Host::new();
    for (arguments, words) in [
        ("attach nobody", "there is no domain \"nobody\""),
        ("attach guest/tty9", "\"tty9\" is no console"),
        ("attach 0", "no domain"),
    ] {
        let said = complaint(host.vconsole(arguments).spawn().unwrap());
        assert!(said.contains(words), "{arguments}: {said}");
    }
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
        let child = host.xenconsole(&domid.to_string()).spawn().unwrap();
        children.push((child, "which is no pty"));
    }
    let quiet = host.xenconsole("1 --type pv").spawn().unwrap();
    children.push((quiet, "no daemon serves it"));
    let nobody = host.xenconsole("77 --type pv").spawn().unwrap();
    children.push((nobody, "there is no domain 77"));
    let before = Instant::now();
    for (child, words) in children {
        let said = complaint(child);
        assert!(said.contains(words), "{said}");
    }
    // It might have been put right, so they waited their time.
    assert!(before.elapsed() >= Duration::from_secs(4));
    let mut child = host.vconsole("list --control /nonexistent/socket");
    assert!(complaint(child.spawn().unwrap()).contains("vconsoled at /nonexistent/socket"));
    let mut child = host.xenconsole("1");
    child.env("XENSTORED_PATH", "/nonexistent");
    assert!(complaint(child.spawn().unwrap()).contains("xenconsole: "));
}
