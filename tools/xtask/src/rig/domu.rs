// SPDX-License-Identifier: MIT
//! A guest that Xen starts itself (dom0less): its modules in the machine's
//! memory, and its node in the machine's device tree.
//!
//! QEMU makes the tree with dom0's modules; the node is added to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::image::value;

/// The addresses of its kernel and initramfs in the machine's memory, after dom0's.
const KERNEL_AT: u64 = 0x6000_0000;
const INITRD_AT: u64 = 0x6800_0000;

/// Its memory, in MiB.
const MEMORY: u64 = 192;

/// The UART that its node requests.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Vpl011 {
    /// Without a type: an SBSA UART.
    Sbsa,
    /// The whole PL011.
    Pl011,
}

impl Vpl011 {
    /// The property in device tree source.
    fn property(self) -> &'static str {
        match self {
            Self::Sbsa => "vpl011;",
            Self::Pl011 => "vpl011 = \"pl011\";",
        }
    }
}

/// The guest's modules and settings.
#[derive(Debug, Clone)]
pub(crate) struct DomU {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    pub(crate) bootargs: String,
    pub(crate) vpl011: Vpl011,
}

impl DomU {
    /// Has `dump` (QEMU with the option to write its tree to `dtb`) make the machine's
    /// tree, and adds the guest to it.
    pub(crate) fn make_tree(&self, dump: &mut Command, dtb: &Path) -> Result<()> {
        let run = |command: &mut Command| {
            let what = command.get_program().to_string_lossy().into_owned();
            let output = command
                .output()
                .with_context(|| format!("running {what}"))?;
            if !output.status.success() {
                bail!("{what}: {}", String::from_utf8_lossy(&output.stderr));
            }
            anyhow::Ok(String::from_utf8(output.stdout)?)
        };
        run(dump)?;
        let dtc = || {
            let mut dtc = Command::new("dtc");
            dtc.arg("-q");
            dtc
        };
        let machine = run(dtc().args(["-I", "dtb", "-O", "dts"]).arg(dtb))?;
        let source = dtb.with_extension("dts");
        fs::write(&source, machine + &self.node()?)?;
        run(dtc()
            .args(["-I", "dts", "-O", "dtb", "-o"])
            .arg(dtb)
            .arg(&source))?;
        Ok(())
    }

    /// QEMU's options that load the modules into memory.
    pub(crate) fn loaders(&self) -> Vec<String> {
        [(&self.kernel, KERNEL_AT), (&self.initrd, INITRD_AT)]
            .into_iter()
            .flat_map(|(file, at)| {
                let file = value(file);
                [
                    "-device".to_owned(),
                    format!("loader,file={file},addr={at:#x},force-raw=on"),
                ]
            })
            .collect()
    }

    /// The text that is added to the source of the machine's tree.
    fn node(&self) -> Result<String> {
        let module = |kind: &str, file: &Path, at: u64, more: &str| {
            let size = fs::metadata(file)
                .with_context(|| format!("looking at {}", file.display()))?
                .len();
            anyhow::Ok(format!(
                "module@{at:x} {{\n\
                 compatible = \"multiboot,{kind}\", \"multiboot,module\";\n\
                 reg = <0x0 {at:#x} 0x0 {size:#x}>;\n{more}}};\n"
            ))
        };
        let bootargs = format!("bootargs = \"{}\";\n", self.bootargs);
        Ok(format!(
            "/ {{ chosen {{ domU1 {{\n\
             compatible = \"xen,domain\";\n\
             #address-cells = <2>;\n#size-cells = <2>;\n\
             memory = <0x0 {:#x}>;\ncpus = <1>;\n{}\n{}{}}};}};}};\n",
            MEMORY << 10, // in KiB
            self.vpl011.property(),
            module("kernel", &self.kernel, KERNEL_AT, &bootargs)?,
            module("ramdisk", &self.initrd, INITRD_AT, "")?,
        ))
    }
}
