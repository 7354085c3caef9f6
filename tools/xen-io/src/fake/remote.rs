// SPDX-License-Identifier: MIT
//! The fake host for programs in other processes, which can be killed while their
//! domains stay.
//!
//! A program connects to a Unix socket and sends one request at a time; pages,
//! the events' descriptor and a connection to xenstore are passed as descriptors.
//! Its resources are released when its connection ends.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::Machine;
use super::machine::ForeignMap;
use crate::interface::{EventChannels, Hypervisor, Platform};
use crate::page::Page;
use crate::types::{DomId, Gfn, GrantRef, HvmParam, Port, Resource, Virq};
use crate::xenstore::Client;

/// Most bytes in an answer.
const DATA_MAX: usize = 1 << 16;
/// Most descriptors with an answer.
const FDS_MAX: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Call {
    Hello,
    HvmParam,
    SetHvmParam,
    MapResource,
    MapGrant,
    MapGfn,
    Unmap,
    ReadConsole,
    BindInterdomain,
    BindUnbound,
    BindVirq,
    Unbind,
    Notify,
    Unmask,
    Pending,
}

impl Call {
    const ALL: [Self; 15] = [
        Self::Hello,
        Self::HvmParam,
        Self::SetHvmParam,
        Self::MapResource,
        Self::MapGrant,
        Self::MapGfn,
        Self::Unmap,
        Self::ReadConsole,
        Self::BindInterdomain,
        Self::BindUnbound,
        Self::BindVirq,
        Self::Unbind,
        Self::Notify,
        Self::Unmask,
        Self::Pending,
    ];
}

#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Request {
    call: u64,
    domid: u64,
    words: [u64; 3],
}

#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Header {
    /// 0, or the error.
    errno: u64,
    value: u64,
    length: u64,
}

/// A successful answer.
#[derive(Default)]
struct Answer {
    value: u64,
    data: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl From<u64> for Answer {
    fn from(value: u64) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

impl Machine {
    /// Serves programs that connect to `socket` with
    /// [`Platform::connect_fake`].
    pub fn listen(&self, socket: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(socket)?;
        let machine = self.clone();
        thread::Builder::new()
            .name("fake-xen".into())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let machine = machine.clone();
                    // If a program cannot be served, its connection closes.
                    let _served = thread::Builder::new()
                        .name("fake-xen-program".into())
                        .spawn(move || Program::serve(machine, stream));
                }
            })?;
        Ok(())
    }
}

/// A connected program, at the host's end.
struct Program {
    machine: Machine,
    events: Box<dyn EventChannels>,
    maps: BTreeMap<u64, ForeignMap>,
    last_map: u64,
}

impl Program {
    fn serve(machine: Machine, mut stream: UnixStream) -> io::Result<()> {
        let mut program = Self {
            events: machine.open_events()?,
            machine,
            maps: BTreeMap::new(),
            last_map: 0,
        };
        let mut request = Request::new_zeroed();
        loop {
            stream.read_exact(request.as_mut_bytes())?;
            let answer = program.answer(request);
            let header = match &answer {
                Ok(answer) => Header {
                    errno: 0,
                    value: answer.value,
                    length: answer.data.len() as u64,
                },
                Err(error) => Header {
                    errno: errno(error),
                    ..Header::default()
                },
            };
            let answer = answer.unwrap_or_default();
            send(&stream, header.as_bytes(), &answer.fds)?;
            stream.write_all(&answer.data)?;
        }
    }

    fn answer(&mut self, request: Request) -> io::Result<Answer> {
        let call = Call::ALL
            .into_iter()
            .find(|call| *call as u64 == request.call);
        let domid = DomId(narrow(request.domid)?);
        let [a, b, c] = request.words;
        let machine = &self.machine;
        Ok(match call.ok_or(Errno::NOSYS)? {
            Call::Hello => Answer {
                fds: vec![
                    self.events.as_fd().try_clone_to_owned()?,
                    machine.store().connect(DomId::DOM0)?.into(),
                ],
                ..Answer::default()
            },
            Call::HvmParam => machine.hvm_param(domid, HvmParam(narrow(a)?))?.into(),
            Call::SetHvmParam => {
                machine.set_hvm_param(domid, HvmParam(narrow(a)?), b)?;
                Answer::default()
            }
            Call::MapResource => {
                let resource = Resource {
                    kind: narrow(a)?,
                    id: narrow(b)?,
                    frame: narrow(c)?,
                };
                let map = machine.map(domid, |domain| domain.resource(resource))?;
                self.hand_over(map)?
            }
            Call::MapGrant => {
                let grant = GrantRef(narrow(a)?);
                let map = machine.map(domid, |domain| domain.grant(grant))?;
                self.hand_over(map)?
            }
            Call::MapGfn => {
                let map = machine.map(domid, |domain| domain.gfn(Gfn(a)))?;
                self.hand_over(map)?
            }
            Call::Unmap => {
                self.maps.remove(&a);
                Answer::default()
            }
            Call::ReadConsole => {
                let mut index = narrow(a)?;
                let length = usize::try_from(b).unwrap_or(0).min(DATA_MAX);
                let mut data = vec![0; length];
                let length = machine.read_console(&mut index, &mut data)?;
                data.truncate(length);
                Answer {
                    value: index.into(),
                    data,
                    ..Answer::default()
                }
            }
            Call::BindInterdomain => {
                let port = self.events.bind_interdomain(domid, Port(narrow(a)?))?;
                u64::from(port.0).into()
            }
            Call::BindUnbound => u64::from(self.events.bind_unbound(domid)?.0).into(),
            Call::BindVirq => u64::from(self.events.bind_virq(Virq(narrow(a)?))?.0).into(),
            Call::Unbind => {
                self.events.unbind(Port(narrow(a)?))?;
                Answer::default()
            }
            Call::Notify => {
                self.events.notify(Port(narrow(a)?))?;
                Answer::default()
            }
            Call::Unmask => {
                self.events.unmask(Port(narrow(a)?))?;
                Answer::default()
            }
            Call::Pending => {
                let mut ports = Vec::new();
                self.events.pending(&mut ports)?;
                Answer {
                    data: ports.iter().flat_map(|port| port.0.to_ne_bytes()).collect(),
                    ..Answer::default()
                }
            }
        })
    }

    fn hand_over(&mut self, map: ForeignMap) -> io::Result<Answer> {
        let fd = map.memory().try_clone_to_owned()?;
        self.last_map += 1;
        self.maps.insert(self.last_map, map);
        Ok(Answer {
            value: self.last_map,
            fds: vec![fd],
            ..Answer::default()
        })
    }
}

impl Platform {
    /// Connects to the fake host that listens at `socket`
    /// ([`Machine::listen`]).
    pub fn connect_fake(socket: &Path) -> io::Result<Self> {
        let host = Host(Arc::new(Mutex::new(UnixStream::connect(socket)?)));
        let mut fds = host.call(Call::Hello, 0, [0; 3])?.fds.into_iter();
        let (Some(wake), Some(store)) = (fds.next(), fds.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(Self {
            hypervisor: Box::new(host.clone()),
            events: Box::new(Channels { host, wake }),
            store: Client::from_stream(UnixStream::from(store))?,
            // A program gets only one connection.
            reopen_store: Box::new(|| Err(io::ErrorKind::ConnectionRefused.into())),
        })
    }
}

/// The host, at a program's end.
#[derive(Clone)]
struct Host(Arc<Mutex<UnixStream>>);

impl Host {
    fn call(&self, call: Call, domid: u16, words: [u64; 3]) -> io::Result<Answer> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let request = Request {
            call: call as u64,
            domid: domid.into(),
            words,
        };
        stream.write_all(request.as_bytes())?;
        let mut header = Header::default();
        let fds = receive(&stream, header.as_mut_bytes())?;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > DATA_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut data = vec![0; length];
        stream.read_exact(&mut data)?;
        match i32::try_from(header.errno) {
            Ok(0) => Ok(Answer {
                value: header.value,
                data,
                fds,
            }),
            Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn map(&self, call: Call, domid: DomId, words: [u64; 3]) -> io::Result<Page> {
        let mut answer = self.call(call, domid.0, words)?;
        let fd = answer.fds.pop().ok_or(io::ErrorKind::InvalidData)?;
        let held = Held {
            host: self.clone(),
            map: answer.value,
        };
        Page::map(fd.as_fd(), 0, held)
    }
}

/// A page that the host counts as mapped.
struct Held {
    host: Host,
    map: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        // A host that is gone needs no unmapping.
        let _forgotten = self.host.call(Call::Unmap, 0, [self.map, 0, 0]);
    }
}

impl Hypervisor for Host {
    fn hvm_param(&self, domid: DomId, param: HvmParam) -> io::Result<u64> {
        let words = [param.0.into(), 0, 0];
        Ok(self.call(Call::HvmParam, domid.0, words)?.value)
    }

    fn set_hvm_param(&self, domid: DomId, param: HvmParam, value: u64) -> io::Result<()> {
        let words = [param.0.into(), value, 0];
        self.call(Call::SetHvmParam, domid.0, words).map(drop)
    }

    fn map_resource(&self, domid: DomId, resource: Resource) -> io::Result<Page> {
        let Resource { kind, id, frame } = resource;
        let words = [kind.into(), id.into(), frame.into()];
        self.map(Call::MapResource, domid, words)
    }

    fn map_grant(&self, domid: DomId, grant: GrantRef) -> io::Result<Page> {
        self.map(Call::MapGrant, domid, [grant.0.into(), 0, 0])
    }

    fn map_gfn(&self, domid: DomId, gfn: Gfn) -> io::Result<Page> {
        self.map(Call::MapGfn, domid, [gfn.0, 0, 0])
    }

    fn read_console(&self, index: &mut u32, buffer: &mut [u8]) -> io::Result<usize> {
        let words = [(*index).into(), buffer.len() as u64, 0];
        let answer = self.call(Call::ReadConsole, 0, words)?;
        let length = answer.data.len().min(buffer.len());
        buffer[..length].copy_from_slice(&answer.data[..length]);
        *index = narrow(answer.value)?;
        Ok(length)
    }
}

/// A program's event channels.
struct Channels {
    host: Host,
    wake: OwnedFd,
}

impl Channels {
    fn port(&self, call: Call, domid: u16, word: u32) -> io::Result<Port> {
        let answer = self.host.call(call, domid, [word.into(), 0, 0])?;
        Ok(Port(narrow(answer.value)?))
    }
}

impl AsFd for Channels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl EventChannels for Channels {
    fn bind_interdomain(&mut self, domid: DomId, remote: Port) -> io::Result<Port> {
        self.port(Call::BindInterdomain, domid.0, remote.0)
    }

    fn bind_unbound(&mut self, domid: DomId) -> io::Result<Port> {
        self.port(Call::BindUnbound, domid.0, 0)
    }

    fn bind_virq(&mut self, virq: Virq) -> io::Result<Port> {
        self.port(Call::BindVirq, 0, virq.0)
    }

    fn unbind(&mut self, port: Port) -> io::Result<()> {
        self.port(Call::Unbind, 0, port.0).map(drop)
    }

    fn notify(&mut self, port: Port) -> io::Result<()> {
        self.port(Call::Notify, 0, port.0).map(drop)
    }

    fn unmask(&mut self, port: Port) -> io::Result<()> {
        self.port(Call::Unmask, 0, port.0).map(drop)
    }

    fn pending(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        let answer = self.host.call(Call::Pending, 0, [0; 3])?;
        let words = answer.data.chunks_exact(4).flat_map(<[u8; 4]>::try_from);
        ports.extend(words.map(|word| Port(u32::from_ne_bytes(word))));
        Ok(())
    }
}

fn errno(error: &io::Error) -> u64 {
    let known = error.raw_os_error().map(i32::unsigned_abs);
    known
        .unwrap_or(Errno::IO.raw_os_error().unsigned_abs())
        .into()
}

fn narrow<T: TryFrom<u64>>(word: u64) -> io::Result<T> {
    T::try_from(word).map_err(|_| Errno::INVAL.into())
}

/// Sends bytes, few enough for one message, with descriptors.
fn send(stream: &UnixStream, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::NOSIGNAL;
    let sent = rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut control, flags)?;
    if sent < bytes.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Receives that many bytes and the descriptors with them.
fn receive(stream: &UnixStream, bytes: &mut [u8]) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::WAITALL | RecvFlags::CMSG_CLOEXEC;
    let want = bytes.len();
    let message = rustix::net::recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    if message.bytes < want {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            fds.extend(received);
        }
    }
    Ok(fds)
}
