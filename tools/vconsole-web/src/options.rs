// SPDX-License-Identifier: MIT
//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Consoles of guests in a web browser.
///
/// The rules of vconsoled, which name a tenant and, as `by`, this program's user,
/// define what the tenant may do.
#[derive(Clone, Debug, Parser)]
#[command(name = "vconsole-web", version)]
pub struct Options {
    /// Vconsoled's control socket
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/vconsoled/control.sock"
    )]
    pub control: PathBuf,
    /// Where to listen [default: 127.0.0.1:7433 unless there is --proxy-socket];
    /// beyond loopback it requires a certificate
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Accept client certificates that these authorities signed (PEM), if the file
    /// of tenants lists them
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub client_ca: Option<PathBuf>,
    /// Who may log in by a token or a certificate: lines `token SHA256 NAME` and
    /// `cert SHA256 NAME`
    #[arg(long, value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// Make a token: the token on standard error, its line for the file of
    /// tenants on standard output
    #[arg(long, value_name = "NAME", exclusive = true)]
    pub new_token: Option<String>,
    /// Listen at a unix socket, for a proxy that names the tenant in a header
    #[arg(long, value_name = "PATH")]
    pub proxy_socket: Option<PathBuf>,
    /// The proxy's user, the only one that may connect there
    #[arg(long, value_name = "USER", requires = "proxy_socket")]
    pub proxy_user: Option<String>,
    /// The header that names the tenant
    #[arg(long, value_name = "NAME", default_value = "x-remote-user")]
    pub proxy_header: String,
    /// Accept requests only from pages of this origin, such as
    /// `https://consoles.example.com` [default: that of the requested host]
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// Minutes without a request after which a session ends
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    pub idle: u32,
    /// Minutes after which every session and its terminals end
    #[arg(long, value_name = "MINUTES", default_value_t = 720)]
    pub life: u32,
    /// The folder with npm's installation of xterm.js; without it there are no
    /// terminals, only the other pages
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/usr/share/vconsole-web/node_modules"
    )]
    pub assets: PathBuf,
}

impl Options {
    /// The TCP address to listen at.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        let default = || SocketAddr::from((Ipv4Addr::LOCALHOST, 7433));
        self.listen
            .or_else(|| self.proxy_socket.is_none().then(default))
    }

    /// How long a session lasts: without a request, and at most.
    pub(crate) fn lives(&self) -> (Duration, Duration) {
        let minutes = |minutes: u32| Duration::from_secs(u64::from(minutes) * 60);
        (minutes(self.idle), minutes(self.life))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_listens_on_loopback_and_its_examples_are_taken() {
        let text = include_str!("../packaging/vconsole-web.default");
        let lines = text.lines().filter_map(|line| {
            let (before, words) = line.split_once("VCONSOLE_WEB_ARGS=\"")?;
            let words = words.strip_suffix('"')?.split(' ');
            let options = Options::try_parse_from(["vconsole-web"].into_iter().chain(words));
            Some((
                before,
                options.unwrap_or_else(|error| panic!("{line}: {error}")),
            ))
        });
        let (holds, examples): (Vec<_>, Vec<_>) = lines.partition(|(before, _)| before.is_empty());
        let [(_, options)] = &holds[..] else {
            panic!("{} lines hold", holds.len());
        };
        assert!(
            options
                .tcp()
                .is_none_or(|address| address.ip().is_loopback())
        );
        assert!(options.tenants.is_some(), "nobody can ever log in");
        assert_eq!(examples.len(), 2);
    }
}
