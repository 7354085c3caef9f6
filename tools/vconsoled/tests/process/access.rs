// SPDX-License-Identifier: MIT
//! Users other than root, and their rights by rules. Only root can connect as
//! another user, and a thread is enough: the kernel keeps identities by thread.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use console_proto::audit::Check;
use rustix::process::{Gid, Uid};
use serde_json::Value;
use tracing_subscriber::filter::LevelFilter;
use vconsoled::Config;
use vconsoled::config::{Audit, Sockets};
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::domain_path;

use crate::Process;
use crate::peer::{Attached, Frame, line};
use crate::support::{
    Daemon, Heard, PATIENCE, PvDriver, Serial as _, UartDriver, guest, until_looked_at, wait_for,
};

/// A user, and its groups besides its own.
#[derive(Clone, Copy)]
struct User(u32, &'static [u32]);

const ALICE: User = User(1000, &[]);
const BOB: User = User(1001, &[2000]);
const CAROL: User = User(1002, &[]);

impl User {
    /// Runs `work` as this user.
    fn act<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        let act = || {
            let groups: Vec<Gid> = self.1.iter().map(|group| Gid::from_raw(*group)).collect();
            rustix::thread::set_thread_groups(&groups).unwrap();
            let (uid, gid) = (Uid::from_raw(self.0), Gid::from_raw(self.0));
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(act).join().unwrap())
    }

    fn try_connect(self, socket: &Path) -> std::io::Result<UnixStream> {
        let stream = self.act(|| UnixStream::connect(socket))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    fn connect(self, socket: &Path) -> UnixStream {
        self.try_connect(socket)
            .unwrap_or_else(|error| panic!("{} for {}: {error}", socket.display(), self.0))
    }

    /// The line that answers a request, as JSON.
    fn ask(self, socket: &Path, request: &str) -> Value {
        let mut stream = self.connect(socket);
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        serde_json::from_str(&line(&mut stream)).unwrap()
    }

    /// The consoles that this user sees.
    fn sees(self, socket: &Path) -> BTreeSet<String> {
        let status = self.ask(socket, "status");
        let rows = status["consoles"].as_array().unwrap().iter();
        rows.map(|row| format!("{}/{}", row["name"].as_str().unwrap(), row["console"]))
            .map(|name| name.replace('"', ""))
            .collect()
    }

    fn attach(self, socket: &Path, members: &str) -> Result<Attached, Value> {
        let mut stream = self.connect(socket);
        let request = format!("{{\"version\":1,\"attach\":{{{members}}}}}\n");
        stream.write_all(request.as_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&line(&mut stream)).unwrap();
        if answer["error"].is_null() {
            Ok(Attached::of(stream, answer))
        } else {
            Err(answer)
        }
    }

    /// The output of a console's own socket until it closes.
    fn refusal(self, socket: &Path) -> String {
        let mut said = String::new();
        self.connect(socket).read_to_string(&mut said).unwrap();
        said
    }
}

fn of(name: &str) -> String {
    format!(r#""name":"{name}","console":"pv0""#)
}

/// A host with its daemon.
struct Host {
    dir: tempfile::TempDir,
    machine: Machine,
    daemon: Daemon,
    /// The daemon's messages.
    heard: Heard,
}

impl Host {
    fn new(rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        let machine = Machine::new();
        let (platform, heard) = (machine.platform().unwrap(), Heard::default());
        let config = config(dir.path(), rules);
        let (daemon, ready) = Daemon::begin_told(platform, config, &heard, LevelFilter::INFO);
        ready.recv_timeout(PATIENCE).expect("the daemon serves");
        Self {
            dir,
            machine,
            daemon,
            heard,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("run").join(name)
    }

    fn control(&self) -> PathBuf {
        self.at("control.sock")
    }

    fn guest(&self, name: &str) -> (DomId, PvDriver, UartDriver) {
        let guest = guest(&self.machine, name);
        until_looked_at(&self.machine);
        guest
    }

    fn reload(&self, rules: &str) {
        self.daemon
            .handle
            .reload(Ok(config(self.dir.path(), rules)));
        // The reload is applied in the iteration that handles discovery's next
        // reports, or before.
        until_looked_at(&self.machine);
    }

    fn write(&self, domid: DomId, node: &str, value: &str) {
        let path = format!("{}/{node}", domain_path(domid));
        let mut store = self.machine.toolstack().unwrap();
        store.write(&path, value).unwrap();
    }

    fn rename(&self, domid: DomId, name: &str) {
        self.write(domid, "name", name);
        until_looked_at(&self.machine);
    }

    /// Number of denied requests of a kind.
    fn denied(&self, request: &str) -> u64 {
        let mut stream = UnixStream::connect(self.at("metrics.sock")).unwrap();
        stream.write_all(b"\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let start = format!("vconsoled_denied_total{{request=\"{request}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&start));
        count.unwrap().parse().unwrap()
    }
}

fn config(dir: &Path, rules: &str) -> Config {
    let run = dir.join("run");
    Config {
        sockets: Sockets {
            control: Some(run.join("control.sock")),
            metrics: Some(run.join("metrics.sock")),
            consoles: Some(run.join("consoles")),
            ..Sockets::default()
        },
        access: Config::parse(rules).unwrap().access,
        audit: Audit {
            file: Some(dir.join("audit.log")),
            ..Audit::default()
        },
        ..Config::default()
    }
}

/// Alice may watch web's consoles; the group 2000 has more rights on its PV console.
const WEB: &str = "[[access]]\nusers = ['1000']\ndomains = ['web']\nrights = ['watch']\n\
    [[access]]\ngroups = ['2000']\ndomains = ['web']\nconsoles = ['pv*']\n\
    rights = ['type', 'log', 'break']\n\
    [[access]]\ngroups = ['2000']\ndomains = ['web']\nconsoles = ['vuart0']\n\
    rights = ['break']\n";

fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or_default()
}

/// Reads a session to its end: the frames before it, and the reason.
fn ended(session: &mut Attached) -> (Vec<Frame>, String) {
    let mut before = Vec::new();
    loop {
        match session.frame() {
            Frame::Ended(why) => return (before, why),
            other => before.push(other),
        }
    }
}

pub(crate) fn each_gets_what_the_rules_give_and_no_more() {
    let host = Host::new(WEB);
    let control = host.control();
    let (_db, ..) = host.guest("db");
    let (web, mut pv, _uart) = host.guest("web");
    pv.send(b"before");
    let mut root = Attached::new(&control, &of("web"));
    assert_eq!(root.read(6), b"before");

    let both = BTreeSet::from(["web/pv0".to_owned(), "web/vuart0".to_owned()]);
    assert_eq!(ALICE.sees(&control), both);
    assert_eq!(BOB.sees(&control), both);
    assert_eq!(CAROL.sees(&control), BTreeSet::new());
    let row = &ALICE.ask(&control, "status")["consoles"][0];
    assert_eq!(row["rights"], serde_json::json!(["list", "watch"]));
    assert_eq!((&row["tty"], &row["log"]), (&"".into(), &"".into()));

    // The right `watch` covers only new output, whatever the request contains.
    let stream = root.answer["stream"].as_str().unwrap().to_owned();
    for more in [
        String::new(),
        r#","scrollback":100"#.to_owned(),
        format!(r#","stream":"{stream}","from":0"#),
    ] {
        let mut alice = ALICE.attach(&control, &(of("web") + &more)).unwrap();
        assert_eq!(alice.answer["mode"], "ro", "{more}");
        let end = alice.answer["end"].as_u64().unwrap();
        assert_eq!(alice.position(), end, "{more}");
        pv.send(b"now");
        assert_eq!(alice.read(3), b"now", "{more}");
        // A mode request changes nothing.
        alice.set_mode(1);
        assert_eq!(alice.frame(), Frame::Mode(0), "{more}");
        alice.type_in(b"in vain");
    }
    // The rights `type` and `log` permit input and earlier output.
    let mut bob = BOB.attach(&control, &of("web")).unwrap();
    assert_eq!(bob.answer["mode"], "rw");
    assert_eq!(bob.read(6 + 9), b"beforenownownow");
    bob.type_in(b"heard");
    assert_eq!(pv.receive(5), b"heard");

    for (user, members, denied) in [
        (ALICE, of("db"), "denied"),
        (ALICE, r#""domid":1,"console":"pv0""#.to_owned(), "denied"),
        (ALICE, of("nonesuch"), "denied"),
        (ALICE, r#""domid":99,"console":"pv0""#.to_owned(), "denied"),
        (
            BOB,
            r#""name":"web","console":"vuart0""#.to_owned(),
            "denied",
        ),
        (CAROL, of("web"), "denied"),
    ] {
        let answer = user.attach(&control, &members).err().unwrap();
        assert_eq!(code(&answer), denied, "{} {members}: {answer}", user.0);
    }
    assert_eq!(host.denied("attach"), 6);
    for user in [ALICE, CAROL] {
        let answer = user.ask(&control, &format!("break {web}/vuart0"));
        assert_eq!(code(&answer), "denied", "{answer}");
    }
    assert_eq!(
        (host.denied("break"), host.machine.take_breaks(web)),
        (2, 0)
    );
    let answer = BOB.ask(&control, &format!("break {web}/vuart0"));
    assert_eq!(answer["done"], "break");
    assert_eq!(host.machine.take_breaks(web), 1);
}

pub(crate) fn a_console_s_own_sockets_ask_the_same_rules() {
    let host = Host::new(WEB);
    let (_db, ..) = host.guest("db");
    let (_web, mut pv, _uart) = host.guest("web");
    pv.send(b"before");
    let pv0 = host.at("consoles/by-name/web/pv0.sock");
    let mut bob = BOB.connect(&pv0);
    let mut said = [0; 6];
    bob.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"before");
    let mut alice = ALICE.connect(&pv0);
    // Its bytes come first in the input, if they are accepted.
    alice.write_all(b"in vain").unwrap();
    wait_for("both", || {
        let status = ALICE.ask(&host.control(), "status");
        (status["consoles"][0]["viewers"] == 2).then_some(())
    });
    pv.send(b"now");
    let mut said = [0; 3];
    alice.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"now");
    bob.write_all(b"heard").unwrap();
    assert_eq!(pv.receive(5), b"heard");
    for (user, socket) in [
        (CAROL, "web/pv0.sock"),
        (CAROL, "web/pv0.ro.sock"),
        (BOB, "web/vuart0.sock"),
        (ALICE, "db/pv0.sock"),
    ] {
        let said = user.refusal(&host.at("consoles/by-name").join(socket));
        assert_eq!(said, "[you may not watch this console]\r\n", "{socket}");
    }
    assert_eq!(host.denied("socket"), 4);
    // Users cannot list other users' guests.
    for folder in ["consoles", "consoles/by-name", "consoles/1"] {
        let folder = host.at(folder);
        let seen = ALICE.act(|| std::fs::read_dir(&folder).map(drop));
        assert!(seen.is_err(), "{}", folder.display());
    }
}

pub(crate) fn a_renamed_domain_takes_nobody_along() {
    let host = Host::new(WEB);
    let (web, mut pv, _uart) = host.guest("web");
    let mut alice = ALICE.attach(&host.control(), &of("web")).unwrap();
    let mut bob = BOB.connect(&host.at("consoles/by-name/web/pv0.sock"));
    wait_for("both", || {
        let status = ALICE.ask(&host.control(), "status");
        (status["consoles"][0]["viewers"] == 2).then_some(())
    });
    host.rename(web, "db");
    pv.send(b"secret");
    assert_eq!(ended(&mut alice), (Vec::new(), "denied".to_owned()));
    assert_eq!(bob.read(&mut [0]).unwrap(), 0);
    assert_eq!(host.denied("session"), 2);
    assert_eq!(ALICE.sees(&host.control()), BTreeSet::new());
    // Another domain has the name now, and the rights apply to it.
    let (_, mut new, _new_uart) = host.guest("web");
    let mut alice = ALICE.attach(&host.control(), &of("web")).unwrap();
    new.send(b"mine");
    assert_eq!(alice.read(4), b"mine");
    let mut root = Attached::new(&host.control(), &of("db"));
    assert_eq!(root.read(6), b"secret");
}

pub(crate) fn nobody_goes_on_from_a_domain_to_another_of_its_number() {
    let rules = "[[access]]\nusers = ['1000']\ndomains = ['*']\nrights = ['type']\n";
    let host = Host::new(rules);
    let (web, mut pv, _uart) = host.guest("web");
    let mut alice = ALICE.attach(&host.control(), &of("web")).unwrap();
    // The daemon sees only another UUID, as after a pause of xenstore: the rings
    // have the same numbers.
    host.write(web, "vm", "/vm/bbbbbbbb-0000-4000-8000-000000000001");
    host.rename(web, "web");
    pv.send(b"another's");
    assert_eq!(ended(&mut alice), (Vec::new(), "domain".to_owned()));
    let again = wait_for("its consoles", || {
        ALICE.attach(&host.control(), &of("web")).ok()
    });
    assert_ne!(again.answer["stream"], alice.answer["stream"]);
}

pub(crate) fn after_a_reboot_rights_are_decided_anew() {
    let uuid = "00000000-0000-4000-8000-000000000001";
    let rules = format!(
        "[[access]]\nusers = ['1000']\ndomains = ['web']\nrights = ['watch']\n\
         [[access]]\nusers = ['1000']\ndomains = ['{uuid}']\nrights = ['type']\n"
    );
    let host = Host::new(&rules);
    let (web, ..) = host.guest("web");
    assert_eq!(web, DomId(1), "the UUID is that of the first");
    let mut alice = ALICE.attach(&host.control(), &of("web")).unwrap();
    assert_eq!(alice.answer["mode"], "rw");
    host.machine.destroy(web).unwrap();
    // Its nodes are removed first.
    let (_, why) = ended(&mut alice);
    assert!(["console", "domain"].contains(&why.as_str()), "{why}");
    let (_again, ..) = host.guest("web");
    let alice = ALICE.attach(&host.control(), &of("web")).unwrap();
    assert_eq!(alice.answer["mode"], "ro");
}

pub(crate) fn a_reload_sends_away_who_may_not_watch_and_silences_who_may_not_type() {
    let host = Host::new(WEB);
    let (_web, mut pv, _uart) = host.guest("web");
    let control = host.control();
    let mut alice = ALICE.attach(&control, &of("web")).unwrap();
    let mut bob = BOB.attach(&control, &of("web")).unwrap();
    host.reload("[[access]]\nusers = ['1001']\ndomains = ['web']\nrights = ['watch']\n");
    assert_eq!(ended(&mut alice), (Vec::new(), "denied".to_owned()));
    assert_eq!(bob.frame(), Frame::Mode(0));
    bob.type_in(b"in vain");
    bob.set_mode(1);
    assert_eq!(bob.frame(), Frame::Mode(0));
    pv.send(b"still");
    assert_eq!(bob.read(5), b"still");
    let mut root = Attached::new(&control, &of("web"));
    root.read(5);
    root.type_in(b"root");
    assert_eq!(pv.receive(4), b"root");
    // Without rules only root can connect, and other users' sessions end.
    host.reload("");
    assert_eq!(ended(&mut bob), (Vec::new(), "denied".to_owned()));
    for socket in ["control.sock", "consoles/by-name/web/pv0.sock"] {
        let error = BOB.try_connect(&host.at(socket)).unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::PermissionDenied,
            "{socket}"
        );
    }
    root.type_in(b"root");
    assert_eq!(pv.receive(4), b"root");
    // With the first rule they can connect at once.
    host.reload(WEB);
    BOB.attach(&control, &of("web")).unwrap();
    BOB.connect(&host.at("consoles/by-name/web/pv0.sock"));
}

pub(crate) fn of_many_groups_the_last_counts_too() {
    const MANY: User = User(1003, &{
        let mut groups = [0; 200];
        let mut at = 0;
        while at < 200 {
            groups[at as usize] = 3000 + at;
            at += 1;
        }
        groups
    });
    let rules = "[[access]]\ngroups = ['3199']\ndomains = ['web']\nrights = ['watch']\n";
    let host = Host::new(rules);
    let (_web, ..) = host.guest("web");
    MANY.attach(&host.control(), &of("web")).unwrap();
    let fewer = User(1003, &MANY.1[..199]);
    assert!(fewer.attach(&host.control(), &of("web")).is_err());
}

pub(crate) fn a_confined_daemon_serves_users_by_rules() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    let at = dir.path().join("run");
    let config = format!(
        "state-dir = ''\naudit.journal = false\n[sockets]\ncontrol = '{0}/control.sock'\nmetrics = ''\n\
         consoles = '{0}/consoles'\n[process]\nuser = 'nobody'\nfolders = []\n\
         [[access]]\nusers = ['1000']\ndomains = ['late']\nrights = ['watch', 'log']\n",
        at.display()
    );
    let mut daemon = Process::start(&config, &[]);
    assert_eq!(daemon.ask("guest"), "said\\nok");
    let mut alice = ALICE.attach(&at.join("control.sock"), &of("late")).unwrap();
    assert_eq!(alice.read(5), b"said\n");
    let mut plain = ALICE.connect(&at.join("consoles/by-name/late/pv0.sock"));
    let mut said = [0; 5];
    plain.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"said\n");
    let answer = CAROL.attach(&at.join("control.sock"), &of("late"));
    assert_eq!(code(&answer.err().unwrap()), "denied");
    daemon.ended();
}

pub(crate) fn who_is_attached_is_told_from_beginning_to_end() {
    let host = Host::new(WEB);
    let (web, ..) = host.guest("web");
    let told = |what: &str, parts: &[String]| {
        wait_for(what, || {
            let lines = host.heard.lines(what);
            let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
            lines.iter().find(fits).cloned()
        })
    };
    let pid = format!("pid={} ", std::process::id());
    let who = |uid| {
        [
            format!("console=\"{web}/pv0\""),
            format!("uid={uid} "),
            pid.clone(),
        ]
    };
    let with = |uid, more: &[&str]| {
        let more = more.iter().map(|part| (*part).to_owned());
        who(uid).into_iter().chain(more).collect::<Vec<_>>()
    };
    // Text from a user cannot forge a line.
    let origin = r#","origin":"192.0.2.1 50000\nforged uid=0 ""#;
    let alice = ALICE
        .attach(&host.control(), &(of("web") + origin))
        .unwrap();
    let line = told("attached", &with(1000, &["types=false", "192.0.2.1 50000"]));
    assert!(line.contains("\\nforged"), "{line}");
    drop(alice);
    told("detached", &with(1000, &["why=\"left\"", "seconds="]));
    let _bob = BOB.connect(&host.at("consoles/by-name/web/pv0.sock"));
    told("attached", &with(1001, &["types=true"]));
    host.reload("");
    told("detached", &with(1001, &["why=\"denied\""]));
    wait_for("the same in the file", || {
        let file = std::fs::read(host.dir.path().join("audit.log")).ok()?;
        let mut lines = str::from_utf8(&file).unwrap().lines();
        let parts = [
            "\"event\":\"detached\"",
            "\"uid\":1001",
            "\"why\":\"denied\"",
        ];
        let told = lines.any(|line| parts.iter().all(|part| line.contains(part)));
        let held = Check::default().file(&file[..], None).unwrap();
        (told && held == Ok(())).then_some(())
    });
    let _root = Attached::new(&host.control(), &of("web"));
    host.machine.destroy(web).unwrap();
    let line = told("detached", &who(0));
    let why = ["why=\"console\"", "why=\"domain\""];
    assert!(why.iter().any(|why| line.contains(why)), "{line}");
}

pub(crate) fn no_user_closes_out_another() {
    let host = Host::new(WEB);
    let (_web, ..) = host.guest("web");
    let control = host.control();
    let mut root = UnixStream::connect(&control).unwrap();
    root.set_read_timeout(Some(PATIENCE)).unwrap();
    let crowd: Vec<_> = (0..100).map(|_| CAROL.connect(&control)).collect();
    assert_eq!(ALICE.sees(&control).len(), 2);
    root.write_all(b"status\n").unwrap();
    let answer = line(&mut root);
    assert!(answer.contains("\"web\""), "{answer}");
    drop(crowd);
    // Some places of a console are reserved.
    let mut crowd = Vec::new();
    let refusal = loop {
        match ALICE.attach(&control, &of("web")) {
            Ok(one) => crowd.push(one),
            Err(answer) => break answer,
        }
    };
    assert_eq!((code(&refusal), crowd.len()), ("too-many", 24));
    let pv0 = host.at("consoles/by-name/web/pv0.sock");
    assert_eq!(BOB.refusal(&pv0), "[too many viewers]\r\n");
    let _root: Vec<_> = (0..8)
        .map(|_| Attached::new(&control, &of("web")))
        .collect();
}

/// A domain that a user may not see looks like a missing one, for any request.
pub(crate) fn nobody_learns_which_domains_there_are() {
    let host = Host::new(
        "[[access]]\nusers = ['1000']\ndomains = ['web']\n\
         rights = ['type', 'break', 'control']\n",
    );
    let control = host.control();
    let (db, ..) = host.guest("db");
    let (_web, _pv, _uart) = host.guest("web");
    let gone = 4999;
    for console in ["pv0", "vuart0", "pv1"] {
        let answers = [db.0, gone].map(|domid| {
            let attach = format!(r#""domid":{domid},"console":"{console}""#);
            let said = [
                ALICE.attach(&control, &attach).err().unwrap(),
                ALICE.ask(&control, &format!("break {domid}/{console}")),
                ALICE.ask(&control, &format!("message {domid}/{console} x")),
                ALICE.ask(&control, &format!("message {domid} x")),
            ];
            said.map(|answer| {
                assert_eq!(code(&answer), "denied", "{answer}");
                let why = answer["error"].as_str().unwrap();
                why.replace(&format!(" {domid}/"), " N/")
            })
        });
        assert_eq!(answers[0], answers[1]);
    }
    let names = ["db", "nonesuch"].map(|name| {
        let answer = ALICE.attach(&control, &of(name)).err().unwrap();
        assert_eq!(code(&answer), "denied", "{answer}");
        answer["error"].as_str().unwrap().replace(name, "N")
    });
    assert_eq!(names[0], names[1]);
    // Root gets the true reason.
    let root = User(0, &[]).ask(&control, &format!("message {gone} x"));
    assert_eq!(code(&root), "no-console");
}

pub(crate) fn operators_are_who_has_the_right_control() {
    let host = Host::new(
        "[[access]]\nusers = ['1000']\ndomains = ['*']\nrights = ['type']\n\
         [[access]]\nusers = ['1001']\ndomains = ['web']\nrights = ['type', 'control']\n",
    );
    let control = host.control();
    let (db, ..) = host.guest("db");
    let (web, mut pv, _uart) = host.guest("web");
    let _other = ALICE.attach(&control, &of("db")).unwrap();
    let alone = of("web") + r#","exclusive":"if-free""#;
    let force = of("web") + r#","exclusive":"force""#;
    let mut alice = ALICE.attach(&control, &alone).unwrap();
    for to in ["all".to_owned(), db.to_string(), format!("{web}/pv0")] {
        let request = format!("message {to} x");
        assert_eq!(code(&ALICE.ask(&control, &request)), "denied", "{request}");
    }
    assert_eq!(code(&ALICE.ask(&control, "who")), "denied");
    assert_eq!(
        code(&ALICE.attach(&control, &force).err().unwrap()),
        "denied"
    );
    assert_eq!(host.denied("control"), 5);
    // A user sees only viewers of its own consoles, for any request.
    let who = BOB.ask(&control, "who");
    let names: Vec<_> = who["viewers"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1, "{who}");
    assert_eq!(
        (&names[0]["name"], &names[0]["uid"]),
        (&"web".into(), &1000.into())
    );
    assert_eq!(BOB.ask(&control, "message all hello")["viewers"], 1);
    assert_eq!(
        alice.frame(),
        Frame::Notice("message from user 1001: hello".into())
    );
    assert_eq!(
        code(&BOB.ask(&control, &format!("message {db} x"))),
        "denied"
    );
    assert_eq!(code(&BOB.attach(&control, &alone).err().unwrap()), "busy");
    let mut bob = BOB.attach(&control, &force).unwrap();
    assert_eq!(alice.frame(), Frame::Mode(0));
    assert_eq!(
        alice.frame(),
        Frame::Notice("user 1001 types alone now".into())
    );
    alice.type_in(b"in vain");
    // The answer shows that the daemon has read it and the input before it.
    alice.set_mode(1);
    assert_eq!(alice.frame(), Frame::Mode(0));
    bob.type_in(b"heard");
    assert_eq!(pv.receive(5), b"heard");
    // A user that may not type any more loses exclusive input.
    host.reload(
        "[[access]]\nusers = ['1000', '1001']\ndomains = ['*']\nrights = ['watch']\n\
         [[access]]\nusers = ['1000']\ndomains = ['*']\nrights = ['type']\n",
    );
    assert_eq!(alice.frame(), Frame::Mode(1));
    alice.type_in(b"again");
    assert_eq!(pv.receive(5), b"again");
}
