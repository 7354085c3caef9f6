// SPDX-License-Identifier: MIT
//! The conformance suite as a bare-metal guest. Its results and requests are on the
//! PV console; both rings are served here instead of by the daemon, because the
//! suite requires that the far side of its UART can stall.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use conformance::protocol::{BODY_MAX, Body, Peer, Reader, answer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use vpl011::ring::peer::RingPeer;
use xen_io::xenstore::domain_path;
use xen_io::{DomId, Gfn, GrantRef, HvmParam, Page, Platform, Port, Resource};

use crate::daemon::Daemon;
use crate::far_side::FarSide;
use crate::guest::{self, Config, Guest};
use crate::report::Report;
use crate::suite::{Ending, Results, Verdicts};

/// The longest wait for the suite's next message, in the slowest emulation.
const PATIENCE: Duration = Duration::from_secs(120);

/// The longest run of the whole suite.
pub(super) const WHOLE: Duration = Duration::from_secs(600);

/// The image in dom0's `/guest`.
const IMAGE: &str = "conformance.bin";

/// On our UART's private ring.
pub(crate) fn ours(report: &mut Report) -> Result<()> {
    let guest = Config::firmware("conformance", IMAGE)
        .pl011()
        .create_paused()?;
    let results = run(report, guest)?;
    for (case, ending) in conformance::all().zip(&results) {
        if ending.is_fault() {
            let id = format_args!("{} {}", case.group, case.name);
            report.check(id, false, format_args!("{ending:?}"));
        }
    }
    let passed = results.iter().filter(|ending| **ending == Ending::Pass);
    report.check_eq(
        "cases that pass",
        &passed.count(),
        &conformance::all().count(),
    );
    report.data("conformance", results);
    Ok(())
}

/// On the ring of Xen's own UART, which fails many cases: a PL011 if this Xen has
/// one, as AMD's does.
pub(crate) fn stock(report: &mut Report) -> Result<()> {
    let config = || Config::firmware("conformance", IMAGE);
    let whole = config().with("vuart = \"pl011\"").create_paused();
    let guest = whole.or_else(|_| config().sbsa().create_paused())?;
    let results = run(report, guest)?;
    let missing = results.iter().filter(|ending| **ending == Ending::Missing);
    report.check_eq("cases that did not run", &missing.count(), &0);
    report.data("conformance", results);
    Ok(())
}

/// Runs the suite in a guest, as far as possible. xl needed a daemon that gives a
/// new domain its console; from here on there is none.
fn run(report: &mut Report, guest: Guest) -> Result<Results> {
    let daemon = Daemon::running()?;
    daemon.end(Signal::TERM)?;
    let mut verdicts = Verdicts::default();
    if let Err(error) = serve(&guest, &mut verdicts) {
        report.check("the suite ran to its end", false, format_args!("{error:#}"));
    }
    drop(guest);
    daemon.start_again()?;
    Ok(verdicts.finish())
}

/// Starts the guest and serves both its consoles until the suite is done.
fn serve(guest: &Guest, verdicts: &mut Verdicts) -> Result<()> {
    let mut backend = Backend::attach(DomId(guest.domid))?;
    guest::xl(&["unpause", &guest.name])?;
    let end = Instant::now() + WHOLE;
    let mut reader = Reader::default();
    while Instant::now() < end {
        backend.wait()?;
        for byte in backend.suite.side.output(usize::MAX) {
            let Some(message) = reader.push(byte) else {
                continue;
            };
            let request = message.request().context("invalid request of the suite")?;
            if verdicts.take(&request) {
                return Ok(());
            }
            if let Some(message) = answer(&mut backend, &request) {
                let mut bytes = Vec::new();
                message.send(|part| bytes.extend(part));
                let notify = backend.suite.side.exchange(0, &bytes);
                backend.suite.notify_if(notify, &mut backend.platform)?;
            }
        }
    }
    bail!("the suite was not done after {WHOLE:?}")
}

/// A console of the guest.
struct Console {
    side: FarSide<Page>,
    port: Port,
}

impl Console {
    fn attach(page: Page, remote: Port, domid: DomId, platform: &mut Platform) -> Result<Self> {
        let port = platform.events.bind_interdomain(domid, remote)?;
        let console = Self {
            side: FarSide::new(RingPeer::new(page)),
            port,
        };
        console.notify_if(true, platform)?;
        Ok(console)
    }

    fn notify_if(&self, notify: bool, platform: &mut Platform) -> Result<()> {
        if notify {
            platform.events.notify(self.port)?;
        }
        Ok(())
    }
}

/// The backend of the suite's two consoles.
struct Backend {
    platform: Platform,
    domid: DomId,
    /// The PV console, which carries the suite's messages.
    suite: Console,
    uart: Console,
    /// The first error while a request was answered.
    trouble: Option<anyhow::Error>,
}

impl Backend {
    fn attach(domid: DomId) -> Result<Self> {
        let mut platform = Platform::open()?;
        let domain = domain_path(domid);
        let page = platform.hypervisor.map_grant(domid, GrantRef::CONSOLE)?;
        let port = Port(number(&mut platform, &format!("{domain}/console/port"))?);
        let suite = Console::attach(page, port, domid, &mut platform)?;
        let node = format!("{domain}/vuart/0");
        let (page, port) = if platform.store.read(&format!("{node}/type"))? == Some(b"pl011".into())
        {
            let port = platform
                .hypervisor
                .hvm_param(domid, HvmParam::VUART_EVTCHN)?;
            let page = platform.hypervisor.map_resource(domid, Resource::VUART)?;
            (page, Port(port.try_into()?))
        } else {
            let gfn = Gfn(number(&mut platform, &format!("{node}/ring-ref"))?.into());
            let page = platform.hypervisor.map_gfn(domid, gfn)?;
            (page, Port(number(&mut platform, &format!("{node}/port"))?))
        };
        let uart = Console::attach(page, port, domid, &mut platform)?;
        Ok(Self {
            platform,
            domid,
            suite,
            uart,
            trouble: None,
        })
    }

    /// Waits for an event and serves its ring.
    fn wait(&mut self) -> Result<()> {
        if let Some(error) = self.trouble.take() {
            return Err(error);
        }
        let limit = Timespec::try_from(PATIENCE)?;
        if poll(
            &mut [PollFd::new(&self.platform.events, PollFlags::IN)],
            Some(&limit),
        )? == 0
        {
            bail!("the suite printed nothing for {PATIENCE:?}");
        }
        let mut ports = Vec::new();
        self.platform.events.pending(&mut ports)?;
        for port in ports {
            self.platform.events.unmask(port)?;
            for console in [&mut self.suite, &mut self.uart] {
                if console.port == port {
                    let notify = console.side.work();
                    console.notify_if(notify, &mut self.platform)?;
                }
            }
        }
        Ok(())
    }

    /// Notifies the UART's end, which has finished its work on return.
    fn notify_uart(&mut self, notify: bool) {
        if let Err(error) = self.uart.notify_if(notify, &mut self.platform) {
            self.trouble.get_or_insert(error);
        }
    }
}

impl Peer for Backend {
    fn exchange(&mut self, take: u16, input: &[u8]) -> Body {
        let notify = self.uart.side.exchange(take.into(), input);
        self.notify_uart(notify);
        self.uart.side.output(BODY_MAX).into_iter().collect()
    }

    fn hold(&mut self, hold: bool) -> bool {
        let notify = self.uart.side.hold(hold);
        self.notify_uart(notify);
        true
    }

    fn send_break(&mut self) -> bool {
        let param = HvmParam::VUART_BREAK;
        self.platform
            .hypervisor
            .set_hvm_param(self.domid, param, 1)
            .is_ok()
    }

    fn reset(&mut self) {
        let notify = self.uart.side.reset();
        self.notify_uart(notify);
    }
}

/// A node with a number.
fn number(platform: &mut Platform, path: &str) -> Result<u32> {
    let value = platform
        .store
        .read(path)?
        .with_context(|| format!("no {path}"))?;
    Ok(std::str::from_utf8(&value)?.parse()?)
}
