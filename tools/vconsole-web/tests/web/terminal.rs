// SPDX-License-Identifier: MIT
//! Terminals, and pages with guests' output.

use std::time::Duration;

use tungstenite::{Error, Message};
use viewers::{noise, wait_for};

use crate::client::{Web, host, member};

#[test]
fn a_viewer_with_the_right_types_and_all_viewers_get_it() {
    let host = host();
    let (_, mut pv, _) = host.guest("web");
    let web = Web::start(&host);
    let [alice, bob] = web.tokens.each_ref().map(|token| web.log_in(token));
    pv.send(b"before ");
    let mut typing = web.open("c=pv0/web&mode=rw", &alice);
    assert_eq!(member(&typing.event(), "mode"), "rw");
    assert_eq!(typing.read(7), b"before ");
    // Without the rights `log` and `type`, only new output is shown, and input is
    // ignored.
    let mut watching = web.open("c=pv0/web&mode=rw", &bob);
    assert_eq!(member(&watching.event(), "mode"), "ro");
    watching.type_in(b"x");
    typing.type_in(b"a");
    assert_eq!(pv.receive(1), b"a");
    // The read-only switch applies to input after it.
    typing.wish(r#"{"mode":"ro"}"#);
    assert_eq!(member(&typing.event(), "mode"), "ro");
    typing.type_in(b"y");
    typing.wish(r#"{"mode":"rw"}"#);
    assert_eq!(member(&typing.event(), "mode"), "rw");
    typing.type_in(b"b");
    assert_eq!(pv.receive(1), b"b");
    let sent = noise(200_000);
    pv.send(&sent);
    assert!(typing.read(sent.len()) == sent);
    assert!(watching.read(sent.len()) == sent);
}

#[test]
fn a_terminal_continues_to_the_byte_after_a_restart() {
    let mut host = host();
    let (_, mut pv, _) = host.guest("web");
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[0]);
    let sent = noise(3000);
    let mut first = web.open("c=pv0/web&mode=rw", &cookie);
    let attached = first.event();
    pv.send(&sent[..2000]);
    assert!(first.read(2000) == sent[..2000]);
    host.stop_daemon();
    let over = first.event();
    assert_eq!(
        (member(&over, "event"), member(&over, "again")),
        ("over", "true")
    );
    let page = web.get("/", &[("cookie", &cookie)]);
    assert!(
        page.status == 503 && page.body.contains("does not answer"),
        "{page:?}"
    );
    let stream = member(&attached, "stream");
    let from = member(&attached, "position").parse::<usize>().unwrap() + 2000;
    let query = format!("c=pv0/web&mode=rw&stream={stream}&from={from}");
    let mut waiting = web.open(&query, &cookie);
    assert_eq!(member(&waiting.event(), "again"), "true");
    pv.send(&sent[2000..]);
    host.start_daemon();
    wait_for("the console", || {
        let consoles = host.consoles();
        let mut consoles = consoles.iter().filter(|one| one["console"] == "pv0");
        consoles.find(|one| one["state"] == "connected").map(drop)
    });
    let mut again = web.open(&query, &cookie);
    let event = again.event();
    assert_eq!(member(&event, "stream"), stream);
    assert_eq!(member(&event, "position"), from.to_string());
    assert!(again.read(1000) == sent[2000..]);
}

#[test]
fn a_refused_browser_that_still_types_gets_the_reason() {
    let host = host();
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[0]);
    let mut refused = web.open("c=pv0/nobody&mode=rw", &cookie);
    for _ in 0..10 {
        refused.type_in(b"typed on");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(member(&refused.event(), "event"), "over");
    assert!(matches!(refused.0.read(), Ok(Message::Close(_))));
    let closed = refused.0.read();
    assert!(matches!(closed, Err(Error::ConnectionClosed)), "{closed:?}");
}

#[test]
fn output_of_guests_is_text_on_every_page() {
    let host = host();
    let name = "<script>alert(1)</script>";
    let (domid, mut pv, _) = host.guest(name);
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[0]);
    let with = [("cookie", cookie.as_str())];
    let sent = b"\x1b]0;<script>alert(2)</script>\x07<script>alert(3)</script>\x1b[31m&\r\nlast";
    pv.send(sent);
    let encoded = "pv0/%3Cscript%3Ealert%281%29%3C/script%3E";
    let mut terminal = web.open(&format!("c={encoded}&mode=ro"), &cookie);
    assert_eq!(member(&terminal.event(), "event"), "attached");
    assert_eq!(terminal.read(sent.len()), sent);
    let text = web.get(&format!("/text?c={encoded}"), &with);
    let list = web.get("/", &with);
    let view = web.get(&format!("/view?c={encoded}"), &with);
    for page in [&list, &view, &text] {
        assert_eq!(page.status, 200, "{page:?}");
        assert!(!page.body.contains("<script>"), "{page:?}");
        assert!(page.body.contains("&lt;script&gt;alert(1)"), "{page:?}");
    }
    assert!(
        list.body.contains(&format!("/view?c={encoded}\"")),
        "{list:?}"
    );
    let said = "&lt;script&gt;alert(3)&lt;/script&gt;&amp;\nlast</pre>";
    assert!(text.body.contains(said), "{text:?}");
    let ask = web.get(&format!("/break?c={domid}/%22%3E%3Cscript%3E"), &with);
    assert!(ask.body.contains("&quot;&gt;&lt;script&gt;"), "{ask:?}");
}

#[test]
fn a_refused_tenant_gets_a_message() {
    let host = host();
    let _guests = ["web", "db"].map(|name| host.guest(name));
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[1]);
    let (origin, with) = (web.origin(), ("cookie", cookie.as_str()));
    let list = web.get("/", &[with]);
    assert!(!list.body.contains("/break"), "{list:?}");
    let body = format!("c=1/vuart0&form={}", list.form());
    let refused = web.post("/break", &[with, ("origin", &origin)], &body);
    assert!(
        refused.status == 403 && refused.body.contains("no break"),
        "{refused:?}"
    );
    let text = web.get("/text?c=pv0/db", &[with]);
    assert!(
        text.status == 403 && text.body.contains("may not watch"),
        "{text:?}"
    );
    let over = web.open("c=pv0/db&mode=ro", &cookie).event();
    assert_eq!(
        (member(&over, "event"), member(&over, "again")),
        ("over", "false")
    );
    for (path, status) in [
        ("/view", 400),
        ("/view?c=pv0", 400),
        ("/view?c=/web", 400),
        ("/view?c=pv0/web&c=vuart0/web", 200),
        ("/replay", 200),
        ("/text", 400),
        ("/text?c=pv0/a%0Ab", 400),
        ("/assets/../main.rs", 404),
        ("/assets/xterm.js", 404),
    ] {
        assert_eq!(web.get(path, &[with]).status, status, "{path}");
    }
}
