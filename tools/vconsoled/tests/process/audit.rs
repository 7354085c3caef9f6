// SPDX-License-Identifier: MIT
//! The audit's file when the daemon is killed, when the disk stalls, and when the
//! daemon is confined.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use console_proto::audit::Check;
use serde_json::Value;

use crate::Process;
use crate::host::Host;
use crate::peer::Attached;
use crate::privileges::{is_root, place};
use crate::support::{PV, Serial as _, Viewer, ask, guest, wait_for};
use crate::tracer::Tracer;

const PV0: &str = r#""domid":1,"console":"pv0""#;

/// More sessions than the queue holds.
const MANY: u64 = 700;

fn host() -> (Host, PathBuf) {
    let mut host = Host::new("");
    let at = host.dir.path().display().to_string();
    let file = format!("journal = false\nrate = 0\nfile = \"{at}/audit.log\"");
    host.config = host.config.replace("journal = false", &file);
    host.config = host.config.replace(
        "metrics = \"\"",
        &format!("metrics = \"{at}/metrics.sock\""),
    );
    let file = host.dir.path().join("audit.log");
    (host, file)
}

/// Complete lines that are valid JSON.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|one| one.ends_with('\n'));
    whole
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn count(file: &Path, event: &str) -> usize {
    let lines = lines(file).into_iter();
    lines.filter(|line| line["event"] == event).count()
}

fn check(file: &Path) -> Check {
    let mut check = Check::default();
    let file = std::fs::read(file).unwrap_or_default();
    assert_eq!(check.file(&file[..], None).unwrap(), Ok(()));
    check
}

pub(crate) fn a_kill_at_every_system_call_of_the_audit_leaves_a_valid_chain() {
    let (host, file) = host();
    let (domid, _pv, _uart) = guest(&host.machine, "guest");
    let mut stops = 0;
    for kill_at in 1.. {
        let daemon = host.start(|_| ());
        let mut tracer = Tracer::hold(&daemon.0, "audit");
        let before = count(&file, "detached");
        drop(Attached::new(&host.control(), PV0));
        stops = tracer.run(kill_at, || count(&file, "detached") > before);
        tracer.kill(daemon);
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        check(&file);
        if stops < kill_at {
            break;
        }
    }
    assert!(stops > 10, "{stops} stops are too few");
    host.start(|_| ()).stop();
    let check = check(&file);
    assert!(!check.unfinished);
    assert_eq!(check.lines, lines(&file).len() as u64);
    assert_eq!(lines(&file).pop().unwrap()["event"], "stopped");
}

pub(crate) fn what_the_audit_loses_while_its_disk_does_not_answer_is_counted_in_it() {
    let (host, file) = host();
    let (domid, mut pv, _uart) = guest(&host.machine, "guest");
    let daemon = host.start(|_| ());
    let mut viewer = Viewer::open(&host.machine, domid, PV);
    wait_for("the pty's viewer", || {
        (count(&file, "attached") == 1).then_some(())
    });
    let tracer = Tracer::hold(&daemon.0, "audit");
    let lost = || {
        let metrics = ask(&host.dir.path().join("metrics.sock"), "");
        let mut lines = metrics.lines();
        let line =
            lines.find_map(|line| line.strip_prefix("vconsoled_audit_lost_total{from=\"file\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    for round in 0..MANY {
        drop(Attached::new(&host.control(), PV0));
        // No guest and no viewer waits for it.
        pv.send(b"said");
        assert_eq!(viewer.read(4), b"said", "{round}");
    }
    // 1024 are queued, and the thread may have one more.
    wait_for("nearly all of them to have left", || {
        (lost() >= 2 * MANY - 1025).then_some(())
    });
    drop(tracer);
    let told = || -> u64 {
        let lines = lines(&file).into_iter();
        let counts = lines.filter(|line| line["event"] == "lost");
        counts.map(|line| line["count"].as_u64().unwrap()).sum()
    };
    let sessions = || (count(&file, "attached") + count(&file, "detached")) as u64;
    // The pty's viewer is one.
    wait_for("each to be there or counted", || {
        (sessions() + told() == 2 * MANY + 1).then_some(())
    });
    assert_eq!(told(), lost());
    daemon.stop();
    assert_eq!(check(&file).torn, 0);
}

pub(crate) fn a_confined_daemon_of_another_user_writes_the_audit() {
    let user = if is_root() { "nobody" } else { "" };
    let place = place(&format!("user = \"{user}\"\nsandbox = true"));
    let dir = place.dir.path().join("audit");
    let file = dir.join("audit.log");
    let key = format!("[audit]\nfile = \"{}\"", file.display());
    let config = place.config.replace("[audit]", &key);
    // Root's, from a daemon that ran as root.
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(&file, "").unwrap();
    for _ in 0..2 {
        let mut daemon = Process::start(&config, &[]);
        assert_eq!(daemon.ask("guest"), "said\\nok");
        assert!(!daemon.ask("in force").is_empty());
        wait_for("a line", || (!lines(&file).is_empty()).then_some(()));
        std::fs::rename(&file, dir.join("audit.log.1")).unwrap();
        daemon.end();
        daemon.ended();
        let mut check = Check::default();
        for file in [dir.join("audit.log.1"), file.clone()] {
            let file = std::fs::read(file).unwrap();
            assert_eq!(check.file(&file[..], None).unwrap(), Ok(()));
        }
        assert_eq!(lines(&file).pop().unwrap()["event"], "stopped");
    }
    let owner = std::fs::metadata(&file).unwrap().uid();
    assert!(!is_root() || owner != 0);
}
