// SPDX-License-Identifier: MIT
//! A confined daemon's abilities.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use xen_io::fake::Machine;

use crate::Process;
use crate::support::{PATIENCE, PV, PvDriver, Serial as _, Viewer, guest, status, wait_for};

/// Debian's unprivileged user.
const NOBODY: u32 = 65534;

/// In the daemon's process: a guest that comes after the confinement writes, and
/// gets an answer.
pub(crate) fn talk(machine: &Machine) -> String {
    let (domid, mut pv, _uart) = guest(machine, "late");
    pv.send(b"said\n");
    let mut viewer = Viewer::open(machine, domid, PV);
    let said = viewer.read(5);
    viewer.write(b"ok");
    let answered = pv.receive(2);
    format!("{}{}", said.escape_ascii(), answered.escape_ascii())
}

/// In the daemon's process: a guest with a channel at `path` writes, and stays.
pub(crate) fn channel(machine: &Machine, path: &str) -> String {
    let domid = machine.create_domain("channel").unwrap();
    let backend = [("connection", "socket"), ("path", path)];
    let mut frontend = machine.add_frontend(domid, 1, &backend).unwrap();
    machine.introduce(domid);
    let mut driver = PvDriver(frontend.connect().unwrap());
    driver.send(b"said");
    std::mem::forget((frontend, driver));
    domid.to_string()
}

/// In the daemon's process: tries a forbidden action.
pub(crate) fn attempt(what: &str) -> String {
    let result = match what {
        "run" => Command::new("/bin/true").status().map(drop),
        "network" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "code" => memmap2::MmapMut::map_anon(4096).and_then(|memory| memory.make_exec().map(drop)),
        "namespace" => {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).map_err(Into::into)
        }
        "unknown call" => {
            let us = rustix::process::getpid();
            let flags = rustix::process::PidfdFlags::empty();
            rustix::process::pidfd_open(us, flags)
                .map(drop)
                .map_err(Into::into)
        }
        "abort" => std::process::abort(),
        "root" => nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).map_err(Into::into),
        path => match path.split_once(' ') {
            Some(("read", path)) => std::fs::read(path).map(drop),
            Some(("write", path)) => std::fs::write(path, "mine"),
            Some(("connect", path)) => UnixStream::connect(path).map(drop),
            Some(("connect-abstract", name)) => SocketAddr::from_abstract_name(name)
                .and_then(|address| UnixStream::connect_addr(&address))
                .map(drop),
            Some(("send", path)) => send(|socket| socket.send_to(b"x", path)),
            Some(("send-abstract", name)) => SocketAddr::from_abstract_name(name)
                .and_then(|address| send(|socket| socket.send_to_addr(b"x", &address))),
            _ => panic!("{path:?}"),
        },
    };
    result.map_or_else(
        |error| format!("{:?}", error.kind()),
        |()| "done".to_owned(),
    )
}

fn send(how: impl FnOnce(&UnixDatagram) -> std::io::Result<usize>) -> std::io::Result<()> {
    UnixDatagram::unbound()
        .and_then(|socket| how(&socket))
        .map(drop)
}

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: String,
}

/// Folders that a daemon of any user can access, and a configuration.
pub(crate) fn place(process: &str) -> Place {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    let at = dir.path().display();
    let config = format!(
        "state-dir = \"{at}/run/state\"\n[log]\nguests = true\ndir = \"{at}/log\"\n\
         [audit]\njournal = false\n[sockets]\ncontrol = \"{at}/run/control.sock\"\nmetrics = \"{at}/run/metrics.sock\"\n\
         consoles = \"{at}/run/consoles\"\n[process]\nfolders = []\n{process}\n"
    );
    Place { dir, config }
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The port is opened before the confinement.
pub(crate) fn a_confined_daemon_serves_its_counters_at_a_port() {
    let place = place("user = \"\"\nsandbox = true");
    let key = "[sockets]\nmetrics-listen = \"127.0.0.1:0\"";
    let mut daemon = Process::start(&place.config.replace("[sockets]", key), &[]);
    let port: u16 = daemon.ask("port").parse().unwrap();
    assert_eq!(daemon.ask("network"), "PermissionDenied");
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("# HELP vconsoled_console_up"), "{answer}");
    daemon.ended();
}

/// Rules, or the sockets' own permissions, decide who may connect.
pub(crate) fn other_users_may_pass_to_the_sockets_whatever_the_umask() {
    let mut place = place("user = \"\"\nsandbox = true");
    place.config = place.config.replace("run/", "run/deep/");
    let mut daemon = Process::start(&place.config, &[]);
    daemon.ask("in force");
    for (folder, mode) in [
        ("run", 0o755),
        ("run/deep", 0o755),
        ("run/deep/state", 0o750),
        ("log", 0o750),
    ] {
        let metadata = std::fs::metadata(place.dir.path().join(folder)).unwrap();
        assert_eq!(metadata.mode() & 0o777, mode, "{folder}");
    }
    daemon.ended();
}

pub(crate) fn a_confined_daemon_serves_and_can_do_nothing_else() {
    let place = place("user = \"\"\nsandbox = true");
    let outside = place.dir.path().join("outside");
    std::fs::write(&outside, "precious").unwrap();
    let mut daemon = Process::start(&place.config, &[]);
    assert_eq!(daemon.ask("guest"), "said\\nok");
    let in_force = daemon.ask("in force");
    assert!(in_force.contains("system calls filtered"), "{in_force}");
    assert_eq!(daemon.ask("run"), "PermissionDenied");
    assert_eq!(daemon.ask("network"), "PermissionDenied");
    assert_eq!(daemon.ask("root"), "PermissionDenied");
    let log = place.dir.path().join("log/guest-late.log");
    // The log is written asynchronously.
    wait_for("the log", || {
        (std::fs::read(&log).ok()? == b"said\n").then_some(())
    });
    std::fs::rename(&log, log.with_extension("old")).unwrap();
    daemon.tell("reopen");
    assert_eq!(daemon.ask("guest"), "said\\nok");
    // Some kernels cannot confine files; the daemon reports whether this one can.
    let confined = !in_force.contains("no landlock");
    let (read, write) = (
        daemon.ask(&format!("read {}", outside.display())),
        daemon.ask(&format!("write {}", outside.display())),
    );
    let expected = if confined { "PermissionDenied" } else { "done" };
    assert_eq!((read.as_str(), write.as_str()), (expected, expected));
    daemon.end();
    daemon.ended();
    assert!(!place.dir.path().join("run/control.sock").exists());
}

pub(crate) fn a_confined_daemon_makes_channels_below_its_folders_and_nowhere_else() {
    let user = if is_root() { "nobody" } else { "" };
    let place = place(&format!("user = \"{user}\"\nsandbox = true"));
    let at = |name: &str| place.dir.path().join(name);
    let folders = format!(
        "folders = [\"{}\", \"{}\"]",
        at("one").display(),
        at("two").display()
    );
    std::fs::create_dir(at("other")).unwrap();
    let mut daemon = Process::start(&place.config.replace("folders = []", &folders), &[]);
    let mut offer = |path: &Path| {
        let domid = daemon.ask(&format!("channel {}", path.display()));
        domid.parse::<u16>().unwrap()
    };
    for folder in ["one", "two"] {
        let path = at(folder).join("agent.sock");
        offer(&path);
        let mut client = wait_for("the channel", || UnixStream::connect(&path).ok());
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut said = [0; 4];
        client.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"said");
    }
    let elsewhere = ["other/agent.sock", "agent.sock"].map(at);
    let elsewhere = elsewhere.map(|path| (offer(&path), path));
    // A user with write access there is excluded by landlock only.
    let refused = is_root() || !daemon.ask("in force").contains("no landlock");
    for (domid, path) in elsewhere.iter().filter(|_| refused) {
        let state = wait_for("the refusal", || {
            let consoles = status(&at("run/control.sock")).consoles;
            let mut rows = consoles.into_iter().filter(|row| row.domid == *domid);
            rows.find(|row| row.console == "pv1").map(|row| row.state)
        });
        let hint = "add its folder to `folders` of the section [process] and restart vconsoled";
        for part in [path.to_str().unwrap(), hint] {
            assert!(state.contains(part), "{state}");
            assert_ne!(daemon.ask(&format!("heard {part}")), "0", "{part}");
        }
        assert!(!path.exists());
    }
    daemon.ended();
}

/// Debian 13's `/var/log/xen` is root's with group adm, and closed to others. The
/// daemon then has that group, and no other; never root's.
pub(crate) fn a_group_that_leads_to_the_logs_is_kept_and_roots_never() {
    const ADM: u32 = 4;
    for (group, mode, kept) in [
        (ADM, 0o2750, true),
        (ADM, 0o2755, false),
        (ADM, 0o2700, false),
        (0, 0o750, false),
    ] {
        let place = place("user = \"nobody\"\nsandbox = false");
        let at = |name: &str| place.dir.path().join(name);
        std::fs::create_dir(at("xen")).unwrap();
        std::fs::write(at("xen/xl-guest.log"), "").unwrap();
        std::os::unix::fs::chown(at("xen"), None, Some(group)).unwrap();
        std::fs::set_permissions(at("xen"), Permissions::from_mode(mode)).unwrap();
        let logs = at("xen/console").display().to_string();
        let config = place
            .config
            .replace(&at("log").display().to_string(), &logs);
        let mut daemon = Process::start(&config, &[]);
        assert_eq!(daemon.ask("guest"), "said\\nok");
        let status = format!("/proc/{}/status", daemon.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"));
        let groups: Vec<u32> = groups
            .unwrap()
            .split_whitespace()
            .map(|one| one.parse().unwrap())
            .collect();
        let expected = if kept { &[ADM, NOBODY][..] } else { &[NOBODY] };
        assert_eq!(groups, expected, "group {group}, mode {mode:o}");
        assert_eq!(std::fs::metadata(at("xen")).unwrap().uid(), 0);
        let log = at("xen/console/guest-late.log");
        if kept || mode & 1 == 1 {
            wait_for("the log", || {
                (std::fs::read(&log).ok()? == b"said\n").then_some(())
            });
        }
        daemon.ended();
    }
}

pub(crate) fn a_confined_daemon_compresses_and_removes_old_logs() {
    let place = place("user = \"\"\nsandbox = true");
    let config = place.config.replace(
        "guests = true",
        "guests = true\ncompress = true\nkeep-days = 1",
    );
    let logs = place.dir.path().join("log");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("guest-a.log.1"), "yesterday").unwrap();
    std::fs::write(logs.join("guest-b.log.1"), "long ago").unwrap();
    let old = std::fs::File::open(logs.join("guest-b.log.1")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let daemon = Process::start(&config, &[]);
    wait_for("the folder to be looked after", || {
        let entries = std::fs::read_dir(&logs).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name());
        let first = names.next()?;
        (first == "guest-a.log.1.zst" && names.next().is_none()).then_some(())
    });
    daemon.ended();
}

/// Checks the kernel's answers, not the daemon's report.
pub(crate) fn a_confined_daemon_makes_no_code_and_no_namespace_and_reaches_no_socket() {
    let place = place("user = \"\"\nsandbox = true");
    let outside = place.dir.path().join("outside.sock");
    let _named = UnixListener::bind(&outside).unwrap();
    let heard = place.dir.path().join("datagrams.sock");
    let _hearer = UnixDatagram::bind(&heard).unwrap();
    let name = format!("vconsoled-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let hearer = format!("{name}-datagrams");
    let address = SocketAddr::from_abstract_name(&hearer).unwrap();
    let _abstract_hearer = UnixDatagram::bind_addr(&address).unwrap();
    let mut daemon = Process::start(&place.config, &[]);
    assert_eq!(daemon.ask("code"), "PermissionDenied");
    assert_eq!(daemon.ask("namespace"), "PermissionDenied");
    assert_eq!(daemon.ask("unknown call"), "Unsupported");
    for request in [
        format!("connect {}", outside.display()),
        format!("connect-abstract {name}"),
    ] {
        assert_eq!(daemon.ask(&request), "PermissionDenied", "{request}");
    }
    // Datagrams go to the journal and the service manager. Kernels can restrict
    // sockets since Linux 6.12, and by path since 7.1.
    let kernel = kernel();
    let refused = |since| {
        if kernel >= since {
            "PermissionDenied"
        } else {
            "done"
        }
    };
    let landlock = !daemon.ask("in force").contains("no landlock");
    if landlock {
        let abstract_one = daemon.ask(&format!("send-abstract {hearer}"));
        assert_eq!(abstract_one, refused((6, 12)));
        let named = daemon.ask(&format!("send {}", heard.display()));
        assert_eq!(named, refused((7, 1)));
    }
    daemon.tell("abort");
    let ended = daemon.child.wait().unwrap();
    assert_eq!(ended.signal(), Some(6), "{ended}");
}

/// The kernel's version.
fn kernel() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split(['.', '-']).map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

pub(crate) fn a_daemon_of_another_user_has_no_way_back() {
    let place = place("user = \"nobody\"\nsandbox = false");
    let at = |name: &str| place.dir.path().join(name);
    std::fs::create_dir(at("log")).unwrap();
    for name in ["log/guest-late.log", "precious"] {
        std::fs::write(at(name), "").unwrap();
    }
    std::fs::hard_link(at("precious"), at("log/guest-link.log")).unwrap();
    let mut daemon = Process::start(&place.config, &[]);
    let in_force = daemon.ask("in force");
    assert!(in_force.contains("user 65534,"), "{in_force}");
    assert_eq!(daemon.ask("root"), "PermissionDenied");
    assert_eq!(daemon.ask("read /etc/shadow"), "PermissionDenied");
    assert_eq!(daemon.ask("guest"), "said\\nok");
    let owner = |name: &str| std::fs::metadata(at(name)).unwrap().uid();
    wait_for("both logs", || {
        let said = std::fs::read(at("log/guest-late.log")).ok()?;
        (said == b"said\n" && at("log/guest-late-vuart0.log").exists()).then_some(())
    });
    assert_eq!(owner("log/guest-late.log"), NOBODY, "one of xenconsoled's");
    assert_eq!(owner("log/guest-late-vuart0.log"), NOBODY);
    assert_eq!(owner("precious"), 0, "a hard link gives no access to it");
    assert_eq!(owner("run/control.sock"), NOBODY);
    daemon.end();
    daemon.ended();
    assert!(!at("run/control.sock").exists());
}

/// The operator may have replaced the log folder by a link to another disk; links
/// in it are not followed.
pub(crate) fn a_log_folder_that_is_a_link_is_followed_and_a_log_is_not() {
    let user = if is_root() { "nobody" } else { "" };
    let place = place(&format!("user = \"{user}\"\nsandbox = true"));
    let at = |name: &str| place.dir.path().join(name);
    std::fs::create_dir(at("disk")).unwrap();
    std::os::unix::fs::symlink(at("disk"), at("log")).unwrap();
    std::fs::write(at("precious"), "precious").unwrap();
    std::fs::set_permissions(at("precious"), Permissions::from_mode(0o666)).unwrap();
    std::os::unix::fs::symlink(at("precious"), at("disk/guest-late-vuart0.log")).unwrap();
    let mut daemon = Process::start(&place.config, &[]);
    assert_eq!(daemon.ask("guest"), "said\\nok");
    daemon.end();
    daemon.ended();
    assert_eq!(std::fs::read(at("disk/guest-late.log")).unwrap(), b"said\n");
    assert_eq!(std::fs::read(at("precious")).unwrap(), b"precious");
    if is_root() {
        assert_eq!(std::fs::metadata(at("disk")).unwrap().uid(), NOBODY);
        assert_eq!(std::fs::metadata(at("precious")).unwrap().uid(), 0);
    }
}

pub(crate) fn folders_of_others_stay_theirs() {
    for name in ["run", "log", "run/state", "run/consoles"] {
        let place = place("user = \"nobody\"\nsandbox = false");
        let folder = place.dir.path().join(name);
        let config = vconsoled::Config::parse(&place.config).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("somebody-elses"), "").unwrap();
        // Other tests cover what fails without the folder.
        let _ended_well = Process::start(&place.config, &[]).wait();
        assert_eq!(std::fs::metadata(&folder).unwrap().uid(), 0, "{name}");
        let control = config.sockets.control.unwrap();
        assert!(
            name != "run" || !control.exists(),
            "a socket was made in it"
        );
    }
}

pub(crate) fn an_unknown_user_is_refused_with_a_message() {
    let config = vconsoled::Config::parse("[process]\nuser = \"nonesuch\"\n").unwrap();
    let error = vconsoled::confine::give_up(&config).unwrap_err();
    let said = format!("{error:#}");
    for part in ["nonesuch", "adduser --system", "[process]"] {
        assert!(said.contains(part), "{said}");
    }
}
