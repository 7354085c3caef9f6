// SPDX-License-Identifier: MIT
//! The agent inside a Linux guest.

pub mod loopback;
pub mod timing;

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Result;
use xen_io::{DomId, HvmParam, Port, Privcmd, Resource};

use crate::{errno, pattern};

/// Writes `len` bytes of the pattern of `seed` to standard output.
pub fn pattern(seed: u32, len: usize) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&pattern::bytes(seed, len))?;
    out.flush()?;
    Ok(())
}

/// Tries, as root of domain `domid`, everything that would give the guest access to
/// its private ring or to `port`, and prints one JSON object of attempts and their
/// results.
pub fn intrude(domid: u16, port: u32) -> Result<()> {
    println!(
        "{}",
        serde_json::to_string(&attempts(&Privcmd::open()?, domid, Port(port)))?
    );
    Ok(())
}

/// The parameters that a guest must not access.
const PRIVATE: [HvmParam; 3] = [
    HvmParam::VUART_PFN,
    HvmParam::VUART_EVTCHN,
    HvmParam::VUART_BREAK,
];

fn attempts(xen: &Privcmd, domid: u16, port: Port) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let mut note = |what: String, result: io::Result<()>| seen.insert(what, errno::word(&result));
    for (who, domid) in [("self", DomId::SELF), ("number", DomId(domid))] {
        note(
            format!("get 17 by {who}"),
            xen.hvm_param(domid, HvmParam::CONSOLE_PFN).map(drop),
        );
        for param in PRIVATE {
            note(
                format!("get {} by {who}", param.0),
                xen.hvm_param(domid, param).map(drop),
            );
            note(
                format!("set {} by {who}", param.0),
                xen.set_hvm_param(domid, param, 1),
            );
        }
        note(
            format!("map the ring by {who}"),
            xen.map_resource(domid, Resource::VUART).map(drop),
        );
    }
    note("send on the port".to_owned(), xen.evtchn_send(port));
    note("close the port".to_owned(), xen.evtchn_close(port));
    seen
}
