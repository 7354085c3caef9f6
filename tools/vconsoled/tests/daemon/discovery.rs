// SPDX-License-Identifier: MIT
//! A failing connection to xenstore, and requests before the first reports.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::*;
use vconsoled::Config;
use xen_io::DomId;
use xen_io::fake::Machine;
use xen_io::xenstore::Client;

/// An earlier guest is removed, and a new one is served.
fn is_followed(machine: &Machine, before: DomId) {
    machine.destroy(before).unwrap();
    wait_for("the page of the one that went", || {
        (machine.mapped_pages(before) == 0).then_some(())
    });
    let (domid, mut pv, _uart) = guest(machine, "later");
    let mut viewer = Viewer::open(machine, domid, PV);
    pv.send(b"said");
    assert_eq!(viewer.read(4), b"said");
}

#[test]
fn a_connection_that_is_closed_is_replaced() {
    let machine = Machine::new();
    let (domid, ..) = guest(&machine, "before");
    let stream = machine.store().connect(DomId::DOM0).unwrap();
    let cut = stream.try_clone().unwrap();
    let mut platform = machine.platform().unwrap();
    platform.store = Client::from_stream(stream).unwrap();
    let heard = Heard::default();
    let _daemon = Daemon::start_on(platform, Config::default(), &heard);
    cut.shutdown(Shutdown::Both).unwrap();
    wait_for("another one", || heard.lines("connected again").pop());
    is_followed(&machine, domid);
}

#[test]
fn an_answer_that_is_late_costs_nothing_even_if_there_is_no_other_connection() {
    let machine = Machine::new();
    let (domid, ..) = guest(&machine, "before");
    let mut platform = machine.platform().unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    platform.reopen_store = Box::new(move || {
        count.fetch_add(1, Ordering::AcqRel);
        Err(ErrorKind::PermissionDenied.into())
    });
    let heard = Heard::default();
    let _daemon = Daemon::start_on(platform, Config::default(), &heard);
    let (second, ..) = guest(&machine, "second");
    // The current request times out after ten seconds.
    let stopped = machine.store().stop();
    stopped.tell_of_domains();
    wait_for("the complaint", || heard.lines("connecting again").pop());
    wait_for("a try in vain", || {
        (tries.load(Ordering::Acquire) > 0).then_some(())
    });
    drop(stopped);
    wait_for("another try", || heard.lines("connected again").pop());
    is_followed(&machine, domid);
    is_followed(&machine, second);
}

/// How long the first request waits while xenstored is stopped: longer than a
/// busy machine takes to answer the others.
const FIRST_LOOK: Duration = Duration::from_secs(6);

const ATTACH: &str = r#"{"version":1,"attach":{"domid":1,"console":"pv0"}}"#;

/// Sends a request, and returns the stream for the answer.
fn question(socket: &Path, request: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads the line of the answer.
fn answer(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_request_is_answered_when_the_domains_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let _guest = guest(&machine, "guest");
    let (config, socket) = with_control(&dir);
    let platform = machine.platform().unwrap();
    let stopped = machine.store().stop();
    let heard = Heard::default();
    let (_daemon, ready) = Daemon::begin_patient(platform, config, &heard, PATIENCE);
    let asked = [ATTACH, "status", "break 1/vuart0"].map(|request| question(&socket, request));
    drop(stopped);
    let [attached, listed, broken] = asked.map(|stream| answer(&stream));
    assert!(
        attached.contains(r#""domid":1,"name":"guest""#),
        "{attached}"
    );
    assert_eq!(listed.matches(r#""domid":1"#).count(), 2, "{listed}");
    assert_eq!(broken, "{\"done\":\"break\"}\n");
    ready.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn while_xenstore_does_not_answer_no_domain_is_reported_missing() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let _guest = guest(&machine, "guest");
    let (config, socket) = with_control(&dir);
    let platform = machine.platform().unwrap();
    let stopped = machine.store().stop();
    let heard = Heard::default();
    let (daemon, _) = Daemon::begin_patient(platform, config, &heard, FIRST_LOOK);
    // The first request waits for xenstore up to the limit; the next ones do not.
    for (request, waits) in [(ATTACH, true), ("break 1/vuart0", false), ("status", false)] {
        let began = Instant::now();
        let answer = answer(&question(&socket, request));
        let took = began.elapsed();
        assert!(waits || took < FIRST_LOOK, "{request}: {took:?}");
        assert!(answer.contains("xenstore does not answer"), "{answer}");
        assert!(!answer.contains("no-domain"), "{answer}");
    }
    let by_name = ATTACH.replace("\"domid\":1", "\"name\":\"guest\"");
    let refused = answer(&question(&socket, &by_name));
    assert!(refused.contains(r#""code":"not-known""#), "{refused}");
    drop(stopped);
    let known = wait_for("the domain", || {
        let answer = answer(&question(&socket, ATTACH));
        (!answer.contains("not-known")).then_some(answer)
    });
    assert!(known.contains(r#""name":"guest""#), "{known}");
    wait_for("the whole list", || {
        (!ask(&socket, "status").contains("xenstore")).then_some(())
    });
    drop(daemon);
}

#[test]
fn a_domain_made_while_xenstore_was_lost_is_unknown_and_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let _guest = guest(&machine, "guest");
    let (config, socket) = with_control(&dir);
    let stream = machine.store().connect(DomId::DOM0).unwrap();
    let cut = stream.try_clone().unwrap();
    let mut platform = machine.platform().unwrap();
    platform.store = Client::from_stream(stream).unwrap();
    let mut again = platform.reopen_store;
    let (tell, may) = std::sync::mpsc::channel::<()>();
    platform.reopen_store = Box::new(move || match may.try_recv() {
        Ok(()) => again(),
        Err(_) => Err(ErrorKind::ConnectionRefused.into()),
    });
    let heard = Heard::default();
    let _daemon = Daemon::start_on(platform, config, &heard);
    cut.shutdown(Shutdown::Both).unwrap();
    wait_for("the loss", || heard.lines("connecting again").pop());
    let _later = guest(&machine, "later");
    let second = ATTACH.replace("\"domid\":1", "\"domid\":2");
    let unknown = || answer(&question(&socket, &second));
    wait_for("the doubt", || {
        unknown().contains("not-known").then_some(())
    });
    // Known domains are served as before.
    assert!(answer(&question(&socket, ATTACH)).contains(r#""name":"guest""#));
    tell.send(()).unwrap();
    wait_for("the other one", || {
        unknown().contains(r#""name":"later""#).then_some(())
    });
    let third = ATTACH.replace("\"domid\":1", "\"domid\":3");
    wait_for("certainty", || {
        answer(&question(&socket, &third))
            .contains("no-domain")
            .then_some(())
    });
}
