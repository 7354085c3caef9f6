// SPDX-License-Identifier: MIT
//! The console to attach to, and the xenstore nodes of its pty.

use std::fmt;
use std::io;

use anyhow::bail;
use xen_io::DomId;
use xen_io::xenstore::{Client, domain_path};

use crate::exit::{self, Why};
use crate::options::Kind;

/// One console of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) domid: DomId,
    kind: Kind,
    number: u32,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "console {} of domain {}", self.console(), self.domid)
    }
}

impl Target {
    /// The console that xenconsole's options name.
    pub(crate) fn of_xenconsole(
        store: &mut Client,
        domid: u16,
        kind: Option<Kind>,
        number: u32,
    ) -> anyhow::Result<Self> {
        let domid = DomId(domid);
        if domid == DomId::DOM0 {
            bail!("the control domain has no console here");
        }
        if let Some(kind @ (Kind::Pv | Kind::Vuart)) = kind {
            return Ok(Self {
                domid,
                kind,
                number,
            });
        }
        let serial = Self {
            domid,
            kind: Kind::Serial,
            number,
        };
        if store.read(&serial.tty_path())?.is_some() {
            return Ok(serial);
        }
        Ok(Self {
            domid,
            kind: Kind::Pv,
            number,
        })
    }

    /// The console by its name: `DOMAIN` or `DOMAIN/CONSOLE`.
    pub(crate) fn find(store: &mut Client, name: &str) -> anyhow::Result<Self> {
        // A domain's name may hold a slash itself.
        let (domain, (kind, number)) = match name.rsplit_once('/') {
            Some((domain, console)) => match parse_console(console) {
                Some(console) => (domain, console),
                None if find_domain(store, name)?.is_some() => (name, (Kind::Pv, 0)),
                None => bail!("{console:?} is no console: pv0, vuart0, serial0 are"),
            },
            None => (name, (Kind::Pv, 0)),
        };
        match find_domain(store, domain)? {
            Some(DomId::DOM0) => bail!("the control domain has no console here"),
            Some(domid) => Ok(Self {
                domid,
                kind,
                number,
            }),
            None => {
                let what = format!("there is no domain {domain:?}");
                Err(exit::because(Why::Missing, what))
            }
        }
    }

    /// The node with the name of its pty.
    pub(crate) fn tty_path(&self) -> String {
        let (domain, number) = (domain_path(self.domid), self.number);
        match (self.kind, number) {
            (Kind::Pv, 0) => format!("{domain}/console/tty"),
            (Kind::Pv, _) => format!("{domain}/device/console/{number}/tty"),
            (Kind::Serial, _) => format!("{domain}/serial/{number}/tty"),
            (Kind::Vuart, _) => format!("{domain}/vuart/{number}/tty"),
        }
    }

    /// Its name within the domain.
    pub(crate) fn console(&self) -> String {
        let kind = match self.kind {
            Kind::Pv => "pv",
            Kind::Serial => "serial",
            Kind::Vuart => "vuart",
        };
        format!("{kind}{}", self.number)
    }
}

/// Whether a name ends in a console of a device model.
pub(crate) fn is_serial(name: &str) -> bool {
    let console = name
        .rsplit_once('/')
        .and_then(|(_, end)| parse_console(end));
    matches!(console, Some((Kind::Serial, _)))
}

fn parse_console(name: &str) -> Option<(Kind, u32)> {
    let digits = name
        .find(|letter: char| letter.is_ascii_digit())
        .unwrap_or(name.len());
    let (kind, number) = name.split_at(digits);
    let kind = match kind {
        "pv" => Kind::Pv,
        "serial" => Kind::Serial,
        "vuart" => Kind::Vuart,
        _ => return None,
    };
    if number.is_empty() {
        Some((kind, 0))
    } else {
        Some((kind, number.parse().ok()?))
    }
}

/// A domain by its name, the newest of several; otherwise by its number.
fn find_domain(store: &mut Client, name: &str) -> io::Result<Option<DomId>> {
    let (mut named, mut numbered) = (None, None);
    for number in store.directory("/local/domain")?.unwrap_or_default() {
        let Ok(domid) = number.parse().map(DomId) else {
            continue;
        };
        let known = store.read(&format!("{}/name", domain_path(domid)))?;
        if known.is_some_and(|known| known == name.as_bytes()) {
            named = named.max(Some(domid));
        }
        if number == name {
            numbered = Some(domid);
        }
    }
    Ok(named.or(numbered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_io::fake::Machine;

    #[test]
    fn consoles_are_named_by_kind_and_number() {
        assert_eq!(parse_console("pv0"), Some((Kind::Pv, 0)));
        assert_eq!(parse_console("vuart"), Some((Kind::Vuart, 0)));
        assert_eq!(parse_console("pv12"), Some((Kind::Pv, 12)));
        for name in ["", "0", "tty0", "pv0x", "pv99999999999", "pv-1"] {
            assert_eq!(parse_console(name), None, "{name:?}");
        }
    }

    #[test]
    fn domains_are_found_by_name_and_number() {
        let machine = Machine::new();
        let first = machine.create_domain("web").unwrap();
        let second = machine.create_domain("1").unwrap();
        let slashed = machine.create_domain("a/b").unwrap();
        // Their numbers have one and two digits.
        let twins: Vec<DomId> = (0..12)
            .map(|_| machine.create_domain("twin").unwrap())
            .collect();
        let mut store = machine.toolstack().unwrap();
        let mut find =
            |name: &str| Target::find(&mut store, name).map(|one| (one.domid, one.console()));
        assert_eq!(find("web").unwrap(), (first, "pv0".into()));
        assert_eq!(find("web/vuart0").unwrap(), (first, "vuart0".into()));
        assert_eq!(
            find("1").unwrap(),
            (second, "pv0".into()),
            "a name comes before a number"
        );
        assert_eq!(find("twin").unwrap().0, *twins.last().unwrap());
        assert_eq!(find("2/pv1").unwrap(), (second, "pv1".into()));
        assert_eq!(find("a/b").unwrap(), (slashed, "pv0".into()));
        for name in ["", "nobody", "web/", "web/tty", "0", "99", "../1"] {
            assert!(find(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn ttys_are_where_xl_looks() {
        let target = |kind, number| {
            Target {
                domid: DomId(7),
                kind,
                number,
            }
            .tty_path()
        };
        assert_eq!(target(Kind::Pv, 0), "/local/domain/7/console/tty");
        assert_eq!(target(Kind::Pv, 2), "/local/domain/7/device/console/2/tty");
        assert_eq!(target(Kind::Serial, 1), "/local/domain/7/serial/1/tty");
        assert_eq!(target(Kind::Vuart, 0), "/local/domain/7/vuart/0/tty");
    }

    #[test]
    fn without_a_type_serial_comes_before_pv() {
        let machine = Machine::new();
        let domid = machine.create_domain("guest").unwrap();
        let mut store = machine.toolstack().unwrap();
        let mut console = |kind| {
            Target::of_xenconsole(&mut store, domid.0, kind, 0).map(|target| target.console())
        };
        assert_eq!(console(None).unwrap(), "pv0");
        assert_eq!(console(Some(Kind::Serial)).unwrap(), "pv0");
        machine
            .toolstack()
            .unwrap()
            .write("/local/domain/1/serial/0/tty", "/dev/pts/9")
            .unwrap();
        assert_eq!(console(None).unwrap(), "serial0");
        assert_eq!(console(Some(Kind::Vuart)).unwrap(), "vuart0");
        assert!(Target::of_xenconsole(&mut store, 0, None, 0).is_err());
    }
}
