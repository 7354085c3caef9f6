// SPDX-License-Identifier: MIT
//! Secondary consoles of the fake host: a toolstack's nodes, and the guest's
//! driver, which owns the frontend's half of them.

use std::io;

use super::machine::{Console, Frame, LIMIT, Machine};
use crate::types::{DomId, GrantRef};
use crate::xenstore::{Access, Client, Permission, domain_path};

const INITIALISING: &str = "1";
const INITIALISED: &str = "3";

/// The first grant that no toolstack reserves.
const FIRST_GRANT: u32 = 8;

/// A secondary console in its guest's view.
pub struct Frontend {
    machine: Machine,
    domid: DomId,
    devid: u32,
    store: Client,
    grants: u32,
}

impl Machine {
    /// Adds a secondary console, number `devid`, without a device model.
    /// `backend` has further nodes for the backend: `name`, `connection`, `path`.
    pub fn add_frontend(
        &self,
        domid: DomId,
        devid: u32,
        backend: &[(&str, &str)],
    ) -> io::Result<Frontend> {
        let frontend = Frontend {
            machine: self.clone(),
            domid,
            devid,
            store: self.store().client(domid)?,
            grants: 0,
        };
        let (front, back) = (frontend.path(), frontend.backend_path());
        let guests = Permission {
            domid,
            access: Access::None,
        };
        let seen_by = |domid| Permission {
            domid,
            access: Access::Read,
        };
        let owned = [guests, seen_by(DomId::DOM0)];
        let shown = [Permission::DOM0_ONLY, seen_by(domid)];
        self.toolstack()?.transaction(|store| {
            store.mkdir(&front)?;
            store.set_permissions(&front, &owned)?;
            let own = [
                ("backend-id", "0"),
                ("state", INITIALISING),
                ("backend", &back),
            ];
            let fixed = [
                ("limit", LIMIT),
                ("type", "xenconsoled"),
                ("output", "pty"),
                ("tty", ""),
            ];
            for (nodes, permissions) in [(&own[..], &owned), (&fixed[..], &shown)] {
                for (node, value) in nodes {
                    store.write(&format!("{front}/{node}"), value)?;
                    store.set_permissions(&format!("{front}/{node}"), permissions)?;
                }
            }
            store.mkdir(&back)?;
            store.set_permissions(&back, &shown)?;
            let told = [
                ("frontend", front.as_str()),
                ("frontend-id", &domid.to_string()),
                ("online", "1"),
                ("state", INITIALISING),
                ("protocol", "vt100"),
                ("type", "xenconsoled"),
            ];
            told.iter()
                .chain(backend)
                .try_for_each(|(node, value)| store.write(&format!("{back}/{node}"), value))
        })?;
        Ok(frontend)
    }
}

impl Frontend {
    /// The guest's directory.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/device/console/{}", domain_path(self.domid), self.devid)
    }

    /// The backend's directory.
    #[must_use]
    pub fn backend_path(&self) -> String {
        let backend = domain_path(DomId::DOM0);
        format!("{backend}/backend/console/{}/{}", self.domid, self.devid)
    }

    /// Shares a ring, like a driver that starts or restarts: a granted page, a
    /// port, and state Initialised.
    pub fn connect(&mut self) -> io::Result<Console> {
        let frame = Frame::new()?;
        let port = self.machine.allocate_port(self.domid);
        self.grants += 1;
        let grant = self.grant();
        self.machine.grant(self.domid, grant, &frame)?;
        self.write("ring-ref", grant.0.to_string())?;
        self.write("port", port.0.to_string())?;
        self.write("state", INITIALISED)?;
        self.machine.console(self.domid, port, &frame)
    }

    /// Shares another ring under the numbers of the last one, as a resuming
    /// driver may.
    pub fn resume(&mut self, old: &Console) -> io::Result<Console> {
        let frame = Frame::new()?;
        self.machine.grant(self.domid, self.grant(), &frame)?;
        self.write("state", INITIALISED)?;
        self.machine.console(self.domid, old.line.port(), &frame)
    }

    fn grant(&self) -> GrantRef {
        GrantRef(FIRST_GRANT + self.devid * 64 + self.grants % 64)
    }

    /// Writes a node of its own as the guest.
    pub fn write(&mut self, node: &str, value: impl AsRef<[u8]>) -> io::Result<()> {
        let path = format!("{}/{node}", self.path());
        self.store.write(&path, value)
    }

    /// Removes a node of its own as the guest, or with an empty name all of them.
    pub fn remove(&mut self, node: &str) -> io::Result<()> {
        let path = format!("{}/{node}", self.path());
        self.store.remove(path.trim_end_matches('/'))
    }

    /// The backend's state, as the guest sees it.
    pub fn backend_state(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.store.read(&format!("{}/state", self.backend_path()))
    }
}
