// SPDX-License-Identifier: MIT
//! What operators see of other users, and what users cannot see or use up.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use console_proto::audit::Check;

use crate::peer::{Attached, Frame, line};
use crate::support::{PATIENCE, Serial as _, wait_for};
use crate::users::{ALICE, BOB, CAROL, Host, User, WEB, code, of};

pub(crate) fn attached_users_are_reported_from_beginning_to_end() {
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

pub(crate) fn no_user_can_use_up_the_places_of_another() {
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
pub(crate) fn users_without_rights_cannot_list_domains() {
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

pub(crate) fn operators_are_users_with_the_right_control() {
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
