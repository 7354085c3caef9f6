// SPDX-License-Identifier: MIT
//! A backend that closes its port and binds it again. Xen's signals in between are
//! lost. No bytes are lost because Xen signals a port when it is bound, and the
//! backend then reads the ring again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use vpl011::ring::peer::RingPeer;
use xen_io::{DomId, HvmParam, Page, Platform, Port, Resource};

use crate::daemon::Daemon;
use crate::guest::{self, Config};
use crate::monitor::Monitor;
use crate::pattern;
use crate::report::Report;

/// The longest wait for an event that must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that are handled before each closing.
const EVENTS: usize = 3;

/// A bare-metal guest receives questions without pause, and answers each once.
pub(crate) fn again(report: &mut Report) -> Result<()> {
    let questions = report.amount(1000, 20_000);
    let guest = Config::monitor("again").pl011().create_paused()?;
    let daemon = Daemon::running()?;
    daemon.end(Signal::TERM)?;
    let mut backend = Backend::attach(DomId(guest.domid))?;
    guest::xl(&["unpause", &guest.name])?;
    // The guest echoes words that are no command.
    let words: Vec<String> = (0..questions).map(|n| format!("{n:06}-{n:050}")).collect();
    let asked = words.join("\r") + "\r";
    let answers = words.iter().map(|word| format!("? {word}\r\n"));
    let wanted: String = std::iter::once("monitor\r\n".to_owned())
        .chain(answers)
        .collect();
    let limit = Duration::from_secs(report.amount(150, 1500));
    let served = backend.serve(asked.as_bytes(), wanted.len(), limit);
    if let Some(closed) = report.check_ok("each expected event arrives", served) {
        report.check("the port is closed now and then", closed > 20, closed);
        report.data("closed and bound", closed);
    }
    let answered = String::from_utf8_lossy(&backend.output);
    report.check(
        "every request arrived once, and every reply",
        answered == wanted,
        pattern::difference(answered.as_bytes(), wanted.as_bytes()),
    );
    report.data("bytes from the guest", wanted.len());
    report.data("bytes to the guest", asked.len());
    drop(backend);
    daemon.start_again()?;
    report.check_ok(
        "afterwards the daemon serves it",
        Monitor::open(&guest.name).map(drop),
    );
    Ok(())
}

/// The UART's backend, instead of the daemon.
struct Backend {
    platform: Platform,
    domid: DomId,
    /// Xen's end, and the local port while it is bound.
    remote: Port,
    port: Port,
    ring: RingPeer<Page>,
    output: Vec<u8>,
}

impl Backend {
    fn attach(domid: DomId) -> Result<Self> {
        let mut platform = Platform::open()?;
        let remote = platform
            .hypervisor
            .hvm_param(domid, HvmParam::VUART_EVTCHN)?;
        let remote = Port(remote.try_into()?);
        let page = platform.hypervisor.map_resource(domid, Resource::VUART)?;
        let port = platform.events.bind_interdomain(domid, remote)?;
        let mut ring = RingPeer::new(page);
        ring.enable_event_index();
        platform.events.notify(port)?;
        Ok(Self {
            platform,
            domid,
            remote,
            port,
            ring,
            output: Vec::new(),
        })
    }

    /// Sends `input`, and takes output until there are `wanted` bytes. The ring is
    /// read only at events. Returns how often the port was closed and bound.
    fn serve(&mut self, mut input: &[u8], wanted: usize, limit: Duration) -> Result<usize> {
        let end = Instant::now() + limit;
        let mut events = 0;
        while self.output.len() < wanted {
            if Instant::now() > end {
                bail!("{} of {wanted} bytes after {limit:?}", self.output.len());
            }
            self.exchange(&mut input)?;
            events += 1;
            if events % EVENTS == 0 {
                self.platform.events.unbind(self.port)?;
                self.port = self
                    .platform
                    .events
                    .bind_interdomain(self.domid, self.remote)?;
            }
            if self.output.len() < wanted {
                self.wait()?;
            }
        }
        Ok(events / EVENTS)
    }

    /// Transfers all available bytes, and requests an event for more.
    fn exchange(&mut self, input: &mut &[u8]) -> Result<()> {
        loop {
            let mut buffer = [0; 2048];
            let taken = self.ring.take_out(&mut buffer);
            self.output.extend(&buffer[..taken.bytes]);
            let put = self.ring.put_in(input);
            *input = &input[put.bytes..];
            if taken.notify || put.notify {
                self.platform.events.notify(self.port)?;
            }
            let more = self.ring.arm_out(1);
            let room = !input.is_empty() && self.ring.arm_in(1);
            if !more && !room {
                return Ok(());
            }
        }
    }

    fn wait(&mut self) -> Result<()> {
        let limit = Timespec::try_from(PATIENCE)?;
        let mut fds = [PollFd::new(&self.platform.events, PollFlags::IN)];
        if poll(&mut fds, Some(&limit))? == 0 {
            bail!(
                "no event for {PATIENCE:?} after {} bytes",
                self.output.len()
            );
        }
        let mut ports = Vec::new();
        self.platform.events.pending(&mut ports)?;
        for port in ports {
            self.platform.events.unmask(port)?;
        }
        Ok(())
    }
}
