// SPDX-License-Identifier: MIT
//! The browser's side of vconsole-web: logging in with a token, and a terminal's
//! `WebSocket`, used as the page's script uses it. dom0 has no browser.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command;
use crate::shell::PROMPT;
use crate::websocket::{Message, WebSocket};

/// The default address of vconsole-web.
pub(crate) const ADDRESS: &str = "127.0.0.1:7433";
const ORIGIN: &str = "http://127.0.0.1:7433";
/// How long to wait for one message.
const SOON: Duration = Duration::from_secs(2);
/// The limit from one state to the next, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A logged-in session, by its cookie.
#[derive(Clone)]
pub(crate) struct Session(String);

/// The output's stream, and the position of the next byte.
type Place = (String, u64);

impl Session {
    /// Logs in with a token.
    pub(crate) fn begin(token: &str) -> Result<Self> {
        let body = format!("token={token}");
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: {ADDRESS}\r\norigin: {ORIGIN}\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(ADDRESS)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let mut lines = answer.lines();
        let Some(cookie) = lines.find_map(|line| line.strip_prefix("set-cookie: ")) else {
            bail!("{}", answer.lines().next().unwrap_or_default());
        };
        let (cookie, _) = cookie.split_once(';').context("a bare cookie")?;
        Ok(Self(cookie.to_owned()))
    }

    /// Opens the terminal of a guest's UART as soon as it exists.
    pub(crate) fn open(&self, guest: &str) -> Result<Page> {
        let (socket, place) = self.attach_soon(guest, None)?;
        Ok(Page {
            session: self.clone(),
            guest: guest.to_owned(),
            socket,
            place,
            shown: Vec::new(),
            looked: 0,
            connections: 1,
            streams: 1,
            lost: 0,
        })
    }

    /// Tries to attach until it succeeds.
    fn attach_soon(&self, guest: &str, place: Option<&Place>) -> Result<(WebSocket, Place)> {
        let mut result = Err(anyhow::anyhow!("not tried"));
        command::poll(PATIENCE, || {
            result = self.attach(guest, place);
            result.is_ok()
        });
        result
    }

    /// Attaches to a guest's UART, at a position in its output if one is given.
    pub(crate) fn attach(&self, guest: &str, place: Option<&Place>) -> Result<(WebSocket, Place)> {
        let mut path = format!("/ws?c=vuart0/{guest}&mode=rw");
        if let Some((stream, from)) = place {
            path = format!("{path}&stream={stream}&from={from}");
        }
        let headers = format!(
            "host: {ADDRESS}\r\norigin: {ORIGIN}\r\ncookie: {}\r\n",
            self.0
        );
        let stream = TcpStream::connect(ADDRESS)?;
        let mut socket = WebSocket::open(stream, &path, &headers, PATIENCE)?;
        let Some(Message::Text(text)) = socket.read()? else {
            bail!("the first message is no event");
        };
        let event: Value = serde_json::from_slice(&text)?;
        if event["event"] != "attached" {
            bail!("{event}");
        }
        let stream = event["stream"].as_str().context("no stream")?.to_owned();
        let position = event["position"].as_u64().context("no position")?;
        socket.wait_at_most(SOON)?;
        Ok((socket, (stream, position)))
    }
}

/// A terminal's page: its output and its position.
pub(crate) struct Page {
    session: Session,
    guest: String,
    socket: WebSocket,
    place: Place,
    pub(crate) shown: Vec<u8>,
    /// The end of the text that was searched.
    looked: usize,
    pub(crate) connections: usize,
    /// How many streams of output there were.
    pub(crate) streams: usize,
    pub(crate) lost: u64,
}

impl Page {
    pub(crate) fn type_in(&mut self, text: &str) -> Result<()> {
        self.socket.send(text.as_bytes())
    }

    /// Waits until a text is shown after the text found before.
    pub(crate) fn expect(&mut self, text: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let fresh = &self.shown[self.looked..];
            let mut places = fresh.windows(text.len());
            if let Some(at) = places.position(|place| place == text.as_bytes()) {
                self.looked += at + text.len();
                return Ok(());
            }
            if Instant::now() > end {
                bail!("no {text:?} in {:?}", String::from_utf8_lossy(fresh));
            }
            self.look()?;
        }
    }

    /// Waits until the page shows another stream than before.
    pub(crate) fn another_stream(&mut self, limit: Duration) -> Result<()> {
        let (before, end) = (self.streams, Instant::now() + limit);
        while self.streams == before {
            if Instant::now() > end {
                bail!("still the same stream, by connection {}", self.connections);
            }
            self.look()?;
        }
        Ok(())
    }

    /// Presses return until a prompt is shown.
    pub(crate) fn shell(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            // If the connection has ended, the next read makes another.
            let _over = self.type_in("\r");
            match self.expect(PROMPT, SOON) {
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }

    /// Receives the next message; attaches again if the connection has ended.
    fn look(&mut self) -> Result<()> {
        match self.socket.read() {
            Ok(Some(Message::Binary(bytes))) => {
                self.place.1 += bytes.len() as u64;
                self.shown.extend_from_slice(&bytes);
            }
            Ok(Some(Message::Text(text))) => self.handle(&text)?,
            Ok(None) => {}
            Err(_) => self.attach_again()?,
        }
        Ok(())
    }

    fn handle(&mut self, text: &[u8]) -> Result<()> {
        let event: Value = serde_json::from_slice(text)?;
        if event["event"] == "lost" {
            let lost = event["bytes"].as_u64().context("the number of bytes")?;
            self.lost += lost;
            self.place.1 += lost;
        } else if event["event"] == "over" && event["again"] != true {
            bail!("over: {event}");
        }
        Ok(())
    }

    fn attach_again(&mut self) -> Result<()> {
        let (socket, place) = self.session.attach_soon(&self.guest, Some(&self.place))?;
        self.connections += 1;
        if place.0 != self.place.0 {
            self.streams += 1;
            self.looked = self.shown.len();
        }
        (self.socket, self.place) = (socket, place);
        Ok(())
    }
}
