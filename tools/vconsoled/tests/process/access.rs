// SPDX-License-Identifier: MIT
//! Rights by rules: what each user sees, reads and types, and when that ends.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use xen_io::DomId;

use crate::Process;
use crate::peer::{Attached, Frame};
use crate::support::{Serial as _, wait_for};
use crate::users::{ALICE, BOB, CAROL, Host, User, WEB, code, ended, of};

pub(crate) fn each_user_has_exactly_the_rights_of_the_rules() {
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

pub(crate) fn a_console_s_own_sockets_follow_the_same_rules() {
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

pub(crate) fn a_renamed_domain_keeps_no_viewer_without_rights() {
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

pub(crate) fn no_viewer_continues_on_another_domain_of_that_number() {
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

pub(crate) fn a_reload_ends_sessions_and_input_without_a_right() {
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
