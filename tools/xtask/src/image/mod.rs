// SPDX-License-Identifier: MIT
//! Boot images: dom0's initramfs, which contains the guest's.

mod archive;
pub(crate) mod cloud;
mod disk;
mod dom0;
mod drive;
mod edk2;
mod efi;
mod firmware;
mod guest;
mod installer;
mod kconfig;
mod kernel;
mod kgdb;
mod libraries;
mod overlay;
mod own;
mod systemd;
mod u_boot;
mod uefi;
mod web;

pub(crate) use self::disk::{Disk, System, make_filesystem};
pub(crate) use self::dom0::Dom0;
pub(crate) use self::drive::{drive, value};
pub(crate) use self::efi::Uefi;
pub(crate) use self::firmware::{CONFORMANCE, Firmware, lint as lint_firmware};
pub(crate) use self::kernel::{Kernel, Kernels};
pub(crate) use self::own::OwnGuest;
