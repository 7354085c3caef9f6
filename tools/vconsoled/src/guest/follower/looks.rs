// SPDX-License-Identifier: MIT
//! Reads one console's nodes, and reports it.

use std::io;
use std::time::{Duration, Instant};

use xen_io::DomId;
use xen_io::xenstore::domain_path;

use super::{Follower, Secondary, watch_console};
use crate::guest::exchange::{Domain, Offer, Report};
use crate::guest::nodes::{self, Key, Slot};
use crate::guest::source::Source;
use crate::guest::xenbus::{self, Device, Reply, State};

/// Shortest time between two reads of a secondary console.
const PACE: Duration = Duration::from_millis(20);

impl Follower {
    /// Handles the watch on a frontend.
    pub(super) fn frontend_written(&mut self, key: Key) {
        if let Some(known) = self.secondary.get_mut(&key) {
            known.written |= known.watch_set;
            known.watch_set = true;
        }
    }

    /// Whether the console may be read now; if not, it is scheduled.
    pub(super) fn is_due(&mut self, key: Key, now: Instant) -> bool {
        let Some(known) = self.secondary.get_mut(&key) else {
            return true;
        };
        if now < known.not_before {
            known.again = Some(known.not_before);
            return false;
        }
        known.again = None;
        known.not_before = now + PACE;
        true
    }

    /// Reads and reports a console.
    pub(super) fn look(&mut self, key: Key) -> io::Result<()> {
        let found = match key.1 {
            Slot::Secondary(devid) => self.find_secondary(key, devid),
            Slot::Pv | Slot::Vuart => self.find(key),
        };
        let report = match found {
            Err(error) if self.is_of_connection(&error) => return Err(error),
            Err(error) => Report::Failed(key, error.to_string()),
            Ok(report) => report,
        };
        self.link.report(report);
        Ok(())
    }

    fn find(&mut self, key: Key) -> io::Result<Report> {
        let (domid, slot) = key;
        Ok(match Source::find(&mut self.store, domid, slot)? {
            Some(source) => Report::Console(key, self.domain(domid)?, source),
            None => Report::Nothing(key),
        })
    }

    fn find_secondary(&mut self, key: Key, devid: u32) -> io::Result<Report> {
        let domid = key.0;
        let Some(device) = Device::find(&mut self.store, domid, devid)? else {
            self.forget_secondary(key)?;
            return Ok(Report::Nothing(key));
        };
        if !self.secondary.contains_key(&key) {
            watch_console(&mut self.store, key)?;
            let known = Secondary {
                not_before: Instant::now() + PACE,
                again: None,
                watch_set: false,
                written: false,
                said: None,
            };
            self.secondary.insert(key, known);
        }
        let known = self.secondary.get_mut(&key);
        let written = known.is_some_and(|known| std::mem::take(&mut known.written));
        let offer = match self.offer(domid, &device, devid, written) {
            Err(error) if self.is_of_connection(&error) => return Err(error),
            Err(error) => Offer::Wrong(error.to_string()),
            Ok(offer) => offer,
        };
        Ok(Report::Device(key, self.domain(domid)?, device, offer))
    }

    fn offer(
        &mut self,
        domid: DomId,
        device: &Device,
        devid: u32,
        written: bool,
    ) -> io::Result<Offer> {
        let frontend = xenbus::frontend_state(&mut self.store, domid, devid)?;
        Ok(match xenbus::reply(frontend, device.online) {
            Reply::Serve => Offer::Ring {
                source: xenbus::source(&mut self.store, domid, devid)?,
                again: written && frontend == Some(State::Initialised),
            },
            Reply::Rest(state) => Offer::Rest(state),
        })
    }

    fn domain(&mut self, domid: DomId) -> io::Result<Domain> {
        let vm = self.text(&format!("{}/vm", domain_path(domid)))?;
        // A domain's configuration can fix its UUID for all its instances.
        let started = match vm.as_str() {
            "" => String::new(),
            vm => self.text(&format!("{vm}/start_time"))?,
        };
        let uuid = vm.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Domain {
            uuid,
            name: self.text(&nodes::name_path(domid))?,
            instance: format!("{vm} {started}"),
        })
    }

    fn text(&mut self, path: &str) -> io::Result<String> {
        match nodes::text(&mut self.store, path) {
            Err(error) if self.is_of_connection(&error) => Err(error),
            // An invalid name counts as none.
            text => Ok(text.ok().flatten().unwrap_or_default()),
        }
    }
}
