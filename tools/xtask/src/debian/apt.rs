// SPDX-License-Identifier: MIT
//! Debian packages of this machine, by its own apt, and the files in packages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};
use pins::offline;
use steps::Cx;

/// The packages of `wanted` that are not installed on this machine.
pub(crate) fn missing_on_host(wanted: &[String]) -> Result<Vec<String>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Package} ${db:Status-Status}\n"])
        .args(wanted)
        .output()
        .map_err(|error| anyhow!("no dpkg-query ({error}): this needs a Debian machine"))?;
    let text = String::from_utf8(output.stdout)?;
    let installed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    Ok(wanted
        .iter()
        .filter(|package| !installed.contains(package.as_str()))
        .cloned()
        .collect())
}

/// The command for a user to install `packages`.
pub(crate) fn install_by_hand(packages: &[String]) -> String {
    format!(
        "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
        packages.join(" ")
    )
}

/// Installs `packages` on this machine.
pub(crate) fn install_on_host(cx: &Cx, packages: &[String]) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "installing packages needs root. Install them by hand, then run this again:\n  {}",
        install_by_hand(packages)
    );
    // Lists of other sources on this machine may fail to load without harm.
    let updated = cx.run(apt_get().arg("update"));
    cx.run(
        apt_get()
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args([
                "install",
                "-y",
                "--no-install-recommends",
                "-o",
                "Dpkg::Use-Pty=false",
                // Another program may be installing, as on a machine just set up.
                "-o",
                "DPkg::Lock::Timeout=600",
            ])
            .args(packages),
    )
    .map_err(|error| offline(&format!("{error:#}")).unwrap_or(error))
    .with_context(|| match updated {
        Ok(()) => String::from("installing packages"),
        Err(_) => String::from("installing packages (apt-get update failed too)"),
    })
}

/// Unpacks a package's files under `root`; runs none of them.
pub(crate) fn extract(cx: &Cx, deb: &Path, root: &Path) -> Result<()> {
    cx.run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(root))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("LC_ALL", "C").arg("-q");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_not_installed_is_missing() {
        let wanted = ["dpkg".to_owned(), "no-such-package".to_owned()];
        assert_eq!(missing_on_host(&wanted).unwrap(), ["no-such-package"]);
    }
}
