// SPDX-License-Identifier: MIT
//! The metrics socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::support::*;
use tracing_subscriber::filter::LevelFilter;
use vconsoled::config::{SocketMode, Sockets};
use vconsoled::{Config, Server};
use xen_io::fake::Machine;

fn config(dir: &tempfile::TempDir) -> (Config, PathBuf) {
    let path = dir.path().join("run/metrics.sock");
    let config = Config {
        sockets: Sockets {
            metrics: Some(path.clone()),
            ..Sockets::default()
        },
        ..Config::default()
    };
    (config, path)
}

fn ask(path: &Path, request: &[u8]) -> String {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(request).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn counters_have_the_format_of_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    let (config, path) = config(&dir);
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, config);
    pv.send(b"four");
    Viewer::open(&machine, domid, PV).read(4);

    let answer = ask(&path, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (header, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(header.starts_with("HTTP/1.0 200 OK\r\n"), "{header}");
    let length = format!("Content-Length: {}", text.len());
    assert!(header.contains("text/plain; version=0.0.4") && header.contains(&length));
    let line = "vconsoled_console_bytes_total\
        {domid=\"1\",domain=\"web\",console=\"pv0\",direction=\"out\"} 4\n";
    assert!(text.contains(line), "{text}");

    assert!(ask(&path, b"\n").contains(line), "the bare text");
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut bare = String::new();
    socket.read_to_string(&mut bare).unwrap();
    assert!(bare.starts_with("# HELP vconsoled_console_up"));
    assert!(ask(&path, b"GET /x HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
    assert!(ask(&path, b"PUT / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 405 "));
    daemon.stop().unwrap();
    assert!(!path.exists());
}

#[test]
fn the_socket_withstands_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let (config, path) = config(&dir);
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "web");
    let _daemon = Daemon::start(&machine, config);
    let _idle: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(&path).unwrap())
        .collect();
    // Clients that send requests and never read.
    let _deaf: Vec<_> = (0..40)
        .map(|_| {
            let mut socket = UnixStream::connect(&path).unwrap();
            let _closed = socket.write_all(b"\n\n\n\n");
            socket
        })
        .collect();
    let mut endless = UnixStream::connect(&path).unwrap();
    let flood = b"GET / HTTP/1.0\r\nX: ".repeat(200_000);
    assert!(endless.write_all(&flood).is_err(), "it is cut off");
    pv.send(b"served");
    assert!(ask(&path, b"\n").contains("direction=\"out\"} 6\n"));
}

#[test]
fn the_socket_has_the_configured_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let (mut config, path) = config(&dir);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let machine = Machine::new();
    let daemon = Daemon::start(&machine, config.clone());
    assert_eq!(mode(&path), 0o600);
    daemon.stop().unwrap();
    config.sockets.metrics_mode = SocketMode(0o666);
    let daemon = Daemon::start(&machine, config.clone());
    assert_eq!(mode(&path), 0o666);
    daemon.stop().unwrap();

    config.sockets.group = Some("nonesuch".to_owned());
    let refused = vconsoled::Server::new(machine.platform().unwrap(), config);
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("nonesuch"), "{error}");
}

#[test]
fn a_port_serves_the_same_and_withstands_its_clients() {
    let dir = tempfile::tempdir().unwrap();
    let (config, path) = config(&dir);
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "web");
    let (_daemon, ready) = Daemon::begin_made(&Heard::default(), LevelFilter::WARN, || {
        let server = Server::new(machine.platform().unwrap(), config).unwrap();
        server.with_metrics_port(port).unwrap()
    });
    ready.recv_timeout(PATIENCE).expect("the daemon serves");
    pv.send(b"four");
    let connect = || {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let get = |request: &[u8]| {
        let mut socket = connect();
        socket.write_all(request).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    };
    let line = "{domid=\"1\",domain=\"web\",console=\"pv0\",direction=\"out\"} 4\n";
    let full = || get(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for("the counter", || full().contains(line).then_some(()));
    assert!(full().starts_with("HTTP/1.0 200 OK\r\n"));
    assert!(ask(&path, b"\n").contains(line), "the socket does too");
    assert!(get(b"POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.0 405 "));
    // Partial requests, and complete ones whose answers are not read.
    let _half: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = connect();
            socket.write_all(b"GET /metrics HT").unwrap();
            socket
        })
        .collect();
    let _deaf: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = connect();
            socket.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            socket
        })
        .collect();
    let mut endless = connect();
    let flood = b"GET / HTTP/1.0\r\nX: ".repeat(200_000);
    let mut answer = Vec::new();
    let sent = endless.write_all(&flood);
    let cut = sent.and_then(|()| endless.read_to_end(&mut answer));
    let waits = cut.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(answer.is_empty() && !waits, "it is cut off");
    assert!(full().contains(line));
    pv.send(b"more");
    wait_for("the guest to be served", || {
        full().contains(&line.replace("} 4", "} 8")).then_some(())
    });
}

/// The files for Prometheus and Grafana.
const RULES: &str = include_str!("../../packaging/monitoring/vconsoled.rules.yml");
const DASHBOARD: &str = include_str!("../../packaging/monitoring/vconsoled.dashboard.json");

/// The names of metrics in a text.
fn names(text: &str) -> std::collections::BTreeSet<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter: char| !is_part(letter));
    let prefixes = ["vconsoled_", "process_"];
    words
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
        .collect()
}

#[test]
fn alerts_and_dashboard_name_existing_counters() {
    let dir = tempfile::tempdir().unwrap();
    let (config, path) = config(&dir);
    let machine = Machine::new();
    let _guest = guest(&machine, "web");
    let _daemon = Daemon::start(&machine, config);
    let text = ask(&path, b"\n");
    let mut there = names(&text);
    // Only a confined daemon has it, such as an installed one.
    there.insert("vconsoled_confined");
    let expressions = RULES
        .lines()
        .filter(|line| line.trim().starts_with("expr: "));
    let rules = expressions.collect::<Vec<_>>().join("\n");
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut left = vec![&dashboard];
    let mut shown = String::new();
    while let Some(value) = left.pop() {
        left.extend(
            value
                .as_object()
                .into_iter()
                .flat_map(|members| members.values()),
        );
        left.extend(value.as_array().into_iter().flatten());
        if let Some(expression) = value.get("expr").or(value.get("query")) {
            shown += expression.as_str().unwrap_or_default();
            shown.push('\n');
        }
    }
    for (what, text) in [("alerts", &rules), ("dashboard", &shown)] {
        let missing: Vec<_> = names(text).difference(&there).copied().collect();
        assert_eq!(missing, Vec::<&str>::new(), "{what}");
        assert!(names(text).len() > 5, "{what}: {text}");
    }
}

/// With Prometheus' own tool, if it is installed.
#[test]
#[ignore = "promtool is not part of what the checks install"]
fn promtool_accepts_the_alerts() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/packaging/monitoring/vconsoled.rules.yml"
    );
    let checked = std::process::Command::new("promtool")
        .args(["check", "rules", file])
        .output();
    let checked = checked.expect("promtool");
    assert!(checked.status.success(), "{checked:?}");
}
