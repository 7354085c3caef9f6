// SPDX-License-Identifier: MIT
//! The daemon, step by step on a fake host, and a hostile guest: it writes anything
//! to its ring, its registers and its nodes. The daemon continues, and another
//! guest is served exactly.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use arbitrary::Arbitrary;
use rustix::fs::OFlags;
use vconsoled::{Config, Server};
use vpl011::ring::memory::RingMemory;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Outcome, Uart};
use xen_io::DomId;
use xen_io::Page;
use xen_io::fake::{Console, Frontend, Line, Machine};
use xen_io::xenstore::Client;

use crate::all;

const OUT: usize = 1024;
const OUT_PROD: usize = 3084;
const OUT_CONS: usize = 3080;

/// How often the daemon may have to run for one input of a guest.
const TURNS: usize = 2000;
const TURN: Duration = Duration::from_millis(1);

#[derive(Arbitrary, Debug)]
enum Step {
    /// The guest's own ring: any word or byte of the page.
    Word(u16, u32),
    Byte(u16, u8),
    /// Its indices, near their present values.
    Move(u8, i16),
    Notify,
    /// Its UART.
    Load(u8),
    Store(u8, u32),
    Send(u16),
    Event,
    /// Nodes of its second console.
    Node(u8, Value),
    Connect,
    Remove(u8),
    /// A viewer opens or closes its consoles.
    Open(bool),
    Close(bool),
    Type(bool, Vec<u8>),
    Watch(bool),
    /// The daemon runs so many times.
    Serve(u8),
    Destroy,
}

#[derive(Arbitrary, Debug)]
enum Value {
    Number(u32),
    State(u8),
    Bytes(Vec<u8>),
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Number(number) => number.to_string().into_bytes(),
            Self::State(state) => (state % 8).to_string().into_bytes(),
            Self::Bytes(bytes) => bytes.iter().copied().take(3000).collect(),
        }
    }
}

/// A UART in the hypervisor.
struct Vuart {
    uart: Uart<RingPort<Page>>,
    line: Line,
}

impl Vuart {
    fn new(console: Console) -> Self {
        Self {
            uart: Uart::new(RingPort::new(console.page)),
            line: console.line,
        }
    }

    fn done(&self, outcome: Outcome) {
        if outcome.doorbell {
            self.line.notify();
        }
    }

    fn store(&mut self, offset: u16, value: u32) {
        let outcome = self.uart.write(Access::new(offset, Width::Word), value);
        self.done(outcome);
    }

    fn load(&mut self, offset: u16) {
        let outcome = self.uart.read(Access::new(offset, Width::Word));
        self.done(outcome);
    }

    fn event(&mut self) {
        if self.line.wait(Duration::ZERO) {
            let outcome = self.uart.backend_event();
            self.done(outcome);
        }
    }
}

/// The hostile guest, and the viewers of its consoles.
struct Hostile {
    machine: Machine,
    /// The viewers' client of xenstore.
    store: Client,
    domid: DomId,
    pv: Console,
    vuart: Vuart,
    second: Frontend,
    rings: Vec<Console>,
    viewers: [Option<File>; 2],
}

impl Hostile {
    fn new(machine: &Machine) -> std::io::Result<Self> {
        let domid = machine.create_domain("hostile")?;
        let pv = machine.add_pv_console(domid)?;
        let vuart = Vuart::new(machine.add_private_vuart(domid)?);
        let second = machine.add_frontend(domid, 1, &[])?;
        machine.introduce(domid);
        Ok(Self {
            machine: machine.clone(),
            store: machine.toolstack()?,
            domid,
            pv,
            vuart,
            second,
            rings: Vec::new(),
            viewers: [None, None],
        })
    }

    fn perform(&mut self, step: &Step) -> std::io::Result<()> {
        const NODES: [&str; 8] = [
            "state", "ring-ref", "port", "state", "backend", "tty", "type", "x/y",
        ];
        let node = |which: u8| NODES[usize::from(which % 8)];
        match *step {
            Step::Word(at, value) => {
                let words = [3072, 3076, 3080, 3084, 3584, 3588, 3592];
                let at = words.get(usize::from(at)).copied();
                self.pv
                    .page
                    .store_u32(at.unwrap_or((value % 1024) as usize * 4), value);
            }
            Step::Byte(at, value) => self.pv.page.store_u8(usize::from(at % 4096), value),
            Step::Move(which, by) => {
                let at = 3072 + usize::from(which % 4) * 4;
                let value = self.pv.page.load_u32(at).wrapping_add_signed(by.into());
                self.pv.page.store_u32(at, value);
            }
            Step::Notify => self.pv.line.notify(),
            Step::Load(register) => self.vuart.load(u16::from(register % 19) * 4),
            Step::Store(register, value) => {
                self.vuart.store(u16::from(register % 19) * 4, value);
            }
            Step::Send(count) => {
                for byte in 0..count % 3000 {
                    self.vuart.store(0, byte.into());
                }
            }
            Step::Event => self.vuart.event(),
            // The store may refuse the guest.
            Step::Node(which, ref value) => {
                let _refused = self.second.write(node(which), value.bytes());
            }
            Step::Connect => {
                let ring = self.second.connect();
                if self.rings.len() < 8 {
                    self.rings.extend(ring.ok());
                }
            }
            Step::Remove(which) => {
                let _refused = self.second.remove(node(which));
            }
            Step::Open(which) => {
                self.viewers[usize::from(which)] = self.open(which)?;
            }
            Step::Close(which) => self.viewers[usize::from(which)] = None,
            Step::Type(which, ref bytes) => {
                if let Some(viewer) = &mut self.viewers[usize::from(which)] {
                    // Full, or hung up: the daemon is not at fault.
                    let _full = viewer.write(bytes);
                }
            }
            Step::Watch(which) => {
                if let Some(viewer) = &mut self.viewers[usize::from(which)] {
                    let _empty = viewer.read(&mut [0; 4096]);
                }
            }
            Step::Serve(_) => {}
            Step::Destroy => self.machine.destroy(self.domid)?,
        }
        Ok(())
    }

    fn open(&mut self, vuart: bool) -> std::io::Result<Option<File>> {
        let console = if vuart { "vuart/0" } else { "console" };
        open(&mut self.store, self.domid, console)
    }
}

/// Opens the pty of a console, if it has one.
fn open(store: &mut Client, domid: DomId, console: &str) -> std::io::Result<Option<File>> {
    let path = format!("/local/domain/{domid}/{console}/tty");
    let Some(name) = store.read(&path)? else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags);
    Ok(options.open(name).ok())
}

/// Runs the daemon until `done` returns something.
fn serve_until<T>(server: &mut Server, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    for _ in 0..TURNS {
        if let Some(result) = done() {
            return result;
        }
        server.step(TURN).expect("the daemon goes on");
    }
    panic!("waited in vain: {what}");
}

/// A guest that must not be affected.
struct Bystander {
    console: Console,
    viewer: File,
    sent: u8,
}

impl Bystander {
    /// Sends some bytes; the viewer must receive exactly these.
    fn check(&mut self, server: &mut Server) {
        let page = &self.console.page;
        let prod = page.load_u32(OUT_PROD);
        let mut expected = Vec::new();
        for at in 0..5 {
            self.sent = self.sent.wrapping_add(1) & 0x3f;
            let byte = b'0' + self.sent;
            page.store_u8(OUT + (prod.wrapping_add(at) % 2048) as usize, byte);
            expected.push(byte);
        }
        page.barrier();
        page.store_u32(OUT_PROD, prod.wrapping_add(5));
        self.console.line.notify();
        let mut got = Vec::new();
        serve_until(server, "the other guest's output", || {
            let mut buffer = [0; 64];
            let length = self.viewer.read(&mut buffer).unwrap_or(0);
            got.extend_from_slice(&buffer[..length]);
            (got.len() >= expected.len()).then_some(())
        });
        assert_eq!(got, expected);
        assert_eq!(page.load_u32(OUT_CONS), prod.wrapping_add(5));
    }
}

/// Any actions of a guest, with runs of the daemon between them.
pub fn run(data: &[u8]) {
    let machine = Machine::new();
    let domid = machine.create_domain("calm").expect("a domain");
    let console = machine.add_pv_console(domid).expect("a console");
    machine.introduce(domid);
    let mut hostile = Hostile::new(&machine).expect("a guest");
    let platform = machine.platform().expect("a host");
    let mut server = Server::new(platform, Config::default()).expect("a daemon");
    server.begin().expect("a daemon that serves");
    let viewer = serve_until(&mut server, "a tty", || {
        open(&mut hostile.store, domid, "console").expect("xenstore")
    });
    let mut bystander = Bystander {
        console,
        viewer,
        sent: 0,
    };
    bystander.check(&mut server);
    for step in all(data).take(100) {
        hostile.perform(&step).expect("the host works");
        let turns = match step {
            Step::Serve(turns) => usize::from(turns % 16),
            _ => 1,
        };
        for _ in 0..turns {
            server.step(Duration::ZERO).expect("the daemon goes on");
        }
        if matches!(step, Step::Destroy) {
            break;
        }
    }
    bystander.check(&mut server);
    server.end();
    assert_eq!(machine.mapped_pages(hostile.domid), 0, "mapped pages");
}
