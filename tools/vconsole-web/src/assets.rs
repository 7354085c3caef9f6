// SPDX-License-Identifier: MIT
//! Files that pages use. This project's files are compiled in; xterm.js is read
//! once from a folder, so that the build does not require it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use axum::body::Bytes;

/// Longest file of the folder.
const FILE_MAX: u64 = 4 << 20;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// This project's files: name, type and content.
const OWN: [(&str, &str, &str); 6] = [
    ("page.css", CSS, include_str!("../assets/page.css")),
    ("cast.js", JS, include_str!("../assets/cast.js")),
    ("login.js", JS, include_str!("../assets/login.js")),
    ("replay.js", JS, include_str!("../assets/replay.js")),
    ("terminal.js", JS, include_str!("../assets/terminal.js")),
    ("view.js", JS, include_str!("../assets/view.js")),
];

/// The files of xterm.js that terminals require: name, type, and npm's path.
const XTERM: [(&str, &str, &str); 3] = [
    ("xterm.css", CSS, "@xterm/xterm/css/xterm.css"),
    ("xterm.js", JS, "@xterm/xterm/lib/xterm.js"),
    (
        "addon-search.js",
        JS,
        "@xterm/addon-search/lib/addon-search.js",
    ),
];

/// A file and its type.
pub(crate) type Asset = (&'static str, Bytes);

pub(crate) struct Assets {
    xterm: Vec<(&'static str, Asset)>,
}

impl Assets {
    /// Reads the folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let files = XTERM.iter().map(|(name, kind, path)| {
            let bytes = read(&folder.join(path))?;
            Ok((*name, (*kind, Bytes::from(bytes))))
        });
        let xterm = files
            .collect::<io::Result<Vec<_>>>()
            .unwrap_or_else(|error| {
                tracing::warn!("no terminals: xterm.js in {}: {error}", folder.display());
                Vec::new()
            });
        Self { xterm }
    }

    /// Whether terminals are available.
    pub(crate) fn has_terminal(&self) -> bool {
        !self.xterm.is_empty()
    }

    /// The file of that name.
    pub(crate) fn find(&self, name: &str) -> Option<Asset> {
        let own = OWN.iter().find(|(own, ..)| *own == name);
        let own = own.map(|(_, kind, text)| (*kind, Bytes::from_static(text.as_bytes())));
        let mut xterm = self.xterm.iter();
        own.or_else(|| {
            let (_, asset) = xterm.find(|(known, _)| *known == name)?;
            Some(asset.clone())
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let length = File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    if length as u64 == FILE_MAX {
        return Err(io::Error::other("too long"));
    }
    Ok(bytes)
}
