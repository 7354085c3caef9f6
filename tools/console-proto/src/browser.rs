// SPDX-License-Identifier: MIT
//! Parsing of messages from browsers to vconsole-web, and text for pages. Each
//! message becomes a frame or a part of a line for the daemon, or is refused.

use serde::Deserialize;

use crate::frame;
use crate::{Mode, Request};

/// Longest name of a console in a query.
const CONSOLE_MAX: usize = 256;

/// A message of a browser's terminal.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// Input.
    Typed(&'a [u8]),
    /// JSON: the browser's settings.
    Wish(&'a str),
}

/// Settings that a browser asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    mode: Mode,
}

impl Message<'_> {
    /// Frames for the daemon. The error describes the fault.
    pub fn frames(self) -> Result<Vec<u8>, String> {
        match self {
            Self::Typed([]) => Ok(Vec::new()),
            Self::Typed(typed) => Ok(frame::data(typed)),
            Self::Wish(text) => match serde_json::from_str::<Wish>(text) {
                Ok(wish) => Ok(frame::mode(wish.mode)),
                Err(error) => Err(format!("not understood: {error}")),
            },
        }
    }
}

/// A console of a domain by name, as pages write it: `vuart0/guest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// The console.
    pub console: String,
    /// The domain's name.
    pub domain: String,
}

impl Console {
    /// Parses a console's name. A domain's name may contain a slash.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (console, domain) = text.split_once('/')?;
        let is_console = console.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_one = is_console && !console.is_empty() && !domain.is_empty();
        let is_short = text.len() <= CONSOLE_MAX;
        (is_one && is_short && !domain.contains(char::is_control)).then(|| Self {
            console: console.to_owned(),
            domain: domain.to_owned(),
        })
    }

    /// As a text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}", self.console, self.domain)
    }
}

/// A request for a break on `DOMID/CONSOLE`, or `None` if it has control characters.
#[must_use]
pub fn send_break(console: &str) -> Option<Request<'_>> {
    (!console.contains(char::is_control)).then_some(Request::Break(console))
}

/// The cookie of that name. A header may contain several cookies.
pub fn cookie<'a>(headers: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let mut pairs = headers.into_iter().flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

/// Whether a page is ours, by its Origin header: it must be the operator's
/// configured origin, or else that of the requested host.
#[must_use]
pub fn is_ours(origin: &str, host: Option<&str>, ours: Option<&str>) -> bool {
    if let Some(ours) = ours {
        return origin == ours;
    }
    let of = origin.split_once("://");
    of.is_some_and(|(scheme, of)| ["http", "https"].contains(&scheme) && Some(of) == host)
}

/// Escapes any text for a page.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Characters that reverse the direction of text could disguise names.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            '\n' | '\t' => out.push(letter),
            _ if letter.is_control() => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

/// Escapes a text for a query.
#[must_use]
pub fn query(text: &str) -> String {
    let part = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            vec![byte]
        } else {
            format!("%{byte:02X}").into_bytes()
        }
    };
    let bytes = text.bytes().flat_map(part);
    bytes.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_frames_or_are_refused() {
        assert_eq!(Message::Typed(b"").frames(), Ok(Vec::new()));
        assert_eq!(Message::Typed(b"ls").frames(), Ok(frame::data(b"ls")));
        let wish = Message::Wish(r#"{"mode":"ro"}"#);
        assert_eq!(wish.frames(), Ok(frame::mode(Mode::ReadOnly)));
        for text in ["", "{}", r#"{"mode":"root"}"#, r#"{"mode":"ro","x":1}"#] {
            let why = Message::Wish(text).frames().unwrap_err();
            assert!(why.starts_with("not understood: "), "{why}");
        }
    }

    #[test]
    fn consoles_are_named_by_domain() {
        let console = Console::parse("vuart0/a/b").unwrap();
        assert_eq!((&*console.console, &*console.domain), ("vuart0", "a/b"));
        assert_eq!(console.text(), "vuart0/a/b");
        let long = format!("pv0/{}", "x".repeat(CONSOLE_MAX));
        for text in ["", "pv0", "/web", "pv0/", "p v/web", "pv0/a\nb", &long] {
            assert_eq!(Console::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let find = |headers: &[&'static str]| cookie(headers.iter().copied(), "vconsole");
        assert_eq!(find(&["a=1; vconsole=x=y", "vconsole=z"]), Some("x=y"));
        assert_eq!(find(&["a=1", " vconsole="]), Some(""));
        assert_eq!(find(&["vconsole", "xvconsole=1", ""]), None);
    }

    #[test]
    fn what_stands_in_pages_is_text() {
        let name = "<script>alert(\"1\")</script>&'\u{202e}\u{7}";
        assert_eq!(
            escape(name),
            "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\u{fffd}\u{fffd}"
        );
        assert_eq!(query("a b&c=d/\u{e4}"), "a%20b%26c%3Dd/%C3%A4");
    }
}
