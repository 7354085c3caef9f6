// SPDX-License-Identifier: MIT
//! Login, and the end of a session.

use std::os::unix::net::UnixStream;

use viewers::PATIENCE;

use crate::client::{Answer, Web, ask, host, member};

#[test]
fn a_session_shows_what_its_tenant_may_see_until_it_is_ended() {
    let host = host();
    let _guests = ["web", "db"].map(|name| host.guest(name));
    let web = Web::start(&host);
    let origin = web.origin();
    let ours = ("origin", origin.as_str());
    assert_eq!(web.get("/", &[]).header("location"), Some("/login"));
    let wrong = web.post("/login", &[ours], "token=0123");
    assert_eq!(wrong.status, 403, "{wrong:?}");
    let right = web.post("/login", &[ours], &format!("token={}", web.tokens[0]));
    let cookie = right.header("set-cookie").unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    let cookie = web.log_in(&web.tokens[0]);
    let with = ("cookie", cookie.as_str());
    let list = web.get("/", &[with]);
    assert!(list.body.contains("/view?c=vuart0/web\""), "{list:?}");
    assert!(!list.body.contains("/db\""), "{list:?}");
    let mut terminal = web.open("c=pv0/web&mode=ro", &cookie);
    assert_eq!(member(&terminal.event(), "event"), "attached");
    let other = web.log_in(&web.tokens[0]);
    // Without a token, with that of another session, and finally with its own.
    let foreign = web.get("/", &[("cookie", &other)]);
    for form in ["", foreign.form()] {
        let denied = web.post("/logout", &[with, ours], &format!("form={form}"));
        assert_eq!(denied.status, 403, "{denied:?}");
    }
    let done = web.post("/logout", &[with, ours], &format!("form={}", list.form()));
    assert_eq!(done.status, 303, "{done:?}");
    // The terminal ends too, and a copy of the cookie is invalid.
    let over = terminal.event();
    assert_eq!(
        (member(&over, "event"), member(&over, "why")),
        ("over", "session")
    );
    assert_eq!(web.get("/", &[with]).header("location"), Some("/login"));
    assert_eq!(web.get("/", &[("cookie", &other)]).status, 200);
}

#[test]
fn tries_to_guess_a_token_run_out() {
    let host = host();
    let web = Web::start(&host);
    let origin = web.origin();
    let log_in = |token: &str| {
        let body = format!("token={token}");
        web.post("/login", &[("origin", &origin)], &body).status
    };
    let tries: Vec<u16> = (0..6).map(|_| log_in("guess")).collect();
    assert_eq!(tries, [403, 403, 403, 403, 403, 429]);
    assert_eq!(log_in(&web.tokens[0]), 429, "the right one waits too");
}

#[test]
fn requests_of_other_pages_are_refused() {
    let host = host();
    let _guest = host.guest("web");
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[0]);
    let with = ("cookie", cookie.as_str());
    let form = web.get("/", &[with]).form().to_owned();
    let body = format!("token={}", web.tokens[0]);
    let send_break = format!("c=1/vuart0&form={form}");
    let ours = web.origin();
    for origin in [Some("https://evil.example"), Some("null"), None] {
        let origin = origin.map(|origin| ("origin", origin));
        let headers: Vec<_> = origin.into_iter().chain([with]).collect();
        assert_eq!(
            web.post("/login", &headers, &body).status,
            403,
            "{origin:?}"
        );
        assert_eq!(
            web.post("/break", &headers, &send_break).status,
            403,
            "{origin:?}"
        );
        let refused = web.try_open("c=pv0/web&mode=rw", &headers).err();
        assert_eq!(refused, Some(403), "{origin:?}");
    }
    let headers = [("origin", ours.as_str()), with];
    assert_eq!(
        web.post("/break", &headers, "c=1/vuart0&form=0").status,
        403
    );
    let sent = web.post("/break", &headers, &send_break);
    assert_eq!(sent.status, 200, "{sent:?}");
}

#[test]
fn every_answer_forbids_what_its_page_does_not_need() {
    let host = host();
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[0]);
    let with = [("cookie", cookie.as_str())];
    for path in [
        "/",
        "/login",
        "/nonesuch",
        "/assets/page.css",
        "/view?c=pv0/web",
        "/replay",
        "/ws",
    ] {
        let answer = web.get(path, &with);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; "),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let inline = policy.contains("unsafe-inline");
        let has_terminals = path.starts_with("/view") || path == "/replay";
        assert_eq!(inline, has_terminals, "{path}: {policy}");
        let connects = policy.contains("connect-src 'self';");
        assert_eq!(connects, path != "/replay", "{path}: {policy}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("same-origin"),
            "{path}"
        );
    }
}

#[test]
fn the_proxy_s_header_counts_at_its_socket_alone() {
    let host = host();
    let _guest = host.guest("web");
    let socket = host.dir.path().join("web.sock");
    let path = socket.to_str().unwrap();
    let by_proxy = |headers: &[(&str, &str)]| -> Answer {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        ask(stream, "web", "GET", "/", headers, None)
    };
    let alice = ("x-remote-user", "alice");
    let web = Web::with(&host, &["--proxy-socket", path], "");
    assert_eq!(web.address, format!("unix:{path}"));
    assert!(by_proxy(&[alice]).body.contains("/view?c=pv0/web\""));
    assert_eq!(by_proxy(&[]).status, 401);
    assert_eq!(by_proxy(&[alice, alice]).status, 401);
    drop(web);
    // A peer that is not the proxy.
    let web = Web::with(
        &host,
        &["--proxy-socket", path, "--proxy-user", "12345"],
        "",
    );
    assert_eq!(by_proxy(&[alice]).status, 0);
    drop(web);
    let web = Web::start(&host);
    assert_eq!(web.get("/", &[alice]).header("location"), Some("/login"));
}
