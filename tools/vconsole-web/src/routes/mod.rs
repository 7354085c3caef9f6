// SPDX-License-Identifier: MIT
//! Requests: who may send them, and the headers of all answers.

mod consoles;
mod login;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Form, FromRequest, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::app::App;
use crate::html::Html;
use crate::identity::{Peer, Visitor, is_ours};
use crate::pages;

/// Longest body of a request.
const BODY_MAX: usize = 4 << 10;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);

type Shared = State<Arc<App>>;

/// The router for all requests.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(consoles::list))
        .route("/view", get(consoles::view))
        .route("/text", get(consoles::text))
        .route("/replay", get(consoles::replay))
        .route("/ws", get(consoles::terminal))
        .route(
            "/break",
            get(consoles::ask_break).post(consoles::send_break),
        )
        .route("/login", get(login::ask).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/assets/{name}", get(asset))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "There is no such page.") })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Adds the headers of all answers, and enforces the time limit.
async fn guard(State(app): Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // xterm.js adds styles to the page: elements, and attributes for colours.
    let styles = match path {
        "/view" | "/replay" => "'self' 'unsafe-inline'",
        _ => "'self'",
    };
    // A recording stays in the browser.
    let connects = match path {
        "/replay" => "'none'",
        _ => "'self'",
    };
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src {styles}; connect-src {connects}; img-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    let keeps = if path.starts_with("/assets/") {
        "no-cache"
    } else {
        "no-store"
    };
    let is_secure = request.extensions().get().is_some_and(Peer::is_secure);
    let answer = timeout(PATIENCE, next.run(request)).await;
    let late = |_| failure(StatusCode::GATEWAY_TIMEOUT, "It took too long.");
    let mut answer = answer.unwrap_or_else(late);
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, keeps),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // With a stricter policy, browsers would not send a form's origin either.
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Only if the operator set the origin, which excludes a trial run.
    if is_secure && app.origin.is_some() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

fn page(status: StatusCode, page: Html) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (status, kind, page.0).into_response()
}

fn failure(status: StatusCode, why: &str) -> Response {
    page(status, pages::failure(why))
}

async fn asset(State(app): Shared, Path(name): Path<String>) -> Response {
    match app.assets.find(&name) {
        Some((kind, bytes)) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => failure(StatusCode::NOT_FOUND, "There is no such file."),
    }
}

impl FromRequestParts<Arc<App>> for Peer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Response> {
        let peer = parts.extensions.get().cloned();
        peer.ok_or_else(|| {
            failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The connection has no address.",
            )
        })
    }
}

/// Unidentified clients, and those with too many requests, are refused.
impl FromRequestParts<Arc<App>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let peer = Peer::from_request_parts(parts, app).await?;
        match Visitor::of(app, &peer, &parts.headers) {
            Some(visitor) if app.requests.take(&visitor.tenant) => Ok(visitor),
            Some(_) => Err(failure(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests. Wait a moment.",
            )),
            None => Err(match peer {
                Peer::Proxy => failure(StatusCode::UNAUTHORIZED, "The proxy sent no user name."),
                Peer::Direct { .. } => Redirect::to("/login").into_response(),
            }),
        }
    }
}

/// A request from one of this service's pages.
struct Ours;

impl FromRequestParts<Arc<App>> for Ours {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        if is_ours(app, &parts.headers) {
            Ok(Self)
        } else {
            Err(others())
        }
    }
}

fn others() -> Response {
    failure(
        StatusCode::FORBIDDEN,
        "This request comes from another page.",
    )
}

/// A filled form from one of this service's pages.
struct Filled<T>(T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Filled<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        Ours::from_request_parts(&mut parts, app).await?;
        let request = Request::from_parts(parts, body);
        match Form::from_request(request, app).await {
            Ok(Form(filled)) => Ok(Self(filled)),
            Err(wrong) => Err(failure(
                wrong.status(),
                "This form has other fields than expected.",
            )),
        }
    }
}

/// A form with its visitor's token.
#[derive(Deserialize)]
struct Signed<T> {
    form: String,
    #[serde(flatten)]
    filled: T,
}

impl<T> Signed<T> {
    fn of(self, visitor: &Visitor) -> Option<T> {
        visitor.has_form(&self.form).then_some(self.filled)
    }
}
