// SPDX-License-Identifier: MIT
//! A disk that UEFI boots, laid out as by Debian's installer: a GPT, an EFI system
//! partition and a root partition. And Debian's UEFI for QEMU, which boots it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Cx, Steps};

use super::drive::value;
use crate::debian::packages::Packages;
use crate::debian::{host, programs};

/// Beginnings of the partitions, in MiB; the first one ends where the second begins.
const ESP_AT: u64 = 1;
const ROOT_AT: u64 = 64;

/// What a GPT needs at the end, in MiB.
const END: u64 = 1;

const SECTORS_A_MIB: u64 = 2048;

/// The root file system's UUID, by which a boot loader finds it.
pub(crate) const ROOT_UUID: &str = "9d1f2f36-5a0b-4c0e-8d3e-70c011000013";

/// Features of ext4 that are off: a journal is of no use here, and GRUB may not know
/// the others.
const OFF: &str = "^has_journal,^metadata_csum_seed,^orphan_file";

/// What such a disk contains.
pub(crate) struct EfiDisk<'a> {
    /// The folder whose contents the EFI system partition gets; an empty one without.
    pub(crate) esp: Option<&'a Path>,
    /// The folder whose contents the root partition gets.
    pub(crate) root: &'a Path,
    /// The root partition's size in MiB; the disk's file is sparse.
    pub(crate) size: u64,
}

/// Installs the programs that make such disks.
pub(crate) fn tools(steps: &Steps) -> Result<()> {
    host::install(steps, "disk tools", &Packages::read().disks.packages)
}

impl EfiDisk<'_> {
    /// Makes the disk's file.
    pub(crate) fn make(&self, cx: &Cx, to: &Path) -> Result<()> {
        let file = File::create(to).with_context(|| format!("writing {}", to.display()))?;
        file.set_len((ROOT_AT + self.size + END) << 20)?;
        drop(file);
        let sector = |mib: u64| mib * SECTORS_A_MIB;
        let [esp, root, end] = [ESP_AT, ROOT_AT, ROOT_AT + self.size].map(sector);
        let mut table = Command::new("sgdisk");
        table.arg("--clear");
        table.arg(format!("--new=1:{esp}:{}", root - 1));
        table.arg("--typecode=1:ef00");
        table.arg(format!("--new=2:{root}:{}", end - 1));
        cx.run(table.arg("--typecode=2:8300").arg(to))?;

        let mut fat = Command::new("mkfs.vfat");
        fat.args(["-F", "32", "-s", "1", "-n", "ESP"]);
        fat.args(["--offset", &esp.to_string()]).arg(to);
        cx.run(fat.arg(((ROOT_AT - ESP_AT) << 10).to_string()))?;
        if let Some(folder) = self.esp {
            let mut copy = Command::new("mcopy");
            copy.arg("-s").arg("-i");
            copy.arg(format!("{}@@{ESP_AT}M", to.display()));
            for entry in fs::read_dir(folder)? {
                copy.arg(entry?.path());
            }
            cx.run(copy.arg("::/"))?;
        }

        let mut ext4 = Command::new("mke2fs");
        ext4.args(["-q", "-F", "-t", "ext4", "-O", OFF, "-U", ROOT_UUID]);
        ext4.arg("-E").arg(format!("offset={}", ROOT_AT << 20));
        ext4.arg("-d").arg(self.root).arg(to);
        cx.run(ext4.arg(format!("{}M", self.size)))
    }
}

/// Debian's UEFI for QEMU, without Secure Boot.
#[derive(Debug, Clone)]
pub(crate) struct Uefi {
    code: PathBuf,
    /// Its variables, as they are at first.
    vars: PathBuf,
}

impl Uefi {
    /// Fetches it.
    pub(crate) fn fetch(steps: &Steps) -> Result<Self> {
        let root = steps.dirs.target.join("aavmf");
        programs::unpack(steps, "aavmf", &steps.pins("aavmf")?, &root)?;
        let file = |name: &str| root.join("usr/share/AAVMF").join(name);
        Ok(Self {
            code: file("AAVMF_CODE.no-secboot.fd"),
            vars: file("AAVMF_VARS.fd"),
        })
    }

    /// QEMU's options for it, with variables of its own in a file.
    pub(crate) fn drives(&self, vars: &Path) -> Result<[String; 4]> {
        fs::copy(&self.vars, vars).with_context(|| format!("writing {}", vars.display()))?;
        let drive = |unit: usize, file: &Path, more: &str| {
            let file = value(file);
            format!("if=pflash,unit={unit},format=raw,file={file}{more}")
        };
        Ok([
            "-drive".into(),
            drive(0, &self.code, ",readonly=on"),
            "-drive".into(),
            drive(1, vars, ""),
        ])
    }
}
