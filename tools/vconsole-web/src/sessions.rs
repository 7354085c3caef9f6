// SPDX-License-Identifier: MIT
//! Sessions. Each has a random number, which the browser stores in a cookie; only
//! its hash is stored here.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use console_proto::Tenant;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

use crate::tenants::random;

/// Most sessions at once, in total and by tenant; beyond it, the oldest is removed.
const MOST: usize = 4096;
const EACH_MOST: usize = 32;

/// Signals the end of a session.
pub(crate) type Ended = watch::Receiver<()>;

type Id = [u8; 32];

pub(crate) struct Sessions {
    /// How long a session lasts without a request, and at most.
    idle: Duration,
    life: Duration,
    open: Mutex<HashMap<Id, Session>>,
}

struct Session {
    tenant: Tenant,
    began: Instant,
    used: Instant,
    /// Dropped with the session.
    end: watch::Sender<()>,
}

/// A session that a request belongs to.
pub(crate) struct Found {
    pub(crate) tenant: Tenant,
    /// When it ends at the latest.
    pub(crate) until: Instant,
    pub(crate) ended: Ended,
}

impl Sessions {
    pub(crate) fn new((idle, life): (Duration, Duration)) -> Self {
        Self {
            idle,
            life,
            open: Mutex::default(),
        }
    }

    /// Begins a session; returns the secret for the browser's cookie.
    pub(crate) fn begin(&self, tenant: &Tenant) -> anyhow::Result<String> {
        let secret = random()?;
        self.begin_at(tenant, &secret, Instant::now());
        Ok(secret)
    }

    fn begin_at(&self, tenant: &Tenant, secret: &str, now: Instant) {
        let Ok(mut open) = self.open.lock() else {
            return;
        };
        open.retain(|_, session| self.lasts(session, now));
        let count = open
            .values()
            .filter(|session| session.tenant == *tenant)
            .count();
        if count >= EACH_MOST {
            drop_oldest(&mut open, |session| session.tenant == *tenant);
        } else if open.len() >= MOST {
            drop_oldest(&mut open, |_| true);
        }
        let session = Session {
            tenant: tenant.clone(),
            began: now,
            used: now,
            end: watch::Sender::new(()),
        };
        open.insert(id(secret), session);
    }

    /// The session of a browser's secret.
    pub(crate) fn find(&self, secret: &str) -> Option<Found> {
        self.find_at(secret, Instant::now())
    }

    fn find_at(&self, secret: &str, now: Instant) -> Option<Found> {
        let mut open = self.open.lock().ok()?;
        let id = id(secret);
        let session = open.get_mut(&id)?;
        if !self.lasts(session, now) {
            open.remove(&id);
            return None;
        }
        session.used = now;
        Some(Found {
            tenant: session.tenant.clone(),
            until: session.began + self.life,
            ended: session.end.subscribe(),
        })
    }

    /// Ends a session, and all terminals opened in it.
    pub(crate) fn end(&self, secret: &str) {
        if let Ok(mut open) = self.open.lock() {
            open.remove(&id(secret));
        }
    }

    /// An open terminal keeps its session active.
    fn lasts(&self, session: &Session, now: Instant) -> bool {
        let is_used = now < session.used + self.idle || session.end.receiver_count() > 0;
        now < session.began + self.life && is_used
    }
}

fn id(secret: &str) -> Id {
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    id
}

fn drop_oldest(open: &mut HashMap<Id, Session>, of: impl Fn(&Session) -> bool) {
    let sessions = open.iter().filter(|(_, session)| of(session));
    let oldest = sessions.min_by_key(|(_, session)| session.used);
    if let Some(id) = oldest.map(|(id, _)| *id) {
        open.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sessions() -> Sessions {
        Sessions::new((30 * MINUTE, 100 * MINUTE))
    }

    fn alice() -> Tenant {
        Tenant::new("alice").unwrap()
    }

    #[test]
    fn a_session_lasts_while_it_is_used_but_not_for_ever() {
        let (sessions, start) = (sessions(), Instant::now());
        sessions.begin_at(&alice(), "secret", start);
        let is_there = |minutes: u32| {
            sessions
                .find_at("secret", start + minutes * MINUTE)
                .is_some()
        };
        assert!(is_there(29) && is_there(58) && is_there(87));
        assert!(!is_there(100), "its life is over");
        assert!(!is_there(87), "and it does not come back");
        sessions.begin_at(&alice(), "secret", start);
        assert!(!is_there(30), "nobody used it");
        sessions.begin_at(&alice(), "secret", start);
        let open = sessions.find_at("secret", start).unwrap();
        assert!(is_there(30), "a terminal is open");
        drop(open);
        assert!(!is_there(60));
        assert!(sessions.find_at("secret2", start).is_none());
    }

    #[test]
    fn the_end_of_a_session_is_signalled_to_its_connections() {
        let sessions = sessions();
        let secret = sessions.begin(&alice()).unwrap();
        let found = sessions.find(&secret).unwrap();
        assert!(found.ended.has_changed().is_ok());
        sessions.end(&secret);
        assert!(found.ended.has_changed().is_err());
        assert!(sessions.find(&secret).is_none());
    }

    #[test]
    fn a_tenant_with_too_many_sessions_loses_its_own() {
        let (sessions, start) = (sessions(), Instant::now());
        let bob = Tenant::new("bob").unwrap();
        sessions.begin_at(&bob, "bob", start);
        for number in 0..2 * EACH_MOST {
            sessions.begin_at(&alice(), &format!("{number}"), start);
        }
        assert!(sessions.find_at("bob", start).is_some());
        assert_eq!(sessions.open.lock().unwrap().len(), EACH_MOST + 1);
    }
}
