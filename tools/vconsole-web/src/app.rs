// SPDX-License-Identifier: MIT
//! State shared by all requests.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::HeaderName;
use console_proto::Tenant;
use ring::hmac;
use ring::rand::SystemRandom;

use crate::assets::Assets;
use crate::daemon::Daemon;
use crate::limits::Buckets;
use crate::options::Options;
use crate::sessions::Sessions;
use crate::tenants::{Tenants, hex};

/// Rate limits: failed logins by address, and requests by tenant.
const LOGINS: (u32, Duration) = (5, Duration::from_secs(12));
const REQUESTS: (u32, Duration) = (100, Duration::from_millis(50));

pub(crate) struct App {
    pub(crate) daemon: Daemon,
    pub(crate) assets: Assets,
    pub(crate) tenants: Tenants,
    pub(crate) sessions: Sessions,
    pub(crate) logins: Buckets<IpAddr>,
    pub(crate) requests: Buckets<Tenant>,
    /// The proxy's header with the tenant's name.
    pub(crate) header: HeaderName,
    pub(crate) origin: Option<String>,
    /// How long a terminal lasts that was opened without a session.
    pub(crate) life: Duration,
    /// Signs the tokens in forms.
    forms: hmac::Key,
}

impl App {
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let forms = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let lives = options.lives();
        Ok(Self {
            daemon: Daemon::at(options.control.clone()),
            assets: Assets::read(&options.assets),
            tenants: Tenants::new(options.tenants.as_deref())?,
            sessions: Sessions::new(lives),
            logins: Buckets::new(LOGINS.0, LOGINS.1),
            requests: Buckets::new(REQUESTS.0, REQUESTS.1),
            header: options.proxy_header.parse()?,
            origin: options.origin.clone(),
            life: lives.1,
            forms: forms.map_err(|_| anyhow::anyhow!("the kernel gives no random numbers"))?,
        })
    }

    /// A form's token for the visitor with that proof of identity.
    pub(crate) fn form_token(&self, proof: &str) -> String {
        hex(hmac::sign(&self.forms, proof.as_bytes()).as_ref())
    }
}
