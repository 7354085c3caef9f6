// SPDX-License-Identifier: MIT
//! Sources that are configured by Kconfig, as Linux and U-Boot are: it drops lines that
//! it does not know, or whose conditions are unmet, silently.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use steps::Cx;

use crate::debian::host;

/// make for arm64, with what it makes in another folder than the source.
pub(super) fn make(cx: &Cx, source: &Path, out: &Path) -> Result<Command> {
    let mut make = host::make(cx.dirs)?;
    make.arg("-C").arg(source);
    make.arg(format!("O={}", out.display()));
    make.arg("CROSS_COMPILE=aarch64-linux-gnu-");
    Ok(make)
}

/// Checks that a configuration has every line of a fragment of ours.
pub(super) fn check(fragment: &Path, made: &Path) -> Result<()> {
    let text = fs::read_to_string(made)?;
    for line in fs::read_to_string(fragment)?.lines() {
        ensure!(
            holds(line, &text),
            "{} does not follow `{line}` of {}",
            made.display(),
            fragment.display()
        );
    }
    Ok(())
}

/// Whether a configuration has a line of a fragment; an option with unmet conditions is
/// not listed at all.
fn holds(line: &str, made: &str) -> bool {
    match line
        .strip_prefix("# ")
        .and_then(|line| line.strip_suffix(" is not set"))
    {
        Some(option) => !made.lines().any(|made| {
            made.strip_prefix(option)
                .is_some_and(|rest| rest.starts_with('='))
        }),
        None => line.is_empty() || line.starts_with('#') || made.lines().any(|made| made == line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_line_is_an_error() {
        let made = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C_D=1\n";
        for line in [
            "CONFIG_A=y",
            "# CONFIG_B is not set",
            "# CONFIG_C is not set",
            "",
            "# Text.",
        ] {
            assert!(holds(line, made), "{line}");
        }
        for line in ["CONFIG_B=y", "CONFIG_C_D=2", "# CONFIG_A is not set"] {
            assert!(!holds(line, made), "{line}");
        }
    }
}
