// SPDX-License-Identifier: MIT
//! EDK2 as a guest's firmware, from Debian's source: its platform `ArmVirtXen` with the
//! changes of `tools/vpl011-efi`, for a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Dirs, Key, Steps, files, write};
use xen_hooks::HookSet;

use crate::debian::{host, pins};
use crate::xen::{fetch, jobs};

/// The platform, and the name of its image.
const PLATFORM: &str = "ArmVirtPkg/ArmVirtXen.dsc";
const BUILT: &str = "Build/ArmVirtXen-AARCH64/RELEASE_GCCNOLTO";
const IMAGE: &str = "FV/XEN_EFI.fd";

/// The values that guard its functions' stacks, by their size in bits. EDK2 would make
/// up new ones for each build; they are in a public image either way.
const COOKIES: [(u8, &str); 2] = [(32, "[12779521]"), (64, "[54887648931647488]")];

/// The files that our hooks change.
const HOOKED: [&str; 3] = [
    PLATFORM,
    "BaseTools/Source/C/GenFw/GenFw.c",
    "OvmfPkg/XenBusDxe/XenBusDxe.c",
];

/// EDK2's tools that this platform needs. Others need sources that Debian's package does
/// not contain.
const TOOLS: &str = "DevicePath GenCrc32 GenFfs GenFv GenFw GenSec LzmaCompress VfrCompile";

/// Files that EDK2's own scripts copy to `Conf`, from `BaseTools/Conf`.
const CONFIGURATION: [&str; 3] = ["build_rule", "target", "tools_def"];

/// The time that the image contains: that of our changes, not that of the build.
const TIME: &str = "1795219200";

/// The finished firmware, which Xen boots like a kernel.
pub(crate) fn image(dirs: &Dirs) -> PathBuf {
    dirs.target.join("edk2/efi.fd")
}

/// Debian's list of the source's authors and licences.
pub(crate) fn copyright(dirs: &Dirs) -> PathBuf {
    dirs.target.join("edk2/debian/copyright")
}

/// Fetches and builds it. Returns the step's key.
pub(crate) fn build(steps: &Steps) -> Result<String> {
    let hooks = steps.dirs.root.join("tools/vpl011-efi");
    let folder = steps.dirs.target.join("edk2");
    let [source, packaging] = ["src", "debian"].map(|part| folder.join(part));
    let download = folder.join("download");

    let pins = steps.pins("edk2")?;
    let key = pins::key(&pins).file(&hooks.join("hooks.toml"))?;
    let key = steps.run("edk2 source", key, &[&source], |cx| {
        let said = fetch::unpack(cx, &pins, &download, &source)?;
        // The source has lines that end with a return too, which hooks do not match.
        for file in HOOKED {
            let file = source.join(file);
            let lines = fs::read_to_string(&file)?.replace("\r\n", "\n");
            fs::write(&file, lines)?;
        }
        HookSet::read(&[&hooks], pins.version().to_owned(), &hooks)?.apply(&source)?;
        Ok(said)
    })?;
    let of_debian = steps.pins("edk2-packaging")?;
    let packaging_key = pins::key(&of_debian);
    let packaging_key = steps.run("edk2 packaging", packaging_key, &[&packaging], |cx| {
        fetch::unpack(cx, &of_debian, &download, &packaging)
    })?;

    let image = image(&steps.dirs);
    let key = Key::default().text(key).text(include_str!("edk2.rs"));
    let key = steps.run("edk2", key, &[&image], |cx| {
        tools(cx, &source)?;
        platform(cx, &source, pins.version())?;
        let size = fs::copy(source.join(BUILT).join(IMAGE), &image)?;
        Ok(format!("built, {} KiB", size >> 10))
    })?;
    Ok(Key::default().text(key).text(packaging_key).finish())
}

/// Builds EDK2's own tools, for this machine, and configures them.
fn tools(cx: &Cx, source: &Path) -> Result<()> {
    let mut make = host::make(cx.dirs)?;
    make.arg("-C").arg(source.join("BaseTools/Source/C"));
    cx.run(make.arg(jobs()).arg(format!("APPLICATIONS={TOOLS}")))?;
    for name in CONFIGURATION {
        let template = source.join(format!("BaseTools/Conf/{name}.template"));
        fs::copy(template, source.join(format!("Conf/{name}.txt")))?;
    }
    Ok(())
}

/// Builds the platform.
fn platform(cx: &Cx, source: &Path, version: &str) -> Result<()> {
    files::remove(&source.join("Build"))?;
    for (bits, values) in COOKIES {
        let file = format!("{BUILT}/StackCookieValues{bits}.json");
        write(&source.join(file), values)?;
    }
    let tools = source.join("BaseTools");
    let programs = tools.join("BinWrappers/PosixLike");
    let mut build = Command::new(programs.join("build"));
    host::with_cache(&mut build, cx.dirs, &[&programs])?;
    build
        .args(["-p", PLATFORM, "-a", "AARCH64", "-b", "RELEASE"])
        .args(["-t", "GCCNOLTO", "-n", jobs().trim_start_matches("-j")])
        .args(["-D", &format!("FIRMWARE_VER={version} vpl011")])
        .env("WORKSPACE", source)
        .env("EDK_TOOLS_PATH", &tools)
        .env("PYTHON_COMMAND", "python3")
        .env("GCCNOLTO_AARCH64_PREFIX", "aarch64-linux-gnu-")
        .env("SOURCE_DATE_EPOCH", TIME)
        .current_dir(source);
    cx.run(&mut build)
}
