// SPDX-License-Identifier: MIT
//! Connections: their time limits, and the peer's identity.

use std::fs::Permissions;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::identity::Peer;
use crate::options::Options;
use crate::room::{Place, Room};
use crate::routes;
use crate::tls;

/// The timeouts of a handshake, and of a request's head.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection lasts, except for terminals.
const CONNECTION: Duration = Duration::from_secs(60);
/// Longest head of a request.
const HEAD_MAX: usize = 16 << 10;
/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening sockets.
pub(crate) struct Listeners {
    tcp: Option<(TcpListener, Option<TlsAcceptor>)>,
    proxy: Option<Proxy>,
}

/// The proxy's socket, removed when this is dropped.
struct Proxy {
    path: PathBuf,
    socket: UnixListener,
    user: u32,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

impl Listeners {
    pub(crate) async fn open(options: &Options) -> anyhow::Result<Self> {
        let tcp = match options.tcp() {
            None => None,
            Some(address) => {
                let acceptor = tls::acceptor(options)?;
                ensure!(
                    acceptor.is_some() || address.ip().is_loopback(),
                    "{address} can be reached from other hosts, which requires --tls-cert and --tls-key"
                );
                let listener = TcpListener::bind(address).await;
                Some((listener.with_context(|| address.to_string())?, acceptor))
            }
        };
        let proxy = options.proxy_socket.as_deref();
        let proxy = proxy.map(|path| Proxy::open(path, options.proxy_user.as_deref()));
        Ok(Self {
            tcp,
            proxy: proxy.transpose()?,
        })
    }

    /// The addresses of the pages, for a browser or a proxy.
    pub(crate) fn addresses(&self) -> io::Result<Vec<String>> {
        let mut addresses = Vec::new();
        if let Some((listener, acceptor)) = &self.tcp {
            let scheme = acceptor.as_ref().map_or("http", |_| "https");
            addresses.push(format!("{scheme}://{}/", listener.local_addr()?));
        }
        let proxy = self.proxy.iter();
        addresses.extend(proxy.map(|proxy| format!("unix:{}", proxy.path.display())));
        Ok(addresses)
    }

    /// Serves all connections.
    pub(crate) async fn serve(&self, app: &Arc<App>) {
        let room = Room::default();
        let router = routes::router(Arc::clone(app));
        let tcp = async {
            let Some((listener, acceptor)) = &self.tcp else {
                return std::future::pending().await;
            };
            loop {
                match listener.accept().await {
                    Ok((stream, from)) => {
                        if let Some(place) = room.take(Some(from.ip())) {
                            let (app, acceptor) = (Arc::clone(app), acceptor.clone());
                            let router = router.clone();
                            tokio::spawn(direct(stream, from.ip(), acceptor, app, router, place));
                        }
                    }
                    Err(error) => pause(&error).await,
                }
            }
        };
        let proxy = async {
            let Some(proxy) = &self.proxy else {
                return std::future::pending().await;
            };
            loop {
                match proxy.accept().await {
                    Ok(stream) => {
                        if let Some(place) = room.take(None) {
                            tokio::spawn(connection(stream, Peer::Proxy, router.clone(), place));
                        }
                    }
                    Err(error) => pause(&error).await,
                }
            }
        };
        tokio::join!(tcp, proxy);
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!("a connection cannot be accepted: {error}");
    sleep(PAUSE).await;
}

impl Proxy {
    fn open(path: &Path, user: Option<&str>) -> anyhow::Result<Self> {
        let user = match user {
            Some(name) => self::user(name).with_context(|| format!("the user {name}"))?,
            None => nix::unistd::geteuid().as_raw(),
        };
        let named = || format!("the socket {}", path.display());
        // Left by an earlier instance.
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path).with_context(named)?;
        }
        let socket = UnixListener::bind(path).with_context(named)?;
        // The peer's user is checked, whatever the mode.
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).with_context(named)?;
        Ok(Self {
            path: path.to_owned(),
            socket,
            user,
        })
    }

    /// The next connection from the proxy; others are closed.
    async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.user => return Ok(stream),
                Ok(peer) => tracing::warn!("user {} is not the proxy", peer.uid()),
                Err(error) => tracing::warn!("the caller cannot be identified: {error}"),
            }
        }
    }
}

fn user(name: &str) -> anyhow::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let user = nix::unistd::User::from_name(name)?;
    Ok(user.context("there is none")?.uid.as_raw())
}

async fn direct(
    stream: TcpStream,
    address: IpAddr,
    acceptor: Option<TlsAcceptor>,
    app: Arc<App>,
    router: Router,
    place: Arc<Place>,
) {
    let peer = |certified| Peer::Direct {
        address,
        secure: acceptor.is_some(),
        certified,
    };
    let Some(acceptor) = &acceptor else {
        return connection(stream, peer(None), router, place).await;
    };
    // A client without TLS, or with a bad certificate, has got an alert in the
    // handshake.
    if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
        let certified = tls::tenant(&app.tenants, stream.get_ref().1);
        connection(stream, peer(certified), router, place).await;
    }
}

/// Serves one connection, which is closed at its time limit; a terminal has its own
/// task and continues.
async fn connection<S>(stream: S, peer: Peer, router: Router, place: Arc<Place>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = router.layer(Extension(peer)).layer(Extension(place));
    let serve = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let _cut_off = timeout(CONNECTION, serve).await;
}
