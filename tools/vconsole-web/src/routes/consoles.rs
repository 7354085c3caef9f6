// SPDX-License-Identifier: MIT
//! Consoles: the list, terminals, their text, breaks, recordings.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;
use console_proto::browser::{self, Console};
use console_proto::{Attach, Domain, Mode, Resume};
use serde::Deserialize;

use super::{Filled, Ours, Shared, Signed, failure, others, page};
use crate::bridge::{self, MESSAGE_MAX, Term};
use crate::daemon::Trouble;
use crate::identity::{Peer, Visitor};
use crate::pages;
use crate::room::Place;

/// Most terminals on one page.
const PANES_MAX: usize = 8;

fn trouble(visitor: &Visitor, trouble: &Trouble) -> Response {
    match trouble {
        Trouble::Gone(_) => page(StatusCode::SERVICE_UNAVAILABLE, pages::gone(visitor)),
        Trouble::Refused(_) => failure(StatusCode::FORBIDDEN, &format!("No: {trouble}.")),
    }
}

fn no_console() -> Response {
    failure(StatusCode::BAD_REQUEST, "There is no such console.")
}

pub(super) async fn list(State(app): Shared, visitor: Visitor) -> Response {
    match app.daemon.consoles(&visitor.tenant).await {
        Ok(rows) => page(StatusCode::OK, pages::list(&visitor, &rows)),
        Err(why) => trouble(&visitor, &why),
    }
}

/// Terminals, of one console, `c=CONSOLE/NAME`, or several.
pub(super) async fn view(
    State(app): Shared,
    visitor: Visitor,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let consoles = pairs.iter().filter(|(name, _)| name == "c");
    let consoles = consoles.map(|(_, value)| Console::parse(value));
    match consoles.collect::<Option<Vec<_>>>() {
        Some(consoles) if (1..=PANES_MAX).contains(&consoles.len()) => {
            let has_terminal = app.assets.has_terminal();
            let view = pages::view(&visitor, &consoles, has_terminal);
            page(StatusCode::OK, view)
        }
        Some(_) => failure(
            StatusCode::BAD_REQUEST,
            "Choose at least one console, and at most eight.",
        ),
        None => no_console(),
    }
}

#[derive(Deserialize)]
pub(super) struct One {
    c: String,
}

/// A console's output, for browsers without scripts.
pub(super) async fn text(
    State(app): Shared,
    peer: Peer,
    visitor: Visitor,
    Query(One { c }): Query<One>,
) -> Response {
    let Some(console) = Console::parse(&c) else {
        return no_console();
    };
    let wanted = attach(&console, Mode::ReadOnly, None, &peer);
    let text = async {
        let (attached, stream) = app.daemon.attach(&visitor.tenant, &wanted).await?;
        let text = pages::history(&attached, stream).await;
        text.map_err(Trouble::Gone)
    };
    match text.await {
        Ok(text) => page(StatusCode::OK, pages::text(&visitor, &console, &text)),
        Err(why) => trouble(&visitor, &why),
    }
}

/// The player for recordings on the user's machine.
pub(super) async fn replay(State(app): Shared, visitor: Visitor) -> Response {
    let has_terminal = app.assets.has_terminal();
    page(StatusCode::OK, pages::replay(&visitor, has_terminal))
}

fn attach(console: &Console, mode: Mode, resume: Option<Resume>, peer: &Peer) -> Attach {
    Attach {
        domain: Domain::Name(console.domain.clone()),
        console: console.console.clone(),
        mode,
        exclusive: None,
        scrollback: None,
        resume,
        origin: Some(match peer {
            Peer::Proxy => "web, by the proxy".to_owned(),
            Peer::Direct { address, .. } => format!("web, {address}"),
        }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Terminal {
    c: String,
    mode: Mode,
    stream: Option<String>,
    from: Option<u64>,
}

/// The `WebSocket` of a terminal.
pub(super) async fn terminal(
    State(app): Shared,
    _: Ours,
    peer: Peer,
    Extension(place): Extension<Arc<Place>>,
    visitor: Visitor,
    Query(wanted): Query<Terminal>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(console) = Console::parse(&wanted.c) else {
        return no_console();
    };
    let resume = wanted.stream.zip(wanted.from);
    let resume = resume.map(|(stream, from)| Resume { stream, from });
    let wanted = attach(&console, wanted.mode, resume, &peer);
    let upgrade = upgrade
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX);
    upgrade.on_upgrade(async move |browser| {
        let term = Term {
            until: visitor.until,
            ended: visitor.ended,
        };
        match app.daemon.attach(&visitor.tenant, &wanted).await {
            Ok((attached, stream)) => bridge::join(browser, &attached, stream, term).await,
            Err(trouble) => bridge::refuse(browser, &trouble).await,
        }
        drop(place);
    })
}

pub(super) async fn ask_break(visitor: Visitor, Query(One { c }): Query<One>) -> Response {
    page(StatusCode::OK, pages::ask_break(&visitor, &c))
}

/// A break for `DOMID/CONSOLE`.
pub(super) async fn send_break(
    State(app): Shared,
    visitor: Visitor,
    Filled(form): Filled<Signed<One>>,
) -> Result<Response, Response> {
    let One { c } = form.of(&visitor).ok_or_else(others)?;
    let request = browser::send_break(&c).ok_or_else(no_console)?;
    Ok(match app.daemon.order(&visitor.tenant, request).await {
        Ok(()) => page(StatusCode::OK, pages::break_sent(&visitor, &c)),
        Err(why) => trouble(&visitor, &why),
    })
}
