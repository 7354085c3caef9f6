// SPDX-License-Identifier: MIT
//! Any input from browsers to vconsole-web: the daemon gets only the lines and
//! frames that were intended, and pages get no markup.

use arbitrary::Arbitrary;
use console_proto::browser::{self, Console, Message};
use console_proto::{Attach, Domain, Mode, Request, Resume, Tenant};

use crate::all;

/// Input from a browser or a proxy.
#[derive(Arbitrary, Debug)]
enum Said {
    Typed(Vec<u8>),
    Wish(Json),
    Console(Vec<Part>, bool, Option<(String, u64)>),
    Break(String),
    Tenant(String),
    Cookies(Vec<Vec<Part>>),
    Origin(Vec<Part>, Option<Vec<Part>>, Option<Vec<Part>>),
    Shown(String),
}

/// A piece of a text: pure noise rarely contains a word with a meaning.
#[derive(Arbitrary, Debug)]
enum Part {
    Word(u8),
    Text(String),
}

/// Words with a meaning to the server.
const WORDS: [&str; 16] = [
    "vconsole", "=", ";", " ", "/", "vuart0", "pv0", "web", "http", "https", "://", "host", ":1",
    "\n", "\"", "null",
];

fn text(parts: &[Part]) -> String {
    let words = parts.iter().map(|part| match part {
        Part::Word(which) => WORDS[usize::from(*which) % WORDS.len()],
        Part::Text(text) => text,
    });
    words.collect()
}

/// Valid or nearly valid JSON.
#[derive(Arbitrary, Debug)]
enum Json {
    Members(Vec<(Name, Value)>),
    Text(String),
}

#[derive(Arbitrary, Debug)]
enum Name {
    Mode,
    Other(String),
}

#[derive(Arbitrary, Debug)]
enum Value {
    ReadOnly,
    ReadWrite,
    Other(String),
    Number(u64),
}

impl Json {
    fn text(&self) -> String {
        let members = match self {
            Self::Text(text) => return text.clone(),
            Self::Members(members) => members,
        };
        let members = members.iter().map(|(name, value)| {
            let name = match name {
                Name::Mode => "mode",
                Name::Other(name) => name,
            };
            let value = match value {
                Value::ReadOnly => serde_json::json!("ro"),
                Value::ReadWrite => serde_json::json!("rw"),
                Value::Other(text) => serde_json::json!(text),
                Value::Number(number) => serde_json::json!(number),
            };
            format!("{}:{value}", serde_json::json!(name))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// Decodes one frame as the page on the protocol describes it: type, length, payload.
fn only_frame(bytes: &[u8]) -> (u8, &[u8]) {
    let (length, payload) = bytes[1..].split_first_chunk().expect("a header");
    assert_eq!(u32::from_le_bytes(*length) as usize, payload.len());
    (bytes[0], payload)
}

/// The mode that a text requests, if it is JSON of that one member, in any of the forms
/// that serde accepts.
fn wished(text: &str) -> Option<u8> {
    use serde_json::Value;
    let value: Value = serde_json::from_str(text).ok()?;
    let mode = match &value {
        Value::Object(members) if members.len() == 1 => members.get("mode")?,
        Value::Array(members) if members.len() == 1 => &members[0],
        _ => return None,
    };
    let mode = match mode {
        Value::String(mode) => mode,
        Value::Object(variant) if variant.len() == 1 => variant.keys().next()?,
        _ => return None,
    };
    match mode.as_str() {
        "ro" => Some(0),
        "rw" => Some(1),
        _ => None,
    }
}

/// A line that contains no second line.
fn only_line(line: &[u8]) -> &[u8] {
    let rest = line.strip_suffix(b"\n").expect("a line");
    assert!(!rest.contains(&b'\n'), "two lines");
    rest
}

fn console(text: &str, mode: Mode, resume: Option<(String, u64)>) {
    let Some(console) = Console::parse(text) else {
        return;
    };
    assert_eq!(console.text(), text);
    assert!(text.len() <= 256 && !text.contains(char::is_control));
    assert!(!console.console.contains('/'));
    let attach = Attach {
        domain: Domain::Name(console.domain),
        console: console.console,
        mode,
        scrollback: None,
        resume: resume.map(|(stream, from)| Resume { stream, from }),
        origin: None,
        exclusive: None,
    };
    let line = attach.line();
    assert_eq!(Attach::parse(only_line(&line)).as_ref(), Ok(&attach));
}

/// Decodes a text of a page, as a browser does.
fn read(shown: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    let mut read = shown.to_owned();
    for (entity, letter) in entities {
        read = read.replace(entity, letter);
    }
    read
}

fn shown(text: &str) {
    let escaped = browser::escape(text);
    assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped:?}");
    let expected = text.chars().map(|letter| match letter {
        '\n' | '\t' => letter,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ if letter.is_control() => '\u{fffd}',
        _ => letter,
    });
    assert_eq!(read(&escaped), expected.collect::<String>());
    let part = browser::query(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/%".contains(&byte);
    assert!(part.bytes().all(plain), "{part:?}");
    let mut rest = part.as_bytes();
    let mut bytes = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let (digits, after) = match first {
            b'%' => after.split_at(2),
            _ => (&[][..], after),
        };
        let digits = std::str::from_utf8(digits).expect("digits");
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or(*first));
        rest = after;
    }
    assert_eq!(bytes, text.as_bytes());
}

fn said(said: Said) {
    match said {
        Said::Typed(typed) => {
            let frames = Message::Typed(&typed).frames().expect("bytes");
            if typed.is_empty() {
                assert_eq!(frames, b"");
            } else {
                assert_eq!(only_frame(&frames), (1, &typed[..]));
            }
        }
        Said::Wish(json) => {
            let text = json.text();
            match Message::Wish(&text).frames() {
                Ok(frames) => {
                    let (kind, payload) = only_frame(&frames);
                    assert_eq!(kind, 4);
                    assert_eq!(wished(&text), Some(payload[0]), "{text}");
                }
                // A repeated member is refused; the last one does not win.
                Err(why) => assert!(
                    wished(&text).is_none() || text.matches("mode").count() > 1,
                    "{text}: {why}"
                ),
            }
        }
        Said::Console(parts, typing, resume) => {
            let mode = if typing {
                Mode::ReadWrite
            } else {
                Mode::ReadOnly
            };
            console(&text(&parts), mode, resume);
        }
        Said::Break(name) => {
            if let Some(request) = browser::send_break(&name) {
                let line = format!("{request}\n");
                let read = Request::parse(only_line(line.as_bytes()));
                assert_eq!(read, Some(Request::Break(&name)));
            }
        }
        Said::Tenant(name) => {
            if let Some(tenant) = Tenant::new(&name) {
                assert_eq!(tenant.as_ref(), name);
                assert_eq!(Tenant::parse(only_line(&tenant.line())), Some(tenant));
            }
        }
        Said::Cookies(headers) => {
            let headers: Vec<String> = headers.iter().map(|parts| text(parts)).collect();
            let found = browser::cookie(headers.iter().map(String::as_str), "vconsole");
            let pairs = headers.join(";");
            let mut pairs = pairs.split(';').map(str::trim);
            let expected = pairs.find_map(|pair| pair.strip_prefix("vconsole="));
            assert_eq!(found, expected);
        }
        Said::Origin(origin, host, ours) => {
            let origin = text(&origin);
            let [host, ours] = [host, ours].map(|parts| parts.map(|parts| text(&parts)));
            let is_ours = browser::is_ours(&origin, host.as_deref(), ours.as_deref());
            let expected: Vec<String> = match (ours, host) {
                (Some(ours), _) => vec![ours],
                (None, Some(host)) => vec![format!("http://{host}"), format!("https://{host}")],
                (None, None) => Vec::new(),
            };
            assert_eq!(is_ours, expected.contains(&origin));
        }
        Said::Shown(text) => shown(&text),
    }
}

/// All inputs, one after the other.
pub fn run(data: &[u8]) {
    for one in all::<Said>(data) {
        said(one);
    }
}
