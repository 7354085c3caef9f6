// SPDX-License-Identifier: MIT
//! A terminal in a browser: a `WebSocket` on one side, an attached connection on
//! the other.
//!
//! Binary messages are output and input. Text messages are JSON: from here an
//! [`Event`], from the browser what [`browser`](console_proto::browser) parses.
//! When the daemon ends, the `WebSocket` is closed; the browser reconnects with its
//! position.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use console_proto::browser::Message as Said;
use console_proto::frame::{Decoder, Frame};
use console_proto::{Attached, Mode};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{interval, sleep_until, timeout};

use crate::daemon::Trouble;
use crate::sessions::Ended;

/// Longest message of a browser.
pub(crate) const MESSAGE_MAX: usize = 64 << 10;
/// The timeout for a message to a browser.
const SLOW: Duration = Duration::from_secs(30);
/// The interval of pings, and how long a browser may stay silent.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// How much is read from the daemon at once.
const CHUNK: usize = 16 << 10;

/// An event for the browser.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event<'a> {
    /// The console is attached; output follows.
    Attached(&'a Attached),
    /// This many bytes are missing here.
    Lost { bytes: u64 },
    /// Whether input reaches the guest from now on.
    Mode { mode: Mode },
    /// A message of an operator or the daemon, without control characters.
    Notice { text: &'a str },
    /// The terminal has ended, and whether to reconnect.
    Over { why: String, again: bool },
}

/// How long a terminal may last.
pub(crate) struct Term {
    pub(crate) until: Instant,
    pub(crate) ended: Option<Ended>,
}

/// Why a terminal has ended.
enum End {
    /// The browser has left, is too slow, or sent invalid data.
    Left,
    /// The browser gets the reason.
    Over { why: String, again: bool },
}

impl End {
    fn over(why: &str, again: bool) -> Self {
        Self::Over {
            why: why.to_owned(),
            again,
        }
    }
}

/// Sends the browser the reason why there is no console.
pub(crate) async fn refuse(mut browser: WebSocket, trouble: &Trouble) {
    let (why, again) = (trouble.to_string(), trouble.may_pass());
    finish(&mut browser, End::Over { why, again }).await;
}

/// Connects both until one of them ends.
pub(crate) async fn join(
    mut browser: WebSocket,
    attached: &Attached,
    console: UnixStream,
    term: Term,
) {
    let end = match tell(&mut browser, &Event::Attached(attached)).await {
        Ok(()) => run(&mut browser, console, term).await.err(),
        Err(end) => Some(end),
    };
    finish(&mut browser, end.unwrap_or(End::Left)).await;
}

async fn finish(browser: &mut WebSocket, end: End) {
    if let End::Over { why, again } = end {
        let _gone = tell(browser, &Event::Over { why, again }).await;
    }
    let _gone = timeout(SLOW, browser.send(Message::Close(None))).await;
    // Closing a socket with unread data resets it, and the browser may lose the
    // last message; so this waits for the browser's own close (RFC 6455, 7.1.1).
    let closed = async { while let Some(Ok(_)) = browser.recv().await {} };
    let _gone = timeout(SLOW, closed).await;
}

async fn run(browser: &mut WebSocket, console: UnixStream, mut term: Term) -> Result<(), End> {
    let (mut output, mut input) = console.into_split();
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; CHUNK];
    // Input that the daemon has not taken yet; meanwhile nothing more is read.
    let mut typed = Vec::new();
    let mut heard = Instant::now();
    let mut ping = interval(PING);
    loop {
        tokio::select! {
            read = output.read(&mut chunk) => match read {
                Ok(length @ 1..) => {
                    let frames = decoder.push(&chunk[..length]);
                    let frames = frames.map_err(|why| End::Over { why, again: false })?;
                    for frame in frames {
                        show(browser, frame).await?;
                    }
                }
                Ok(_) | Err(_) => return Err(End::over("daemon", true)),
            },
            message = browser.recv(), if typed.is_empty() => {
                heard = Instant::now();
                typed = wanted(message.as_ref())?;
            }
            written = input.write(&typed), if !typed.is_empty() => match written {
                Ok(length @ 1..) => {
                    typed.drain(..length);
                    heard = Instant::now();
                }
                // What the daemon sent before it ended is still to be read.
                Ok(_) | Err(_) => typed.clear(),
            },
            _ = ping.tick() => {
                if typed.is_empty() && heard.elapsed() > SILENCE {
                    return Err(End::Left);
                }
                send(browser, Message::Ping(Bytes::new())).await?;
            }
            () = ended(&mut term.ended) => return Err(End::over("session", false)),
            () = sleep_until(term.until.into()) => return Err(End::over("session", false)),
        }
    }
}

async fn ended(session: &mut Option<Ended>) {
    match session {
        Some(session) => while session.changed().await.is_ok() {},
        None => std::future::pending().await,
    }
}

/// Frames for the daemon, from a browser's message.
fn wanted(message: Option<&Result<Message, axum::Error>>) -> Result<Vec<u8>, End> {
    let frames = match message {
        Some(Ok(Message::Binary(typed))) => Said::Typed(typed).frames(),
        Some(Ok(Message::Text(text))) => Said::Wish(text).frames(),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(Vec::new()),
        Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Left),
    };
    frames.map_err(|why| End::over(&why, false))
}

async fn show(browser: &mut WebSocket, frame: Frame) -> Result<(), End> {
    match frame {
        Frame::Data(bytes) => send(browser, Message::Binary(bytes.into())).await,
        Frame::Lost(bytes) => tell(browser, &Event::Lost { bytes }).await,
        Frame::Mode(mode) => tell(browser, &Event::Mode { mode }).await,
        Frame::Notice(text) => tell(browser, &Event::Notice { text: &text }).await,
        Frame::Ended(why) => {
            let again = why != "denied";
            Err(End::Over { why, again })
        }
    }
}

async fn tell(browser: &mut WebSocket, event: &Event<'_>) -> Result<(), End> {
    let text = serde_json::to_string(event).map_err(|_| End::Left)?;
    send(browser, Message::Text(text.into())).await
}

async fn send(browser: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(SLOW, browser.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Left),
    }
}
