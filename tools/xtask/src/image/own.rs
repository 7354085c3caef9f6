// SPDX-License-Identifier: MIT
//! A guest whose image is the user's own: the plain dom0's initramfs, followed by the
//! image and its configuration, which Linux unpacks over it.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use steps::{Key, Steps};

use super::dom0::Dom0;
use crate::xen::{Built, Flavour};

/// The image and its configuration in dom0.
const IMAGE: &str = "/guest/own.bin";
const CONFIG: &str = "/guest/guest.cfg";
const DAEMON: &str = "/etc/vconsoled.toml";

/// Magic numbers that Xen's domain builder looks for, and their offsets: the headers of
/// Linux's images for arm64 and arm32 (Documentation/arch/arm64/booting.rst, and
/// `zImage` in Documentation/arch/arm/booting.rst), and gzip's.
const MAGICS: [(usize, [u8; 4]); 2] = [(0x38, *b"ARM\x64"), (0x24, [0x18, 0x28, 0x6f, 0x01])];
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An image of the user's as a guest.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OwnGuest {
    /// Start this image as a guest with `pl011 = 1`, and connect to that console;
    /// ^] leaves it for a shell in dom0
    // Required only if there is another option of these.
    #[arg(long = "guest-image", value_name = "FILE", required = false)]
    image: PathBuf,
    /// The guest's memory, in MiB
    #[arg(
        long = "guest-memory",
        value_name = "MIB",
        default_value_t = 192,
        requires = "image"
    )]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1536))]
    memory: u16,
    /// A further line of its configuration (repeat for more)
    #[arg(long = "guest-line", value_name = "LINE", requires = "image")]
    lines: Vec<String>,
    /// Limit its console's input: bytes a second, or `auto`
    #[arg(
        long,
        value_name = "RATE",
        requires = "image",
        conflicts_with = "stock"
    )]
    input_rate: Option<InputRate>,
}

/// The value of vconsoled's `input-rate`.
#[derive(Debug, Clone)]
enum InputRate {
    Auto,
    Bytes(u32),
}

impl FromStr for InputRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(bytes @ 1..) => Ok(Self::Bytes(bytes)),
            _ => Err("a rate is a number of bytes a second from 1, or `auto`".to_owned()),
        }
    }
}

impl OwnGuest {
    /// dom0's task, for its init.
    pub(crate) const TASK: &str = "attach=vuart shell=1";

    /// Checks, before anything is built, that Xen's domain builder would find a kernel.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(line) = self.lines.iter().find(|line| line.contains('\n')) {
            bail!("{line:?} is more than one line; repeat --guest-line");
        }
        let image = self.image.display();
        let contents = fs::read(&self.image).with_context(|| format!("reading {image}"))?;
        let has = |at: usize, magic: &[u8]| contents.get(at..at + magic.len()) == Some(magic);
        ensure!(
            has(0, &GZIP) || MAGICS.iter().any(|(at, magic)| has(*at, magic)),
            "{image} has no header that Xen can boot: it needs that of an arm64 Linux image \
             (\"ARM\\x64\" at 0x38)"
        );
        Ok(())
    }

    /// The guest's configuration. Stock Xen has the SBSA UART only.
    fn config(&self, flavour: Flavour) -> String {
        let uart = if flavour.is_hooked() {
            "pl011 = 1"
        } else {
            "vuart = \"sbsa_uart\""
        };
        let mut config = format!(
            "name = \"guest\"\nkernel = \"{IMAGE}\"\nmemory = {}\non_crash = \"destroy\"\n{uart}\n",
            self.memory
        );
        for line in &self.lines {
            config += line;
            config.push('\n');
        }
        config
    }

    /// The daemon's configuration, if it is not the default one.
    fn daemon(&self) -> Option<String> {
        let rate = match self.input_rate.as_ref()? {
            InputRate::Auto => "\"auto\"".to_owned(),
            InputRate::Bytes(bytes) => bytes.to_string(),
        };
        Some(format!(
            "[[console]]\ndomain = \"guest\"\nconsole = \"vuart0\"\ninput-rate = {rate}\n"
        ))
    }
}

impl Dom0 {
    /// The same with the user's guest, which its init starts for [`OwnGuest::TASK`].
    pub(crate) fn with_own(&self, steps: &Steps, built: &Built, own: &OwnGuest) -> Result<Self> {
        let config = own.config(built.which.flavour);
        let daemon = own.daemon();
        let key = Key::default()
            .file(&own.image)?
            .text(&config)
            .text(daemon.as_deref().unwrap_or_default());
        self.with_more(steps, built, "own-guest", key, |_, archive| {
            archive.file(IMAGE, &own.image)?;
            archive.text(CONFIG, &config);
            if let Some(daemon) = &daemon {
                archive.text(DAEMON, daemon);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[arg(long)]
        stock: bool,
        #[command(flatten)]
        own: Option<OwnGuest>,
    }

    fn parse(words: &[&str]) -> Result<Option<OwnGuest>, clap::Error> {
        let words = ["boot"].iter().chain(words);
        Line::try_parse_from(words).map(|line| {
            assert!(!line.stock);
            line.own
        })
    }

    #[test]
    fn the_options_become_configurations() {
        let words = [
            "--guest-image=a.bin",
            "--guest-memory=64",
            "--guest-line=vcpus = 2",
            "--guest-line=acpi = 1",
            "--input-rate=960",
        ];
        let own = parse(&words).unwrap().unwrap();
        assert_eq!(
            own.config(Flavour::Ours),
            "name = \"guest\"\nkernel = \"/guest/own.bin\"\nmemory = 64\non_crash = \"destroy\"\n\
             pl011 = 1\nvcpus = 2\nacpi = 1\n"
        );
        assert!(own.config(Flavour::Stock).contains("vuart = \"sbsa_uart\""));
        assert_eq!(
            own.daemon().unwrap(),
            "[[console]]\ndomain = \"guest\"\nconsole = \"vuart0\"\ninput-rate = 960\n"
        );
        let auto = parse(&["--guest-image=a.bin", "--input-rate=auto"]);
        let daemon = auto.unwrap().unwrap().daemon().unwrap();
        assert!(daemon.ends_with("input-rate = \"auto\"\n"));
    }

    #[test]
    fn options_of_a_guest_need_its_image() {
        assert!(parse(&[]).unwrap().is_none());
        for words in [
            ["--guest-memory=64", "--guest-line=a"],
            ["--input-rate=1", "--guest-memory=64"],
            ["--guest-image=a", "--guest-memory=0"],
            ["--guest-image=a", "--input-rate=0"],
            ["--guest-image=a", "--input-rate=fast"],
        ] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
        assert!(parse(&["--guest-image=a", "--input-rate=1", "--stock"]).is_err());
    }

    #[test]
    fn an_image_that_xen_cannot_boot_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        let image = format!("--guest-image={}", path.display());
        let own = parse(&[&image]).unwrap().unwrap();
        let missing = format!("{:#}", own.check().unwrap_err());
        assert!(missing.contains("/image"), "{missing}");
        let mut arm64 = vec![0; 64];
        arm64[0x38..0x3c].copy_from_slice(b"ARM\x64");
        let mut arm32 = vec![0; 64];
        arm32[0x24..0x28].copy_from_slice(&0x016f_2818_u32.to_le_bytes());
        for contents in [arm64, arm32, vec![0x1f, 0x8b, 8]] {
            fs::write(&path, contents).unwrap();
            own.check().unwrap();
        }
        for contents in [b"\x7fELF".to_vec(), vec![0; 64], Vec::new()] {
            fs::write(&path, contents).unwrap();
            let error = own.check().unwrap_err().to_string();
            assert!(
                error.contains("/image") && error.contains("0x38"),
                "{error}"
            );
        }
        let lines = parse(&[&image, "--guest-line=a\nb"]).unwrap().unwrap();
        assert!(
            lines
                .check()
                .unwrap_err()
                .to_string()
                .contains("--guest-line")
        );
    }
}
