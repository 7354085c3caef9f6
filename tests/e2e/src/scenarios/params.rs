// SPDX-License-Identifier: MIT
//! A toolstack sets the private parameters to wrong values, on a domain under
//! construction; then to valid ones, and the device works.

use std::time::Duration;

use anyhow::Result;
use vpl011::ring::memory::RingMemory;
use xen_io::page::Page;
use xen_io::privcmd::PortState;
use xen_io::{DomId, HvmParam, Port, Privcmd, Resource};

use crate::guest::{Config, xl};
use crate::report::Report;
use crate::spare::SpareDisk;
use crate::{command, errno};

/// The page of the UART, in the RAM reserved for rings (Xen `GUEST_MAGIC_BASE`).
const RING_GFN: u64 = 0x3_9003;
/// The parameter with xenstore's port (Xen `HVM_PARAM_STORE_EVTCHN`).
const STORE_EVTCHN: HvmParam = HvmParam(2);
/// Offset of the ring's `out` bytes.
const OUT: usize = 1024;

/// A domain under construction, for setting its parameters.
struct Site<'a> {
    xen: Privcmd,
    domid: DomId,
    report: &'a mut Report,
}

/// All wrong values, each without effect, then the valid ones.
pub(crate) fn params(report: &mut Report) -> Result<()> {
    let _disk = SpareDisk::new()?;
    let guest = Config::monitor("site")
        .with(SpareDisk::LINE)
        .create_paused()?;
    let mut site = Site {
        xen: Privcmd::open()?,
        domid: DomId(guest.domid),
        report,
    };
    let good = site.xen.evtchn_alloc_unbound(site.domid, DomId::DOM0)?;

    let brk = HvmParam::VUART_BREAK;
    site.refuse("a break before the domain runs", brk, 1, "EPERM");
    site.refuse(
        "the port before the page",
        HvmParam::VUART_EVTCHN,
        good.0.into(),
        "EINVAL",
    );
    for (what, gfn) in [
        ("a gfn outside RAM", 0x7_ffff),
        ("the gfn of the interrupt controller", 0x3001),
        ("a gfn beyond the address space", 1 << 52),
        ("the last gfn of 64 bits", u64::MAX),
    ] {
        site.refuse(what, HvmParam::VUART_PFN, gfn, "EINVAL");
    }
    site.accept("a gfn of RAM", HvmParam::VUART_PFN, RING_GFN);
    site.refuse(
        "the page set twice",
        HvmParam::VUART_PFN,
        RING_GFN,
        "EEXIST",
    );
    site.refuse("another page", HvmParam::VUART_PFN, RING_GFN - 1, "EEXIST");

    site.wrong_ports()?;
    site.accept("an unbound port", HvmParam::VUART_EVTCHN, good.0.into());
    site.refuse(
        "the port set twice",
        HvmParam::VUART_EVTCHN,
        good.0.into(),
        "EEXIST",
    );
    let other = site.xen.evtchn_alloc_unbound(site.domid, DomId::DOM0)?;
    site.refuse(
        "another port",
        HvmParam::VUART_EVTCHN,
        other.0.into(),
        "EEXIST",
    );

    site.wrong_resources();
    xl(&["unpause", &guest.name])?;
    site.refuse(
        "the page once it runs",
        HvmParam::VUART_PFN,
        RING_GFN,
        "EPERM",
    );
    site.refuse(
        "the port once it runs",
        HvmParam::VUART_EVTCHN,
        good.0.into(),
        "EPERM",
    );
    for (what, breaks) in [
        ("no break", 0),
        ("two breaks", 2),
        ("a break of more than 32 bits", 1 << 32 | 1),
    ] {
        site.refuse(what, brk, breaks, "EINVAL");
    }
    site.refuse_domain("a domain that does not exist", DomId(0x7000));

    let ring = site.xen.map_resource(site.domid, Resource::VUART)?;
    let printed = command::poll(Duration::from_secs(20), || {
        &first_bytes(&ring) == b"monitor"
    });
    let text = first_bytes(&ring);
    report.check(
        "the guest prints into the ring",
        printed,
        String::from_utf8_lossy(&text),
    );
    // No backend reads its ring: it would poll for room all the time.
    guest.destroy()?;
    breaks_need_a_uart(report)
}

/// A break for guests with a UART, and for one without.
fn breaks_need_a_uart(report: &mut Report) -> Result<()> {
    let xen = Privcmd::open()?;
    for (config, wanted) in [
        (Config::monitor("with").pl011(), "ok"),
        (Config::monitor("stock").sbsa(), "ok"),
        (Config::monitor("without"), "ENODEV"),
    ] {
        let guest = config.create()?;
        let sent = xen.set_hvm_param(DomId(guest.domid), HvmParam::VUART_BREAK, 1);
        report.check_eq(
            format_args!("a break for the guest \"{}\"", guest.name),
            &errno::word(&sent).as_str(),
            &wanted,
        );
        let kept = xen.hvm_param(DomId(guest.domid), HvmParam::VUART_BREAK);
        report.check(
            "reads as 0",
            matches!(kept, Ok(0)),
            format_args!("{kept:?}"),
        );
    }
    Ok(())
}

impl Site<'_> {
    fn refuse(&mut self, what: &str, param: HvmParam, value: u64, wanted: &str) {
        let before = self.xen.hvm_param(self.domid, param).ok();
        let seen = errno::word(&self.xen.set_hvm_param(self.domid, param, value));
        let after = self.xen.hvm_param(self.domid, param).ok();
        self.report.check(
            what,
            seen == wanted && after == before,
            format_args!("{seen}, then {after:x?}"),
        );
    }

    fn accept(&mut self, what: &str, param: HvmParam, value: u64) {
        let seen = errno::word(&self.xen.set_hvm_param(self.domid, param, value));
        let after = self.xen.hvm_param(self.domid, param).ok();
        self.report.check(
            what,
            seen == "ok" && after == Some(value),
            format_args!("{seen}, then {after:x?}"),
        );
    }

    fn refuse_domain(&mut self, what: &str, domid: DomId) {
        let seen = errno::word(&self.xen.set_hvm_param(domid, HvmParam::VUART_PFN, RING_GFN));
        self.report.check_eq(what, &seen.as_str(), &"ESRCH");
    }

    fn wrong_ports(&mut self) -> Result<()> {
        let bound = self.xen.hvm_param(self.domid, STORE_EVTCHN)?;
        let state = self
            .xen
            .evtchn_status(self.domid, Port(u32::try_from(bound)?))?
            .state;
        let is_bound = matches!(state, PortState::Interdomain(..));
        self.report.check(
            "xenstore's port is bound",
            is_bound,
            format_args!("{state:?}"),
        );
        // A port of dom0, whose number is not a port of the domain.
        let foreign = self.xen.evtchn_alloc_unbound(DomId::SELF, self.domid)?;
        let there = self
            .xen
            .evtchn_status(self.domid, foreign)
            .map(|status| status.state);
        let is_foreign = !matches!(there, Ok(PortState::Unbound(_)));
        self.report.check(
            "dom0's port is not the domain's",
            is_foreign,
            format_args!("{there:?}"),
        );
        for (what, port) in [
            ("a port that is bound", bound),
            ("a port of another domain", foreign.0.into()),
            ("a port that is closed", 600),
            ("port 0", 0),
            ("a port beyond the last", u64::from(u32::MAX)),
            ("a port of more than 32 bits", 1 << 32 | 5),
        ] {
            self.refuse(what, HvmParam::VUART_EVTCHN, port, "EINVAL");
        }
        self.xen.evtchn_close(foreign)?;
        Ok(())
    }

    fn wrong_resources(&mut self) {
        for (what, resource) in [
            (
                "the ring's second frame",
                Resource {
                    frame: 1,
                    ..Resource::VUART
                },
            ),
            (
                "a second ring",
                Resource {
                    id: 1,
                    ..Resource::VUART
                },
            ),
        ] {
            let seen = errno::word(&self.xen.map_resource(self.domid, resource));
            self.report.check_eq(what, &seen.as_str(), &"EINVAL");
        }
    }
}

fn first_bytes(ring: &Page) -> [u8; 7] {
    let mut bytes = [0; 7];
    ring.load_bytes(OUT, &mut bytes);
    bytes
}
