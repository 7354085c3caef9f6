// SPDX-License-Identifier: MIT
//! The identity of a request's tenant, by its connection: on the proxy's socket a
//! header, with a client certificate that certificate, otherwise the cookie of a
//! session. Headers or cookies on other connections are ignored.

use std::net::IpAddr;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HOST, ORIGIN};
use console_proto::{Tenant, browser};
use ring::digest::{SHA256, digest};

use crate::app::App;
use crate::sessions::Ended;

/// The cookie's name.
pub(crate) const SESSION: &str = "vconsole";

/// A request's connection.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// By the proxy, identified by its socket's peer credentials.
    Proxy,
    /// By TLS or on loopback.
    Direct {
        address: IpAddr,
        /// The connection is encrypted.
        secure: bool,
        /// The tenant of the client's certificate.
        certified: Option<Tenant>,
    },
}

impl Peer {
    /// Whether the connection is encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Self::Direct { secure: true, .. })
    }
}

/// A request's identified tenant.
pub(crate) struct Visitor {
    pub(crate) tenant: Tenant,
    /// The token of the visitor's forms.
    pub(crate) form_token: String,
    /// The secret of the session, if there is one.
    pub(crate) session: Option<String>,
    /// When everything that the visitor opens ends at the latest.
    pub(crate) until: Instant,
    pub(crate) ended: Option<Ended>,
}

impl Visitor {
    /// The visitor of a request with those headers, if identified.
    pub(crate) fn of(app: &App, peer: &Peer, headers: &HeaderMap) -> Option<Self> {
        let named = match peer {
            Peer::Proxy => Some(from_header(app, headers)?),
            Peer::Direct { certified, .. } => certified.clone(),
        };
        if let Some(tenant) = named {
            return Some(Self {
                form_token: app.form_token(&format!("tenant {tenant}")),
                tenant,
                session: None,
                until: Instant::now() + app.life,
                ended: None,
            });
        }
        let secret = cookie(headers)?;
        let found = app.sessions.find(&secret)?;
        Some(Self {
            form_token: app.form_token(&format!("session {secret}")),
            tenant: found.tenant,
            session: Some(secret),
            until: found.until,
            ended: Some(found.ended),
        })
    }

    /// Whether a form has this visitor's token. Hashes are compared, so that the
    /// time reveals nothing.
    pub(crate) fn has_form(&self, token: &str) -> bool {
        digest(&SHA256, token.as_bytes()).as_ref()
            == digest(&SHA256, self.form_token.as_bytes()).as_ref()
    }
}

/// A repeated header is ignored.
fn from_header(app: &App, headers: &HeaderMap) -> Option<Tenant> {
    let mut values = headers.get_all(&app.header).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    Tenant::new(std::str::from_utf8(value.as_bytes()).ok()?)
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let headers = headers.get_all(COOKIE).iter();
    let headers = headers.filter_map(|header| header.to_str().ok());
    browser::cookie(headers, SESSION).map(str::to_owned)
}

/// Whether a request comes from this service's pages: a browser sends the page's
/// origin when it opens a `WebSocket` or sends a form.
pub(crate) fn is_ours(app: &App, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return false;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    browser::is_ours(origin, host, app.origin.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use clap::Parser as _;

    fn app(words: &[&str]) -> App {
        let words = ["vconsole-web"].iter().chain(words);
        App::new(&crate::Options::parse_from(words)).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn direct(certified: Option<&str>) -> Peer {
        Peer::Direct {
            address: IpAddr::from([127, 0, 0, 1]),
            secure: true,
            certified: certified.and_then(Tenant::new),
        }
    }

    #[test]
    fn a_header_counts_from_the_proxy_and_a_cookie_from_others() {
        let app = app(&[]);
        let alice = Tenant::new("alice").unwrap();
        let secret = app.sessions.begin(&alice).unwrap();
        let cookie = format!("other=1; vconsole={secret}");
        let name = |peer: &Peer, pairs: &[(&'static str, &str)]| {
            let visitor = Visitor::of(&app, peer, &headers(pairs))?;
            Some(visitor.tenant.to_string())
        };
        let bob = ("x-remote-user", "bob");
        for (peer, pairs, expected) in [
            (Peer::Proxy, vec![bob], Some("bob")),
            (Peer::Proxy, vec![bob, bob], None),
            (Peer::Proxy, vec![("x-remote-user", "")], None),
            (
                Peer::Proxy,
                vec![("x-remote-user", "\u{e4}")],
                Some("\u{e4}"),
            ),
            (Peer::Proxy, vec![("cookie", &cookie)], None),
            (direct(None), vec![bob], None),
            (direct(None), vec![bob, ("cookie", &cookie)], Some("alice")),
            (direct(None), vec![("cookie", "vconsole=")], None),
            (direct(None), vec![("cookie", "vconsole")], None),
            (
                direct(Some("carol")),
                vec![("cookie", &cookie)],
                Some("carol"),
            ),
        ] {
            assert_eq!(
                name(&peer, &pairs).as_deref(),
                expected,
                "{peer:?} {pairs:?}"
            );
        }
        app.sessions.end(&secret);
        assert_eq!(name(&direct(None), &[("cookie", &cookie)]), None);
    }

    #[test]
    fn forms_are_their_visitor_s_own() {
        let app = app(&[]);
        let alice = Tenant::new("alice").unwrap();
        let tokens: Vec<String> = [(); 2]
            .map(|()| app.sessions.begin(&alice).unwrap())
            .map(|secret| format!("vconsole={secret}"))
            .map(|cookie| headers(&[("cookie", &cookie)]))
            .map(|headers| {
                Visitor::of(&app, &direct(None), &headers)
                    .unwrap()
                    .form_token
            })
            .into();
        assert_ne!(tokens[0], tokens[1]);
        let certified = Visitor::of(&app, &direct(Some("alice")), &HeaderMap::new()).unwrap();
        assert!(!tokens.contains(&certified.form_token));
    }

    #[test]
    fn requests_of_other_pages_are_recognised() {
        let host = ("host", "consoles.example:7433");
        for (origins, by_host, by_option) in [
            (vec!["http://consoles.example:7433"], true, false),
            (vec!["https://consoles.example:7433"], true, false),
            (vec!["https://public.example"], false, true),
            (vec!["https://consoles.example"], false, false),
            (
                vec!["https://consoles.example:7433.evil.example"],
                false,
                false,
            ),
            (vec!["ftp://consoles.example:7433"], false, false),
            (vec!["null"], false, false),
            (vec![], false, false),
            (vec!["https://public.example"; 2], false, false),
        ] {
            let pairs = origins.iter().map(|origin| ("origin", *origin));
            let headers = headers(&pairs.chain([host]).collect::<Vec<_>>());
            assert_eq!(is_ours(&app(&[]), &headers), by_host, "{origins:?}");
            let named = app(&["--origin", "https://public.example"]);
            assert_eq!(is_ours(&named, &headers), by_option, "{origins:?}");
        }
    }
}
