// SPDX-License-Identifier: MIT
//! The device's size in the hypervisor, from its objects.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::Steps;

use super::figures::Found;
use crate::xen::Flavour;

/// The device in a built tree, relative to `xen/arch/arm`.
const STOCK: &str = "vpl011.o";
const OURS: &str = "vpl011/core.o";
/// Without code that is freed once Xen has started.
const GLUE: [&str; 5] = [
    "vpl011/console.o",
    "vpl011/device.o",
    "vpl011/lifecycle.o",
    "vpl011/private.o",
    "vpl011/rest.o",
];

/// Adds the sizes of the device in the hypervisor at `image`.
pub(crate) fn measure(
    steps: &Steps,
    image: &Path,
    flavour: Flavour,
    found: &mut Found,
) -> Result<()> {
    let folder = image
        .parent()
        .context("the image's path has no folder")?
        .join("arch/arm");
    let device = if flavour.is_hooked() { OURS } else { STOCK };
    let listing = sections(&[folder.join(device)])?;
    let (text, rodata) = (sum(&listing, ".text"), sum(&listing, ".rodata"));
    found.insert("size_text".into(), text);
    found.insert("size_rodata".into(), rodata);
    let mut all = text + rodata;
    if flavour.is_hooked() {
        let glue = sections(&GLUE.map(|object| folder.join(object)))?;
        all += sum(&glue, ".text") + sum(&glue, ".rodata");
        let header = steps.dirs.root.join("hyp-shim").join("include/vpl011.h");
        let header = std::fs::read_to_string(&header)
            .with_context(|| format!("reading {}", header.display()))?;
        found.insert("size_state".into(), state(&header)?);
    }
    found.insert("size_all".into(), all);
    Ok(())
}

/// Name and size of every section of some objects, a line each.
fn sections(objects: &[PathBuf]) -> Result<String> {
    let output = Command::new("aarch64-linux-gnu-size")
        .arg("-A")
        .args(objects)
        .output()
        .context("running aarch64-linux-gnu-size")?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Bytes of the sections of a kind with its parts, as `.text.unlikely`.
fn sum(listing: &str, kind: &str) -> f64 {
    let sizes = listing.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let part = columns.next()?.strip_prefix(kind)?;
        let is_kind = part.is_empty() || part.starts_with('.');
        is_kind.then(|| columns.next()?.parse::<u32>().ok())?
    });
    sizes.map(f64::from).sum()
}

/// Bytes of a device's state, as in the C ABI.
fn state(header: &str) -> Result<f64> {
    header
        .lines()
        .find_map(|line| line.strip_prefix("#define VPL011_STATE_SIZE"))
        .and_then(|size| size.trim().parse().ok())
        .context("the header has no size of a state")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_of_a_kind_are_summed() {
        let listing = "device.o  :\n\
             section           size   addr\n\
             .text              100      0\n\
             .text.unlikely      20      0\n\
             .textual             1      0\n\
             .rodata.str1.8       3      0\n\
             Total              124\n\n\
             other.o  :\n\
             .text              400      0\n";
        assert!((sum(listing, ".text") - 520.0).abs() < 0.1);
        assert!((sum(listing, ".rodata") - 3.0).abs() < 0.1);
    }

    #[test]
    fn the_states_size_is_in_the_header() {
        let header = "#define VPL011_STATE_ALIGN 8\n#define VPL011_STATE_SIZE  512\n";
        assert!((state(header).unwrap() - 512.0).abs() < 0.1);
        assert!(state("").is_err());
    }
}
