// SPDX-License-Identifier: MIT
//! The operator's certificate, and those of clients.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use console_proto::Tenant;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;

use crate::options::Options;
use crate::tenants::{Kind, Tenants};

/// The TLS acceptor, if there is a certificate.
pub(crate) fn acceptor(options: &Options) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(chain), Some(key)) = (&options.tls_cert, &options.tls_key) else {
        return Ok(None);
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &options.client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities)? {
                roots.add(authority).with_context(|| named(authorities))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            // Clients without a certificate log in by a token.
            let verifier = verifier.allow_unauthenticated().build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(chain)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| anyhow::anyhow!("{}: {error}", named(key)))?;
    let mut config = builder
        .with_single_cert(chain, private)
        .with_context(|| named(key))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow::anyhow!("{}: {error}", named(file)))?;
    ensure!(!found.is_empty(), "{}: no certificate in it", named(file));
    Ok(found)
}

fn named(file: &Path) -> String {
    format!("the file {}", file.display())
}

/// The tenant that a client's certificate is listed for.
pub(crate) fn tenant(tenants: &Tenants, connection: &ServerConnection) -> Option<Tenant> {
    let certificate = connection.peer_certificates()?.first()?;
    tenants.find(Kind::Certificate, certificate)
}
