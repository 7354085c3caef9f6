// SPDX-License-Identifier: MIT
//! Hostile clients.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tungstenite::{Error, Message};
use viewers::wait_for;

use crate::client::{Web, host, member};

/// As in src/room.rs.
const EACH_MOST: usize = 128;

#[test]
fn half_sent_requests_take_no_more_than_their_places_and_time() {
    let host = host();
    let web = Web::start(&host);
    let half = |_| {
        let mut stream = web.connect();
        let _closed = stream.write_all(b"GET / HTTP/1.1\r\nhost: ");
        stream
    };
    let mut held: Vec<TcpStream> = (0..EACH_MOST).map(half).collect();
    // There is no place for one more; its connection is closed at once.
    let mut late = half(0);
    assert!(matches!(late.read(&mut [0; 64]), Ok(0) | Err(_)));
    // Those connections time out, and their places become free.
    let mut answer = Vec::new();
    let _reset = held[0].read_to_end(&mut answer);
    wait_for("a place", || {
        (web.get("/login", &[]).status == 200).then_some(())
    });
}

#[test]
fn oversized_requests_are_refused() {
    let host = host();
    let web = Web::start(&host);
    let long = "x".repeat(64 << 10);
    let head = web.get("/", &[("cookie", &long)]).status;
    assert!(head == 431 || head == 0, "{head}");
    let origin = web.origin();
    let body = web.post("/login", &[("origin", &origin)], &format!("token={long}"));
    assert!(body.status == 413 || body.status == 0, "{body:?}");
    assert_eq!(web.get("/login", &[]).status, 200);
}

#[test]
fn a_browser_that_sends_invalid_messages_is_disconnected_and_the_guest_gets_none() {
    let host = host();
    let (_, mut pv, _) = host.guest("web");
    let web = Web::start(&host);
    let cookie = web.log_in(&web.tokens[0]);
    let open = || {
        let mut terminal = web.open("c=pv0/web&mode=rw", &cookie);
        assert_eq!(member(&terminal.event(), "event"), "attached");
        terminal
    };
    for text in [
        "",
        "{}",
        r#"{"mode":"root"}"#,
        r#"{"mode":"ro","x":1}"#,
        "[[[",
    ] {
        let mut terminal = open();
        terminal.wish(text);
        let over = terminal.event();
        assert!(over.contains("not understood"), "{text}: {over}");
    }
    let mut terminal = open();
    // The connection may be closed before all of it is sent.
    let _cut_off = terminal.0.send(Message::binary(vec![b'x'; (64 << 10) + 1]));
    let end = loop {
        match terminal.0.read() {
            Ok(Message::Close(_)) | Err(_) => break terminal.0.read().err(),
            Ok(_) => {}
        }
    };
    assert!(
        matches!(
            end,
            Some(
                Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_) | Error::Protocol(_)
            )
        ),
        "{end:?}"
    );
    let mut terminal = open();
    terminal.type_in(b"fine");
    assert_eq!(pv.receive(4), b"fine");
}
