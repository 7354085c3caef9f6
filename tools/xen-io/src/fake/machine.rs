// SPDX-License-Identifier: MIT
//! Domains of the fake host, and a toolstack's operations on them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::MemfdFlags;
use rustix::io::Errno;

use super::events::{Events, Line, Switch};
use super::store::Store;
use crate::interface::{EventChannels, Hypervisor, Platform};
use crate::page::{Page, XEN_PAGE_SIZE};
use crate::types::{DomId, Gfn, GrantRef, HvmParam, Port, Resource, Virq};
use crate::xenstore::{Access, Client, Permission, domain_path};

/// Where a toolstack puts the pages of its rings.
const CONSOLE_GFN: Gfn = Gfn(0x39000);
const VUART_GFN: Gfn = Gfn(0x39003);

/// Stock libxl's `limit`, in bytes.
pub(super) const LIMIT: &str = "1048576";

/// A Xen host. Clones are the same one.
#[derive(Clone)]
pub struct Machine(Arc<Shared>);

struct Shared {
    domains: Mutex<BTreeMap<DomId, Domain>>,
    last_domid: Mutex<u16>,
    switch: Arc<Switch>,
    store: Store,
    /// All messages of the hypervisor; the real one drops the oldest.
    said: Mutex<Vec<u8>>,
}

#[derive(Default)]
pub(super) struct Domain {
    params: BTreeMap<HvmParam, u64>,
    grants: BTreeMap<GrantRef, Arc<Frame>>,
    gfns: BTreeMap<Gfn, Arc<Frame>>,
    resources: BTreeMap<Resource, Arc<Frame>>,
    /// Breaks that its vuart, if there is one, has not taken yet.
    breaks: Option<u64>,
    dying: bool,
}

impl Domain {
    pub(super) fn resource(&self, resource: Resource) -> Option<&Arc<Frame>> {
        self.resources.get(&resource)
    }

    pub(super) fn grant(&self, grant: GrantRef) -> Option<&Arc<Frame>> {
        self.grants.get(&grant)
    }

    pub(super) fn gfn(&self, gfn: Gfn) -> Option<&Arc<Frame>> {
        self.gfns.get(&gfn)
    }

    /// Mappings of its pages by the control domain. A PV console's page has both
    /// a grant and an address.
    fn mapped(&self) -> usize {
        let granted = self.grants.values();
        let addressed = self.gfns.values().filter(|frame| {
            !self
                .grants
                .values()
                .any(|granted| Arc::ptr_eq(granted, frame))
        });
        let frames = granted.chain(addressed).chain(self.resources.values());
        frames
            .map(|frame| frame.foreign_maps.load(Ordering::Relaxed))
            .sum()
    }
}

/// A page of a domain.
pub(super) struct Frame {
    memory: OwnedFd,
    /// Mappings by the control domain, which keep a dead domain's memory allocated.
    foreign_maps: AtomicUsize,
}

impl Frame {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let memory = rustix::fs::memfd_create("fake-xen-page", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, XEN_PAGE_SIZE as u64)?;
        Ok(Arc::new(Self {
            memory,
            foreign_maps: AtomicUsize::new(0),
        }))
    }

    /// Maps the page for the domain itself or the hypervisor.
    fn own(self: &Arc<Self>) -> io::Result<Page> {
        Page::map(self.memory.as_fd(), 0, Arc::clone(self))
    }
}

/// The other ends of a console: the guest's of a PV console, the hypervisor's of
/// a vuart.
pub struct Console {
    /// The ring.
    pub page: Page,
    /// The event channel.
    pub line: Line,
}

/// A mapping of a page by the control domain.
pub(super) struct ForeignMap(Arc<Frame>);

impl ForeignMap {
    fn new(frame: Arc<Frame>) -> Self {
        frame.foreign_maps.fetch_add(1, Ordering::Relaxed);
        Self(frame)
    }

    pub(super) fn memory(&self) -> BorrowedFd<'_> {
        self.0.memory.as_fd()
    }

    fn page(self) -> io::Result<Page> {
        let frame = Arc::clone(&self.0);
        Page::map(frame.memory.as_fd(), 0, self)
    }
}

impl Drop for ForeignMap {
    fn drop(&mut self) {
        self.0.foreign_maps.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Machine {
    /// A host without guests.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            domains: Mutex::default(),
            last_domid: Mutex::default(),
            switch: Arc::default(),
            store: Store::default(),
            said: Mutex::default(),
        }))
    }

    /// The interfaces for a program in the control domain.
    pub fn platform(&self) -> io::Result<Platform> {
        let store = self.0.store.clone();
        Ok(Platform {
            hypervisor: Box::new(self.clone()),
            events: self.open_events()?,
            store: store.client(DomId::DOM0)?,
            reopen_store: Box::new(move || store.client(DomId::DOM0)),
        })
    }

    /// A program's event channels.
    pub(super) fn open_events(&self) -> io::Result<Box<dyn EventChannels>> {
        Ok(Box::new(Events::open(&self.0.switch)?))
    }

    /// Maps a page of a domain into the control domain.
    pub(super) fn map(
        &self,
        domid: DomId,
        find: impl FnOnce(&Domain) -> Option<&Arc<Frame>>,
    ) -> io::Result<ForeignMap> {
        let frame = self.with(domid, |domain| find(domain).cloned())?;
        Ok(ForeignMap::new(frame.ok_or(Errno::INVAL)?))
    }

    /// The host's xenstored.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Adds a message of the hypervisor.
    pub fn say(&self, bytes: &[u8]) {
        self.said().extend_from_slice(bytes);
        self.0.switch.raise(Virq::CON_RING);
    }

    /// Creates a domain that does not exist introduced yet.
    pub fn create_domain(&self, name: &str) -> io::Result<DomId> {
        let domid = {
            let mut last = self
                .0
                .last_domid
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *last += 1;
            DomId(*last)
        };
        self.domains().insert(domid, Domain::default());
        let path = domain_path(domid);
        let mut store = self.toolstack()?;
        store.write(&path, "")?;
        let visible = Permission {
            domid,
            access: Access::Read,
        };
        store.set_permissions(&path, &[Permission::DOM0_ONLY, visible])?;
        store.write(&format!("{path}/name"), name)?;
        let vm = format!("/vm/00000000-0000-4000-8000-{:012x}", domid.0);
        store.write(&format!("{path}/vm"), &vm)?;
        Ok(domid)
    }

    /// Adds a PV console to the domain.
    pub fn add_pv_console(&self, domid: DomId) -> io::Result<Console> {
        let (frame, port) = (Frame::new()?, self.0.switch.allocate(domid));
        self.with(domid, |domain| {
            domain.grants.insert(GrantRef::CONSOLE, Arc::clone(&frame));
            domain.gfns.insert(CONSOLE_GFN, Arc::clone(&frame));
        })?;
        let path = format!("{}/console", domain_path(domid));
        self.describe(
            &path,
            &[
                ("limit", LIMIT),
                ("type", "xenconsoled"),
                ("output", "pty"),
                ("tty", ""),
                ("port", &port.to_string()),
                ("ring-ref", &CONSOLE_GFN.0.to_string()),
            ],
        )?;
        self.console(domid, port, &frame)
    }

    /// Adds a vuart whose ring the backend maps by its address.
    pub fn add_stock_vuart(&self, domid: DomId) -> io::Result<Console> {
        let (frame, port) = (Frame::new()?, self.0.switch.allocate(domid));
        self.with(domid, |domain| {
            domain.gfns.insert(VUART_GFN, Arc::clone(&frame));
            domain.breaks = Some(0);
        })?;
        let path = format!("{}/vuart/0", domain_path(domid));
        self.describe(
            &path,
            &[
                ("port", &port.to_string()),
                ("ring-ref", &VUART_GFN.0.to_string()),
                ("limit", LIMIT),
                ("type", "xenconsoled"),
            ],
        )?;
        self.console(domid, port, &frame)
    }

    /// Adds a vuart whose ring the guest cannot access.
    pub fn add_private_vuart(&self, domid: DomId) -> io::Result<Console> {
        let (frame, port) = (Frame::new()?, self.0.switch.allocate(domid));
        self.with(domid, |domain| {
            domain.resources.insert(Resource::VUART, Arc::clone(&frame));
            domain.params.insert(HvmParam::VUART_PFN, VUART_GFN.0);
            domain.params.insert(HvmParam::VUART_EVTCHN, port.0.into());
            domain.breaks = Some(0);
        })?;
        let path = format!("{}/vuart/0", domain_path(domid));
        let mut store = self.toolstack()?;
        store.mkdir(&path)?;
        store.set_permissions(&path, &[Permission::DOM0_ONLY])?;
        self.describe(&path, &[("limit", LIMIT), ("type", "pl011")])?;
        self.console(domid, port, &frame)
    }

    /// Introduces the domain to xenstored.
    pub fn introduce(&self, domid: DomId) {
        self.0.store.introduce(domid);
    }

    /// Destroys the domain like a toolstack: its nodes are removed first.
    pub fn destroy(&self, domid: DomId) -> io::Result<()> {
        let mut store = self.toolstack()?;
        let backends = format!("{}/backend", domain_path(DomId::DOM0));
        store.remove(&format!("{backends}/console/{domid}"))?;
        store.remove(&domain_path(domid))?;
        self.kill(domid);
        Ok(())
    }

    /// Ends the domain like the hypervisor: its nodes stay.
    pub fn kill(&self, domid: DomId) {
        if let Some(domain) = self.domains().get_mut(&domid) {
            domain.dying = true;
        }
        self.0.switch.close(domid);
        self.0.store.release(domid);
    }

    /// Takes the breaks sent to the domain's vuart, and returns their number.
    #[must_use]
    pub fn take_breaks(&self, domid: DomId) -> u64 {
        let mut domains = self.domains();
        let breaks = domains
            .get_mut(&domid)
            .and_then(|domain| domain.breaks.as_mut());
        breaks.map_or(0, std::mem::take)
    }

    /// Whether the domain is dead but some of its memory is still mapped.
    #[must_use]
    pub fn is_zombie(&self, domid: DomId) -> bool {
        self.domains()
            .get(&domid)
            .is_some_and(|domain| domain.dying && domain.mapped() > 0)
    }

    /// Number of the domain's pages that the control domain has mapped.
    #[must_use]
    pub fn mapped_pages(&self, domid: DomId) -> usize {
        self.domains().get(&domid).map_or(0, Domain::mapped)
    }

    /// A toolstack's connection to xenstore.
    pub fn toolstack(&self) -> io::Result<Client> {
        self.0.store.client(DomId::DOM0)
    }

    fn said(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn domains(&self) -> MutexGuard<'_, BTreeMap<DomId, Domain>> {
        self.0
            .domains
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, domid: DomId, act: impl FnOnce(&mut Domain) -> T) -> io::Result<T> {
        match self.domains().get_mut(&domid) {
            Some(domain) if !domain.dying => Ok(act(domain)),
            _ => Err(Errno::SRCH.into()),
        }
    }

    fn describe(&self, path: &str, nodes: &[(&str, &str)]) -> io::Result<()> {
        self.toolstack()?.transaction(|store| {
            nodes
                .iter()
                .try_for_each(|(name, value)| store.write(&format!("{path}/{name}"), value))
        })
    }

    pub(super) fn allocate_port(&self, domid: DomId) -> Port {
        self.0.switch.allocate(domid)
    }

    /// Grants a page of the domain to the control domain.
    pub(super) fn grant(
        &self,
        domid: DomId,
        grant: GrantRef,
        frame: &Arc<Frame>,
    ) -> io::Result<()> {
        self.with(domid, |domain| {
            domain.grants.insert(grant, Arc::clone(frame));
        })
    }

    pub(super) fn console(
        &self,
        domid: DomId,
        port: Port,
        frame: &Arc<Frame>,
    ) -> io::Result<Console> {
        Ok(Console {
            page: frame.own()?,
            line: Line::new(&self.0.switch, domid, port),
        })
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Hypervisor for Machine {
    fn hvm_param(&self, domid: DomId, param: HvmParam) -> io::Result<u64> {
        self.with(domid, |domain| match param {
            HvmParam::VUART_BREAK => Some(0),
            _ => domain.params.get(&param).copied(),
        })?
        .ok_or_else(|| Errno::INVAL.into())
    }

    fn set_hvm_param(&self, domid: DomId, param: HvmParam, value: u64) -> io::Result<()> {
        self.with(domid, |domain| match (param, &mut domain.breaks) {
            (HvmParam::VUART_BREAK, None) => Err(Errno::NODEV.into()),
            (HvmParam::VUART_BREAK, Some(breaks)) if value == 1 => {
                *breaks += 1;
                Ok(())
            }
            (HvmParam::VUART_BREAK, Some(_)) => Err(Errno::INVAL.into()),
            _ => {
                domain.params.insert(param, value);
                Ok(())
            }
        })?
    }

    fn map_resource(&self, domid: DomId, resource: Resource) -> io::Result<Page> {
        self.map(domid, |domain| domain.resource(resource))?.page()
    }

    fn map_grant(&self, domid: DomId, grant: GrantRef) -> io::Result<Page> {
        self.map(domid, |domain| domain.grant(grant))?.page()
    }

    fn map_gfn(&self, domid: DomId, gfn: Gfn) -> io::Result<Page> {
        self.map(domid, |domain| domain.gfn(gfn))?.page()
    }

    fn read_console(&self, index: &mut u32, buffer: &mut [u8]) -> io::Result<usize> {
        let said = self.said();
        let from = usize::try_from(*index).map_or(said.len(), |at| at.min(said.len()));
        let length = buffer.len().min(said.len() - from);
        buffer[..length].copy_from_slice(&said[from..from + length]);
        *index = u32::try_from(from + length).unwrap_or(u32::MAX);
        Ok(length)
    }
}
