// SPDX-License-Identifier: MIT
//! The bare-metal images written in Rust: `tests/firmware`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use steps::{Key, Steps, cargo};

use crate::debian::host::BARE_TARGET;

/// Its binaries, each with the name of its image.
const IMAGES: [(&str, &str); 5] = [
    ("conformance-image", CONFORMANCE),
    ("arm-pl011-uart-image", "arm-pl011-uart.bin"),
    ("arm-pl011-image", "arm_pl011.bin"),
    ("receivers-image", "receivers.bin"),
    ("small-buffer-image", "small-buffer.bin"),
];

/// The conformance suite.
pub(crate) const CONFORMANCE: &str = "conformance.bin";

/// The images, ready to be loaded.
pub(crate) struct Firmware {
    folder: PathBuf,
    /// A key over all of them.
    pub(crate) key: String,
}

impl Firmware {
    /// Builds every image.
    pub(crate) fn build(steps: &Steps) -> Result<Self> {
        let built = target(steps).join(BARE_TARGET).join("image");
        let folder = steps.dirs.target.join("machine/firmware");
        std::fs::create_dir_all(&folder)?;
        steps.always("build firmware", |cx| {
            cx.run(&mut command(steps, "build"))?;
            Ok("built".into())
        })?;
        let mut key = Key::default();
        for (binary, _) in IMAGES {
            key = key.file(&built.join(binary))?;
        }
        let outputs: Vec<PathBuf> = IMAGES.iter().map(|(_, image)| folder.join(image)).collect();
        let outputs: Vec<_> = outputs.iter().map(PathBuf::as_path).collect();
        let key = steps.run("firmware images", key, &outputs, |cx| {
            for (binary, image) in IMAGES {
                cx.run(
                    Command::new("aarch64-linux-gnu-objcopy")
                        .args(["-O", "binary"])
                        .arg(built.join(binary))
                        .arg(folder.join(image)),
                )?;
            }
            Ok(format!("{} made", IMAGES.len()))
        })?;
        Ok(Self { folder, key })
    }

    /// An image's file.
    pub(crate) fn image(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The names of all images.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        IMAGES.into_iter().map(|(_, image)| image)
    }
}

/// Lints the images and their dependencies, for their own target.
pub(crate) fn lint(steps: &Steps) -> Result<()> {
    steps.always("clippy firmware", |cx| {
        let mut clippy = command(steps, "clippy");
        clippy.args(["--package", "bare-metal", "--lib", "--", "-D", "warnings"]);
        cx.run(&mut clippy)?;
        Ok("clean".into())
    })
}

/// Cargo's folder for the images. It is separate: build scripts of common crates read
/// the variable below, and would run again at each change of it.
fn target(steps: &Steps) -> PathBuf {
    steps.dirs.target.join("firmware")
}

/// Cargo's `verb` for the images and their target.
fn command(steps: &Steps, verb: &str) -> Command {
    let mut command = cargo::locked(verb);
    command.args(["--profile", "image", "--package", "firmware"]);
    command.args(["--features", "firmware/images", "--bins"]);
    command.args(["--target", BARE_TARGET, "--target-dir"]);
    command.arg(target(steps)).current_dir(&steps.dirs.root);
    // The published arm_pl011 enables language features that are stable by now, which a
    // stable compiler otherwise refuses.
    command.env("RUSTC_BOOTSTRAP", "arm_pl011");
    command
}
