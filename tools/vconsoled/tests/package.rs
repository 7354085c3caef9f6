// SPDX-License-Identifier: MIT
//! The package's maintainer scripts, with Debian's own dpkg-divert on a temporary
//! folder and with stubs for the programs that start and stop services. The
//! scenario `systemd` tests the package in a complete Debian.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vconsoled::Config;

/// Programs that only record their calls.
const STUBS: [&str; 8] = [
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "invoke-rc.d",
    "start-stop-daemon",
    "systemctl",
    "systemd-sysusers",
    "vconsoled",
    "xen-programs",
];
const CHECK: &str = "vconsoled --check-config";
const STOP: &str = "start-stop-daemon --stop";
const OURS: &str = "vconsoled.service";

/// The parts of a host that the scripts use.
struct Host(tempfile::TempDir);

impl Host {
    fn new(systemd: bool) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "dpkg"] {
            fs::create_dir(host.at(folder)).unwrap();
        }
        for stub in STUBS {
            let calls = host.at("calls");
            let text = format!("#!/bin/sh\necho \"{stub} $*\" >>{}\n", calls.display());
            host.program(&format!("bin/{stub}"), &text);
        }
        for ours in ["xen", "vconsole", "xenconsoled-start"] {
            host.program(ours, "");
        }
        if systemd {
            fs::create_dir(host.at("systemd")).unwrap();
        }
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        terminal::install(self.at(name), text);
    }

    /// Runs one of the package's scripts, and returns its calls.
    fn run(&self, script: &str, arguments: &[&str]) -> Vec<String> {
        let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
        let mut text = fs::read_to_string(packaging.join(script)).unwrap();
        for (place, here) in [
            ("/usr/lib/vconsoled/xen-programs", "bin/xen-programs"),
            ("/usr/lib/vconsoled/xenconsoled-start", "xenconsoled-start"),
            ("/usr/bin/vconsole", "vconsole"),
            ("/usr/lib/xen-", "xen-"),
            ("/run/systemd/system", "systemd"),
            ("/run/vconsoled", "run"),
            ("/etc/init.d/xen", "xen"),
            ("/etc/default/xen", "options"),
            ("/usr/sbin/policy-rc.d", "policy-rc.d"),
        ] {
            text = text.replace(place, &self.at(here).display().to_string());
        }
        self.program("script", &text);
        let path = std::env::var("PATH").unwrap();
        let status = Command::new(self.at("script"))
            .args(arguments)
            .env("PATH", format!("{}:{path}", self.at("bin").display()))
            .env("DPKG_ADMINDIR", self.at("dpkg"))
            .status()
            .unwrap();
        assert!(status.success(), "{script} {arguments:?}");
        let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
        let _none = fs::remove_file(self.at("calls"));
        calls.lines().map(str::to_owned).collect()
    }
}

/// Asserts that those calls were made once each, in that order.
fn in_order(calls: &[String], expected: &[&str]) {
    let places: Vec<Vec<usize>> = expected
        .iter()
        .map(|part| {
            let found = calls.iter().enumerate();
            let found = found.filter(|(_, call)| call.contains(part));
            found.map(|(at, _)| at).collect()
        })
        .collect();
    let once = places.iter().all(|places| places.len() == 1);
    assert!(once && places.is_sorted(), "{expected:?} in {calls:#?}");
}

/// A ring has one backend at a time: one stops before the other starts, with
/// programs that are installed by then.
#[test]
fn the_stock_daemon_and_ours_never_run_at_once() {
    for systemd in [true, false] {
        let host = Host::new(systemd);
        let (restart, stop) = if systemd {
            ("deb-systemd-invoke restart", "deb-systemd-invoke stop")
        } else {
            ("invoke-rc.d xen restart", STOP)
        };
        let calls = host.run("debian/postinst", &["configure"]);
        in_order(&calls, &[CHECK, "xen-programs divert", STOP, restart]);
        let calls = host.run("debian/prerm", &["remove"]);
        in_order(&calls, &[stop, "xen-programs restore"]);
        let calls = host.run("debian/postrm", &["remove"]);
        let start = if systemd {
            "deb-systemd-invoke start xenconsoled.service"
        } else {
            restart
        };
        assert!(calls.last().unwrap().starts_with(start), "{calls:#?}");
    }
}

#[test]
fn an_upgrade_stops_nothing_and_restarts_ours_once() {
    for systemd in [true, false] {
        let host = Host::new(systemd);
        assert!(host.run("debian/prerm", &["upgrade", "2"]).is_empty());
        let calls = host.run("debian/postinst", &["configure", "1"]);
        let restart = if systemd {
            format!("deb-systemd-invoke restart {OURS}")
        } else {
            "invoke-rc.d xen restart".to_owned()
        };
        in_order(&calls, &[CHECK, "xen-programs divert", &restart]);
        // Without systemd the service has the name under which the stock one
        // would be stopped.
        let stops = calls.iter().any(|call| call.starts_with(STOP));
        assert_eq!(stops, systemd, "{calls:#?}");
        // A version of Xen was installed: its programs are diverted, nothing is
        // restarted.
        let calls = host.run("debian/postinst", &["triggered", "/usr/lib/xen-4.20/bin"]);
        assert_eq!(calls, ["xen-programs divert"]);
    }
}

#[test]
fn every_version_of_xen_has_ours_until_they_are_taken_back() {
    let host = Host::new(true);
    let programs = ["xenconsole", "xenconsoled"];
    let at = |version: &str, name: &str| host.at(&format!("xen-{version}/bin/{name}"));
    let install = |version: &str| {
        fs::create_dir_all(at(version, "")).unwrap();
        for name in programs {
            fs::write(at(version, name), "stock").unwrap();
        }
    };
    let is_ours = |version: &str| {
        programs.iter().all(|name| {
            let stock = fs::read_to_string(at(version, &format!("{name}.stock")));
            at(version, name).is_symlink() && stock.is_ok_and(|text| text == "stock")
        })
    };
    let list = || {
        let listed = Command::new("dpkg-divert")
            .arg("--list")
            .env("DPKG_ADMINDIR", host.at("dpkg"))
            .output()
            .unwrap();
        String::from_utf8(listed.stdout).unwrap().lines().count()
    };
    install("4.17");
    install("4.20");
    // Again, for an upgrade.
    for _ in 0..2 {
        host.run("xen-programs", &["divert"]);
        assert!(is_ours("4.17") && is_ours("4.20"));
        assert_eq!(list(), 4);
    }
    // One version is removed: dpkg removes its files under their diverted names.
    for name in programs {
        fs::remove_file(at("4.17", &format!("{name}.stock"))).unwrap();
    }
    host.run("xen-programs", &["divert"]);
    assert!(!at("4.17", "").exists() && is_ours("4.20"));
    assert_eq!(list(), 2);
    host.run("xen-programs", &["restore"]);
    for name in programs {
        assert_eq!(fs::read_to_string(at("4.20", name)).unwrap(), "stock");
        assert!(!at("4.20", &format!("{name}.stock")).exists());
    }
    assert_eq!(list(), 0);
}

/// Logs and sockets may be anywhere except in the system's own folders.
#[test]
fn the_unit_leaves_every_folder_of_the_configuration_writable() {
    let unit = include_str!("../packaging/vconsoled.service");
    let has = |line: &str| unit.lines().any(|one| one == line);
    assert!(has("ProtectSystem=full") && has("ProtectHome=yes"));
    for key in ["ReadWritePaths=", "ReadOnlyPaths=", "InaccessiblePaths="] {
        assert!(!unit.contains(key), "{key} names folders");
    }
    let config = Config::installed();
    let sockets = config.sockets;
    let folders = [
        config.state_dir,
        sockets.control,
        sockets.metrics,
        sockets.consoles,
    ];
    let folders = folders.into_iter().flatten().chain(config.process.folders);
    for folder in folders.chain([config.log.dir]) {
        let own = ["/usr", "/boot", "/efi", "/etc", "/home", "/root"];
        let is_own = own.iter().any(|own| folder.starts_with(own));
        assert!(!is_own, "{}", folder.display());
    }
    assert!(has("RuntimeDirectory=vconsoled") && has("RuntimeDirectoryPreserve=yes"));
}

/// systemd logs a variable of a command that is not set, at each start.
#[test]
fn the_unit_sets_the_variables_of_its_commands() {
    let unit = include_str!("../packaging/vconsoled.service");
    let commands = unit.lines().filter(|line| line.starts_with("Exec"));
    let words = commands.flat_map(|line| line.split(['=', ' ']));
    let names = words.filter_map(|word| word.strip_prefix('$'));
    // The manager sets this one.
    let names: Vec<_> = names.filter(|name| *name != "MAINPID").collect();
    assert!(!names.is_empty());
    for name in names {
        let set = format!("Environment={name}=");
        assert!(unit.lines().any(|line| line == set), "{name}");
    }
}
