// SPDX-License-Identifier: MIT
//! An in-memory xenstored: nodes with permissions, watches and transactions,
//! served over sockets with one reader and one writer thread per connection.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::Errno;

use super::tree::{Pending, Tree};
use crate::types::DomId;
use crate::xenstore::wire::{self, Message, kind};
use crate::xenstore::{Client, domain_path};

const INTRODUCE: &str = "@introduceDomain";
const RELEASE: &str = "@releaseDomain";

/// Stack size of a thread in bytes. There are two threads per connection, and the
/// address sanitizer clears its shadow memory of each stack.
const STACK: usize = 256 << 10;

/// A xenstored. Clones are the same one.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

struct Watch {
    connection: u64,
    path: String,
    token: String,
    /// Length of the domain's own path if the watched path was relative; events
    /// are then relative too.
    prefix: usize,
}

struct Transaction {
    connection: u64,
    pending: Pending,
    changed: Vec<String>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    watches: Vec<Watch>,
    transactions: BTreeMap<u32, Transaction>,
    last_transaction: u32,
    connections: BTreeMap<u64, Sender<Message>>,
    last_connection: u64,
    introduced: Vec<DomId>,
}

/// A stopped store.
#[must_use]
pub struct Stopped<'a>(MutexGuard<'a, State>);

impl Stopped<'_> {
    /// Fires the watches for new domains: clients then send requests, which are
    /// not answered.
    pub fn tell_of_domains(&self) {
        self.0.fire(INTRODUCE, false);
    }
}

/// The client of a request.
#[derive(Clone, Copy)]
struct Caller {
    connection: u64,
    domid: DomId,
}

type Answer = Result<Vec<u8>, Errno>;

impl Store {
    /// A client as `domid`.
    pub fn client(&self, domid: DomId) -> io::Result<Client> {
        Client::from_stream(self.connect(domid)?)
    }

    /// A connection as `domid`, for a caller with its own client code.
    pub fn connect(&self, domid: DomId) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.serve(ours, domid)?;
        Ok(theirs)
    }

    /// Serves every client of `socket` as the control domain.
    pub fn listen(&self, socket: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(socket)?;
        let store = self.clone();
        thread::Builder::new()
            .name("fake-xenstored".into())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    // If a client cannot be served, its connection closes.
                    let _refused = store.serve(stream, DomId::DOM0);
                }
            })?;
        Ok(())
    }

    /// Introduces the domain, like the toolstack.
    pub fn introduce(&self, domid: DomId) {
        let mut state = self.state();
        state.introduced.push(domid);
        state.fire(INTRODUCE, false);
    }

    /// Releases the domain, like xenstored when it starts to die.
    pub fn release(&self, domid: DomId) {
        let mut state = self.state();
        state.introduced.retain(|known| *known != domid);
        state.fire(RELEASE, false);
    }

    /// Stops it: no request is answered while the result lives.
    pub fn stop(&self) -> Stopped<'_> {
        Stopped(self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: UnixStream, domid: DomId) -> io::Result<()> {
        let (outbox, messages) = mpsc::channel::<Message>();
        let mut writer = stream.try_clone()?;
        thread::Builder::new()
            .name("fake-xenstored-out".into())
            .stack_size(STACK)
            .spawn(move || {
                for message in messages {
                    let Ok(bytes) = message.encode() else {
                        continue;
                    };
                    if writer.write_all(&bytes).is_err() {
                        break;
                    }
                }
            })?;
        let store = self.clone();
        thread::Builder::new()
            .name("fake-xenstored-in".into())
            .stack_size(STACK)
            .spawn(move || {
                let caller = Caller {
                    connection: store.state().add(outbox),
                    domid,
                };
                // When a connection ends, its watches and transactions are removed.
                let _end = store.converse(stream, caller);
                store.state().forget(caller.connection);
            })?;
        Ok(())
    }

    fn converse(&self, mut stream: UnixStream, caller: Caller) -> io::Result<()> {
        let mut inbox = Vec::new();
        let mut bytes = [0; wire::HEADER + wire::PAYLOAD_MAX];
        loop {
            let length = stream.read(&mut bytes)?;
            if length == 0 {
                return Ok(());
            }
            inbox.extend_from_slice(&bytes[..length]);
            while let Some(request) = Message::decode(&mut inbox)? {
                self.state().answer(caller, &request);
            }
        }
    }
}

impl State {
    fn add(&mut self, outbox: Sender<Message>) -> u64 {
        self.last_connection += 1;
        self.connections.insert(self.last_connection, outbox);
        self.last_connection
    }

    fn forget(&mut self, connection: u64) {
        self.connections.remove(&connection);
        self.watches.retain(|watch| watch.connection != connection);
        self.transactions
            .retain(|_, transaction| transaction.connection != connection);
    }

    fn answer(&mut self, caller: Caller, request: &Message) {
        let result = self.perform(caller, request).and_then(|payload| {
            if payload.len() > wire::PAYLOAD_MAX {
                Err(Errno::TOOBIG)
            } else {
                Ok(payload)
            }
        });
        let (kind, payload) = match result {
            Ok(payload) => (request.kind, payload),
            Err(errno) => (
                kind::ERROR,
                format!("{}\0", wire::error_name(errno)).into_bytes(),
            ),
        };
        let message = Message {
            kind,
            payload,
            ..request.clone()
        };
        self.send(caller.connection, message);
        // Xenstored acknowledges a watch before it fires first.
        if request.kind == kind::WATCH && kind == kind::WATCH {
            self.fire_last_watch();
        }
    }

    fn send(&self, connection: u64, message: Message) {
        if let Some(outbox) = self.connections.get(&connection) {
            // A receiver that is gone will be removed.
            let _gone = outbox.send(message);
        }
    }

    fn perform(&mut self, caller: Caller, request: &Message) -> Answer {
        let mut fields = wire::strings(&request.payload);
        let first = fields.next().unwrap_or_default();
        let tx = request.transaction;
        match request.kind {
            kind::TRANSACTION_START => Ok(self.begin(caller)),
            kind::TRANSACTION_END => self.end(caller, tx, first == b"T"),
            kind::IS_DOMAIN_INTRODUCED => {
                let domid = number(first)?;
                let known = self.introduced.contains(&DomId(domid));
                Ok(if known {
                    b"T\0".to_vec()
                } else {
                    b"F\0".to_vec()
                })
            }
            kind::WATCH | kind::UNWATCH => {
                let (path, prefix) = absolute(caller, first, true)?;
                let token = wire::text(fields.next().ok_or(Errno::INVAL)?);
                let token = token.map_err(|_| Errno::INVAL)?;
                self.set_watch(caller, request.kind == kind::WATCH, path, token, prefix)
            }
            _ => {
                let (path, _) = absolute(caller, first, false)?;
                let rest = request.payload.get(first.len() + 1..).unwrap_or_default();
                self.on_node(caller, request.kind, tx, &path, rest)
            }
        }
    }

    fn set_watch(
        &mut self,
        caller: Caller,
        set: bool,
        path: String,
        token: String,
        prefix: usize,
    ) -> Answer {
        let connection = caller.connection;
        let known = self.watches.iter().position(|watch| {
            watch.connection == connection && watch.path == path && watch.token == token
        });
        match (set, known) {
            (true, None) => self.watches.push(Watch {
                connection,
                path,
                token,
                prefix,
            }),
            (true, Some(_)) => return Err(Errno::EXIST),
            (false, Some(at)) => drop(self.watches.remove(at)),
            (false, None) => return Err(Errno::NOENT),
        }
        Ok(b"OK\0".to_vec())
    }

    fn on_node(
        &mut self,
        caller: Caller,
        request: u32,
        tx: u32,
        path: &str,
        rest: &[u8],
    ) -> Answer {
        let generation = self.tree.generation();
        let mut nodes = match tx {
            0 => self.tree.view(None),
            _ => match self.transactions.get_mut(&tx) {
                Some(one) if one.connection == caller.connection => {
                    self.tree.view(Some(&mut one.pending))
                }
                _ => return Err(Errno::NOENT),
            },
        };
        let domid = caller.domid;
        match request {
            kind::READ => return Ok(nodes.readable(domid, path)?.value.clone()),
            kind::GET_PERMS => {
                let node = nodes.readable(domid, path)?;
                return Ok(wire::encode_permissions(&node.permissions));
            }
            kind::DIRECTORY => return nodes.children(domid, path),
            kind::DIRECTORY_PART => {
                let offset: usize = number(wire::strings(rest).next().unwrap_or_default())?;
                return part(&nodes.children(domid, path)?, offset, generation);
            }
            kind::WRITE => {
                nodes.create(domid, path)?;
                nodes.change(domid, path, |node| node.value = rest.to_vec())?;
            }
            kind::MKDIR => nodes.create(domid, path)?,
            kind::RM => nodes.remove(domid, path)?,
            kind::SET_PERMS => {
                let permissions = wire::decode_permissions(wire::strings(rest))
                    .ok()
                    .filter(|list| !list.is_empty())
                    .ok_or(Errno::INVAL)?;
                let owner = nodes.writable(domid, path)?.permissions.first().copied();
                if domid != DomId::DOM0 && owner.map(|entry| entry.domid) != Some(domid) {
                    return Err(Errno::ACCESS);
                }
                nodes.change(domid, path, |node| node.permissions = permissions)?;
            }
            _ => return Err(Errno::NOSYS),
        }
        if let Some(transaction) = self.transactions.get_mut(&tx) {
            transaction.changed.push(path.to_owned());
        } else {
            self.fire(path, request == kind::RM);
        }
        Ok(b"OK\0".to_vec())
    }

    fn begin(&mut self, caller: Caller) -> Vec<u8> {
        self.last_transaction += 1;
        let transaction = Transaction {
            connection: caller.connection,
            pending: Pending::default(),
            changed: Vec::new(),
        };
        self.transactions.insert(self.last_transaction, transaction);
        format!("{}\0", self.last_transaction).into_bytes()
    }

    fn end(&mut self, caller: Caller, tx: u32, commit: bool) -> Answer {
        let Entry::Occupied(entry) = self.transactions.entry(tx) else {
            return Err(Errno::NOENT);
        };
        if entry.get().connection != caller.connection {
            return Err(Errno::NOENT);
        }
        let transaction = entry.remove();
        if commit {
            self.tree.commit(transaction.pending)?;
            for path in transaction.changed {
                let removed = !self.tree.contains(&path);
                self.fire(&path, removed);
            }
        }
        Ok(b"OK\0".to_vec())
    }

    /// Fires the watches at `path` or above it, and after a removal those below
    /// it.
    fn fire(&self, path: &str, removed: bool) {
        let below = format!("{path}/");
        for watch in &self.watches {
            let above = watch.path == path
                || (path.starts_with(&watch.path)
                    && (watch.path == "/" || path[watch.path.len()..].starts_with('/')));
            if above {
                self.fire_watch(watch, path);
            } else if removed && watch.path.starts_with(&below) {
                self.fire_watch(watch, &watch.path);
            }
        }
    }

    fn fire_last_watch(&self) {
        if let Some(watch) = self.watches.last() {
            self.fire_watch(watch, &watch.path);
        }
    }

    fn fire_watch(&self, watch: &Watch, path: &str) {
        let shown = path.get(watch.prefix..).unwrap_or(path);
        let payload = format!("{shown}\0{}\0", watch.token).into_bytes();
        self.send(
            watch.connection,
            Message {
                kind: kind::WATCH_EVENT,
                request: 0,
                transaction: 0,
                payload,
            },
        );
    }
}

/// The absolute path of a request, and the length of an implied prefix.
fn absolute(caller: Caller, path: &[u8], special: bool) -> Result<(String, usize), Errno> {
    let path = wire::text(path).map_err(|_| Errno::INVAL)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(&byte);
    if path.is_empty() || path.len() > wire::PATH_MAX || !path.bytes().all(plain) {
        return Err(Errno::INVAL);
    }
    if path.starts_with('@') {
        return if special {
            Ok((path, 0))
        } else {
            Err(Errno::INVAL)
        };
    }
    if path == "/" {
        return Ok((path, 0));
    }
    if path.ends_with('/') || path.contains("//") {
        return Err(Errno::INVAL);
    }
    if path.starts_with('/') {
        return Ok((path, 0));
    }
    let prefix = format!("{}/", domain_path(caller.domid));
    Ok((format!("{prefix}{path}"), prefix.len()))
}

/// A part of a long list of children: as many complete names as fit.
fn part(list: &[u8], offset: usize, generation: u64) -> Answer {
    let rest = list.get(offset..).ok_or(Errno::INVAL)?;
    let mut payload = format!("{generation}\0").into_bytes();
    let room = wire::PAYLOAD_MAX - payload.len() - 1;
    if rest.len() <= room {
        payload.extend_from_slice(rest);
        payload.push(0);
    } else {
        let end = rest[..room]
            .iter()
            .rposition(|byte| *byte == 0)
            .ok_or(Errno::TOOBIG)?
            + 1;
        payload.extend_from_slice(&rest[..end]);
    }
    Ok(payload)
}

fn number<T: std::str::FromStr>(field: &[u8]) -> Result<T, Errno> {
    std::str::from_utf8(field)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Errno::INVAL)
}
