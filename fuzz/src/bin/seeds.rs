// SPDX-License-Identifier: MIT
//! `seeds DIR`: writes each target's seeds into a folder with the target's name.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("which folder?"));
    };
    for (target, seeds) in vpl011_fuzz::seeds::all() {
        fs::create_dir_all(dir.join(target))?;
        for (at, seed) in seeds.iter().enumerate() {
            fs::write(dir.join(target).join(format!("seed-{at}")), seed)?;
        }
    }
    Ok(())
}
