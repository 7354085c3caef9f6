// SPDX-License-Identifier: MIT
//! Beginning and ending sessions.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

use super::{Filled, Shared, Signed, failure, others, page};
use crate::app::App;
use crate::identity::{Peer, SESSION, Visitor};
use crate::pages;
use crate::tenants::Kind;

/// The cookie's attributes.
const COOKIE: &str = "HttpOnly; SameSite=Strict; Path=/";

pub(super) async fn ask(State(app): Shared, peer: Peer) -> Response {
    form(&app, &peer, StatusCode::OK, None)
}

/// The form, with an error if there was one.
fn form(app: &App, peer: &Peer, status: StatusCode, why: Option<&str>) -> Response {
    match peer {
        Peer::Direct { .. } if app.tenants.are_listed() => page(status, pages::login(why)),
        _ => failure(
            StatusCode::UNAUTHORIZED,
            "Login with a token is not possible here.",
        ),
    }
}

#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
}

pub(super) async fn log_in(
    State(app): Shared,
    peer: Peer,
    Filled(Login { token }): Filled<Login>,
) -> Response {
    let again = |status, why| form(&app, &peer, status, Some(why));
    let Peer::Direct { address, .. } = &peer else {
        return again(StatusCode::UNAUTHORIZED, "");
    };
    if !app.logins.may(address) {
        return again(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many tries. Wait a minute.",
        );
    }
    let Some(tenant) = app.tenants.find(Kind::Token, token.trim().as_bytes()) else {
        app.logins.take(address);
        tracing::warn!("a login from {address} failed");
        return again(StatusCode::FORBIDDEN, "This token is not valid.");
    };
    let Ok(secret) = app.sessions.begin(&tenant) else {
        return failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "No session can be started.",
        );
    };
    tracing::info!("{tenant} has logged in from {address}");
    let secure = if peer.is_secure() { "; Secure" } else { "" };
    let cookie = format!("{SESSION}={secret}; {COOKIE}{secure}");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

#[derive(Deserialize)]
pub(super) struct Logout {}

pub(super) async fn log_out(
    State(app): Shared,
    visitor: Visitor,
    Filled(form): Filled<Signed<Logout>>,
) -> Result<Response, Response> {
    let Logout {} = form.of(&visitor).ok_or_else(others)?;
    if let Some(secret) = &visitor.session {
        app.sessions.end(secret);
        tracing::info!("{} has logged out", visitor.tenant);
    }
    let cookie = format!("{SESSION}=; {COOKIE}; Max-Age=0");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}
