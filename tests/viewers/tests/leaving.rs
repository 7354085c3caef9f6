// SPDX-License-Identifier: MIT
//! Leaving a client in every situation: each kind of standard output, whose reader
//! has stopped or closed it, each guest, silent or printing without end, and each
//! way to end the client.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use viewers::{Guest, Host, Program, Terminal, wait_for};

/// How long leaving may take on a busy machine.
const SOON: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Terminal,
    Pipe,
    Socket,
    File,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// The reader closes it, without a request.
    ReaderGoes,
    /// The reader stops, and the client is asked to end.
    Escape,
    Menu,
    Term,
    HangUp,
}

/// The reader of a client's output.
struct Reader {
    end: File,
}

impl Reader {
    /// A reader, and the client's end.
    fn of(kind: Kind, user: &Terminal, dir: &std::path::Path) -> (Self, Stdio) {
        let (end, client) = match kind {
            Kind::Terminal => (user.outer.try_clone().unwrap(), user.end()),
            Kind::Pipe => {
                let (end, client) =
                    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
                (end.into(), client)
            }
            Kind::Socket => {
                let (end, client) = UnixStream::pair().unwrap();
                (OwnedFd::from(end).into(), client.into())
            }
            Kind::File => {
                let path = dir.join("output");
                let client = File::create(&path).unwrap();
                (File::open(path).unwrap(), client.into())
            }
        };
        (Self { end }, client.into())
    }

    /// Waits for the first byte.
    fn first(&mut self) {
        wait_for("output", || {
            (self.end.read(&mut [0; 1]).unwrap() == 1).then_some(())
        });
    }

    /// Waits until the client can write no more. On a busy machine it may only
    /// pause: the client is then left at another moment.
    fn until_full(&self) {
        let mut last = 0;
        wait_for("a client that can write no more", || {
            std::thread::sleep(Duration::from_millis(20));
            let waiting = rustix::io::ioctl_fionread(&self.end).unwrap();
            let full = waiting > 0 && std::mem::replace(&mut last, waiting) == waiting;
            full.then_some(())
        });
    }
}

/// As gdb does with `target remote |`: its last byte and the end of the connection are
/// seen at once.
#[test]
fn what_a_program_types_before_it_leaves_arrives() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let (mut program, client) = UnixStream::pair().unwrap();
    let client = OwnedFd::from(client);
    let mut command = host.vconsole("attach guest/vuart0");
    command.stdin(client.try_clone().unwrap()).stdout(client);
    let mut client = Program::start(command);
    host.until_viewers("vuart0", 1);
    client.signal(Signal::STOP);
    program.write_all(b"+").unwrap();
    drop(program);
    client.signal(Signal::CONT);
    assert_eq!(vuart.receive(1), b"+");
    client.wait();
}

/// Runs one client until it ends; returns how long that took.
fn leave(mut command: Command, host: &Host, kind: Kind, floods: bool, way: Way) -> Duration {
    let mut user = Terminal::open();
    let (mut reader, stdout) = Reader::of(kind, &user, host.dir.path());
    let stderr = match kind {
        Kind::Terminal => Stdio::from(user.end()),
        _ => Stdio::null(),
    };
    command.stdin(user.end()).stdout(stdout).stderr(stderr);
    let mut client = Program::start(command);
    reader.first();
    if floods && kind != Kind::File {
        reader.until_full();
    }
    let asked = Instant::now();
    match way {
        Way::ReaderGoes => {
            drop(reader);
            if kind == Kind::Terminal {
                drop(user);
            }
            client.wait();
            return asked.elapsed();
        }
        Way::Escape => user.write(b"\x1d"),
        Way::Menu => user.write(b"\x14q"),
        Way::Term => client.signal(Signal::TERM),
        Way::HangUp => drop(user),
    }
    // A terminal hangs up when its outer end is closed everywhere.
    let kept = (!(matches!(way, Way::HangUp) && kind == Kind::Terminal)).then_some(reader);
    client.wait();
    drop(kept);
    asked.elapsed()
}

/// Prints without end while `run` runs.
fn flooded(guest: &mut Guest, run: impl FnOnce()) {
    let running = Arc::new(());
    let watched = Arc::downgrade(&running);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while watched.strong_count() > 0 {
                guest.send(&[b'x'; 256]);
            }
        });
        // Owned here, so that the printing ends if `run` panics.
        let stop = running;
        run();
        drop(stop);
    });
}

fn all_ways(client: &str, floods: bool) {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let run = |mut before: Box<dyn FnMut() + '_>| {
        for kind in [Kind::Terminal, Kind::Pipe, Kind::Socket, Kind::File] {
            for way in [
                Way::ReaderGoes,
                Way::Escape,
                Way::Menu,
                Way::Term,
                Way::HangUp,
            ] {
                let (command, menu) = match client {
                    "xenconsole" => (host.xenconsole("1 --num 0 --type vuart"), false),
                    _ => (host.vconsole("attach guest/vuart0 --scrollback all"), true),
                };
                let skip = match way {
                    // A file has no reader, and this client has no menu.
                    Way::ReaderGoes => kind == Kind::File,
                    Way::Menu => !menu,
                    _ => false,
                };
                if !skip {
                    before();
                    let took = leave(command, &host, kind, floods, way);
                    assert!(took < SOON, "{client}, {kind:?}, {way:?}: {took:?}");
                }
            }
        }
    };
    if floods {
        flooded(&mut vuart, || run(Box::new(|| ())));
    } else {
        run(Box::new(|| vuart.send(b"up")));
    }
}

#[test]
fn a_client_of_a_silent_guest_can_be_left() {
    all_ways("vconsole", false);
}

#[test]
fn a_client_of_a_flooding_guest_can_be_left() {
    all_ways("vconsole", true);
}

#[test]
fn the_old_client_of_a_silent_guest_can_be_left() {
    all_ways("xenconsole", false);
}

#[test]
fn the_old_client_of_a_flooding_guest_can_be_left() {
    all_ways("xenconsole", true);
}

/// Any amount pasted into a guest that does not read.
#[test]
fn the_keys_that_leave_work_after_any_paste() {
    let host = Host::start();
    let _guest = host.guest("guest");
    for size in [0, 24 << 10, 100 << 10, 1 << 20] {
        for (client, keys) in [
            (host.xenconsole("1 --num 0 --type vuart"), &b"\x1d"[..]),
            (host.vconsole("attach guest/vuart0"), b"\x1d"),
            (host.vconsole("attach guest/vuart0"), b"\x14q"),
        ] {
            let shown = format!("{client:?}, {size} bytes, {keys:?}");
            let mut user = Terminal::open();
            let mut client = user.run(client);
            wait_for("a raw terminal", || (!user.is_cooked()).then_some(()));
            user.write(&vec![b'x'; size]);
            user.write(keys);
            let asked = Instant::now();
            client.wait();
            assert!(asked.elapsed() < SOON, "{shown}: {:?}", asked.elapsed());
            assert!(user.is_cooked(), "{shown}");
        }
    }
}

#[test]
fn the_keys_that_leave_work_while_there_is_no_daemon() {
    let mut host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    for (client, keys) in [
        (host.xenconsole("1 --num 0 --type vuart"), &b"\x1d"[..]),
        (host.vconsole("attach guest/vuart0"), b"\x1d"),
        (host.vconsole("attach guest/vuart0"), b"\x14q"),
    ] {
        let shown = format!("{client:?}, {keys:?}");
        let mut user = Terminal::open();
        let mut client = user.run(client);
        vuart.send(b"up!");
        user.until("up!");
        host.stop_daemon();
        user.until("disconnected; reconnecting");
        user.write(keys);
        let asked = Instant::now();
        client.wait();
        assert!(asked.elapsed() < SOON, "{shown}: {:?}", asked.elapsed());
        assert!(user.is_cooked(), "{shown}");
        host.start_daemon();
    }
}
