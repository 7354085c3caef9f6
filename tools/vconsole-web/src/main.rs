// SPDX-License-Identifier: MIT
//! `vconsole-web`: consoles in a browser, through vconsoled's socket.
#![forbid(unsafe_code)]

use clap::Parser as _;
use tracing_subscriber::filter::LevelFilter;
use vconsole_web::{Options, new_token, serve};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(name) = &options.new_token {
        let (token, line) = new_token(name)?;
        eprintln!("{token}");
        println!("{line}");
        return Ok(());
    }
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(&options))
}
