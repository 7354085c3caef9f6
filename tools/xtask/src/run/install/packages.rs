// SPDX-License-Identifier: MIT
//! Which packages and which store of Xen a host has.

use anyhow::Result;

use super::host::Host;
use crate::run::outside::Checks;

/// Installed packages of Xen, with their versions.
const PACKAGES: &str = "dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\\n' \
                        'xen*' 'libxen*' | grep ^ii";

/// The stores that run, and the one that Debian's init script knows.
pub(super) const STORES: &str = "pgrep -lx 'oxenstored|xenstored'; cat /run/xenstore.pid";

/// Checks the version of each installed package of Xen.
pub(super) fn versions(
    host: &mut Host,
    checks: &mut Checks,
    id: &str,
    is_right: fn(&str) -> bool,
) -> Result<()> {
    let packages = host.run(PACKAGES)?;
    let versions: Vec<&str> = packages.split_whitespace().skip(2).step_by(3).collect();
    let right = versions.iter().filter(|version| is_right(version)).count();
    checks.check(id, right > 10 && right == versions.len(), packages);
    Ok(())
}

/// Checks that one store runs, and that the init script's file names it.
pub(super) fn one_store(host: &mut Host, checks: &mut Checks, program: &str) -> Result<()> {
    let stores = host.run(STORES)?;
    let alone = match *stores.split_whitespace().collect::<Vec<_>>() {
        [id, name, known] => id == known && name == program,
        _ => false,
    };
    checks.check(&format!("{program} is the only store"), alone, stores);
    Ok(())
}
