// SPDX-License-Identifier: MIT
//! A package mirror on loopback.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// The answer for a path.
#[derive(Clone)]
pub(crate) enum Answer {
    Whole(Vec<u8>),
    /// The full length in the header, and one byte less in the body.
    CutShort(Vec<u8>),
}

#[derive(Default)]
struct State {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

/// A server for one test.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // The client may have closed the connection.
                let _ = answer(&shared, &stream.unwrap());
            }
        });
        Self {
            address,
            state,
            thread: Some(server),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn serve(&self, path: &str, answer: Answer) {
        let mut answers = self.state.answers.lock().unwrap();
        answers.insert(format!("/{path}"), answer);
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Stops listening.
    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.thread.take() {
            self.state.stopped.store(true, Ordering::SeqCst);
            TcpStream::connect(self.address).unwrap();
            server.join().unwrap();
        }
    }

    /// Sets an index of versions of `tool`: version, path and contents.
    pub(crate) fn index(&self, packages: &[(&str, &str, &[u8])]) {
        let mut listed = String::new();
        for (version, path, contents) in packages {
            let (size, sum) = (contents.len(), digest(contents));
            writeln!(
                listed,
                "Package: tool\nVersion: {version}\nArchitecture: arm64\nMaintainer: none\n\
                 Description: none\nFilename: {path}\nSize: {size}\nSHA256: {sum}\n"
            )
            .unwrap();
        }
        let mut release = String::from(
            "Suite: oldstable\nCodename: bookworm\nArchitectures: amd64 arm64\n\
             Components: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n",
        );
        for (path, text) in [
            ("main/binary-arm64/Packages", listed.as_str()),
            ("main/binary-amd64/Packages", ""),
            ("main/source/Sources", ""),
        ] {
            let (size, sum) = (text.len(), digest(text.as_bytes()));
            writeln!(release, " {sum} {size} {path}").unwrap();
            self.serve(
                &format!("dists/bookworm/{path}"),
                Answer::Whole(text.into()),
            );
        }
        self.serve("dists/bookworm/Release", Answer::Whole(release.into()));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn answer(state: &State, mut stream: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let found = state.answers.lock().unwrap().get(&path).cloned();
    state.asked.lock().unwrap().push(path);
    let (status, length, body) = match found {
        Some(Answer::Whole(body)) => ("200 OK", body.len(), body),
        Some(Answer::CutShort(mut body)) => {
            let length = body.len();
            body.pop();
            ("200 OK", length, body)
        }
        None => ("404 Not Found", 0, Vec::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}

pub(crate) fn digest(contents: &[u8]) -> String {
    let sum = Sha256::digest(contents);
    sum.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}
