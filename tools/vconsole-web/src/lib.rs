// SPDX-License-Identifier: MIT
//! Consoles in a browser. A service without privileges: it identifies the tenant,
//! and passes its name in each request to vconsoled, which checks the tenant's
//! rights. It stores no output and no rules.
#![forbid(unsafe_code)]

mod app;
mod assets;
mod bridge;
mod daemon;
mod html;
mod identity;
mod limits;
mod listen;
mod options;
mod pages;
mod room;
mod routes;
mod sessions;
mod tenants;
mod tls;

use std::sync::Arc;

use anyhow::Context as _;

pub use options::Options;
pub use tenants::new_token;

use app::App;
use listen::Listeners;

/// Serves until a signal ends it.
pub async fn serve(options: &Options) -> anyhow::Result<()> {
    let app = Arc::new(App::new(options)?);
    let listeners = Listeners::open(options).await?;
    for address in listeners.addresses()? {
        // For the caller, if the kernel chose the port.
        println!("{address}");
    }
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("SIGTERM")?;
    tokio::select! {
        () = listeners.serve(&app) => {}
        _ = end.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
