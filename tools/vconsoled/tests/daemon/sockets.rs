// SPDX-License-Identifier: MIT
//! A daemon's sockets: their places, owners and permissions.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::peer::{connect, read};
use crate::support::*;
use console_proto::Row;
use vconsoled::Config;
use vconsoled::config::Sockets as Places;
use xen_io::fake::Machine;

/// A daemon's sockets.
pub(crate) struct Sockets {
    pub(crate) dir: tempfile::TempDir,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            sockets: Places {
                control: Some(self.control()),
                consoles: Some(self.consoles()),
                ..Places::default()
            },
            ..Config::default()
        }
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.dir.path().join("run/control.sock")
    }

    pub(crate) fn consoles(&self) -> PathBuf {
        self.dir.path().join("run/consoles")
    }

    pub(crate) fn plain(&self, name: &str) -> PathBuf {
        self.consoles().join(name)
    }

    pub(crate) fn pv0(&self) -> Row {
        status(&self.control())
            .consoles
            .into_iter()
            .find(|one| one.console == "pv0")
            .expect("a PV console")
    }

    pub(crate) fn until_viewers(&self, count: usize) {
        wait_for(&format!("{count} viewers"), || {
            (self.pv0().viewers == count).then_some(())
        });
    }
}

pub(crate) const PV0: &str = r#""domid":1,"console":"pv0""#;

pub(crate) fn with(more: &str) -> String {
    format!("{PV0},{more}")
}

#[test]
fn sockets_are_for_root_and_nothing_else_is_touched() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sockets = Sockets::new();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let (_, _, _) = guest(&machine, "../../escape");
    // What a killed daemon left, a file in the way, and a link.
    let precious = sockets.dir.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    private_dir(&sockets.plain("1"));
    private_dir(&sockets.plain("77"));
    drop(std::os::unix::net::UnixListener::bind(sockets.plain("1/pv0.sock")).unwrap());
    drop(std::os::unix::net::UnixListener::bind(sockets.plain("77/pv0.sock")).unwrap());
    symlink(&precious, sockets.plain("1/vuart0.sock")).unwrap();
    std::fs::write(sockets.plain("1/pv0.ro.sock"), "mine").unwrap();
    symlink(sockets.dir.path(), sockets.plain("2")).unwrap();
    let daemon = Daemon::start(&machine, sockets.config());

    let mut plain = connect(&sockets.plain("1/pv0.sock"));
    pv.send(b"works");
    assert_eq!(read(&mut plain, 5), b"works");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sockets.plain("1/pv0.sock")), 0o600);
    assert_eq!(mode(&sockets.plain("1")) & 0o022, 0);
    assert!(!sockets.plain("77").exists(), "swept");
    assert_eq!(
        std::fs::read(sockets.plain("1/pv0.ro.sock")).unwrap(),
        b"mine"
    );
    assert_eq!(
        std::fs::read_link(sockets.plain("1/vuart0.sock")).unwrap(),
        precious
    );
    assert!(
        !sockets.dir.path().join("pv0.sock").exists(),
        "through a link"
    );
    let names = std::fs::read_dir(sockets.plain("by-name")).unwrap();
    assert_eq!(names.count(), 1, "only a plain name is one");
    // A replaced socket is not removed.
    std::fs::remove_file(sockets.plain("1/pv0.sock")).unwrap();
    std::fs::write(sockets.plain("1/pv0.sock"), "another").unwrap();
    daemon.stop().unwrap();
    assert_eq!(
        std::fs::read(sockets.plain("1/pv0.sock")).unwrap(),
        b"another"
    );
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");

    // A directory that others can write to is refused.
    let shared = sockets.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    let link = sockets.dir.path().join("link");
    symlink(sockets.dir.path(), &link).unwrap();
    for path in [shared, link] {
        let mut config = sockets.config();
        config.sockets.consoles = Some(path);
        assert!(vconsoled::Server::new(machine.platform().unwrap(), config).is_err());
    }
}

#[test]
fn sockets_have_the_permissions_and_the_group_that_are_configured() {
    use nix::unistd::{Gid, Group, geteuid};
    use std::os::unix::fs::MetadataExt;
    use vconsoled::config::SocketMode;
    // Root can set any group, others their own.
    let group = if geteuid().is_root() {
        Group::from_name("nogroup")
    } else {
        Group::from_gid(Gid::effective())
    };
    let group = group.unwrap().expect("a group");
    let sockets = Sockets::new();
    let machine = Machine::new();
    let _guest = guest(&machine, "guest");
    let mut config = sockets.config();
    config.sockets.control_mode = SocketMode(0o640);
    config.sockets.consoles_mode = SocketMode(0o660);
    config.sockets.group = Some(group.name);
    let _daemon = Daemon::start(&machine, config);
    for (path, mode) in [
        (sockets.control(), 0o640),
        (sockets.plain("1/pv0.sock"), 0o660),
        (sockets.plain("1/pv0.ro.sock"), 0o660),
        (sockets.plain("1/vuart0.sock"), 0o660),
    ] {
        // The socket cannot be connected to before its permissions are right.
        wait_for("the socket", || UnixStream::connect(&path).ok());
        let metadata = std::fs::metadata(&path).unwrap();
        let seen = (metadata.mode() & 0o7777, metadata.gid());
        assert_eq!(seen, (mode, group.gid.as_raw()), "{}", path.display());
    }
}

fn private_dir(path: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .unwrap();
}
