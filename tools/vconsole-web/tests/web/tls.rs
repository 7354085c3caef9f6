// SPDX-License-Identifier: MIT
//! The operator's certificate, and those of clients. The files in `certs` are for
//! these tests only and are valid for a hundred years: one authority, which signed
//! `server`, `alice` and `mallory`, and `stranger`, which it did not sign.

use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Answer, Web, ask, certificate, host};

fn certified(web: &Web, name: Option<&str>) -> Answer {
    let pem = |name: &str| CertificateDer::from_pem_file(certificate(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(pem("ca.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match name {
        None => config.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap();
            let chain = vec![pem(&format!("{name}.pem"))];
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let server = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), server).unwrap();
    let stream = StreamOwned::new(connection, web.connect());
    ask(stream, web.host_port(), "GET", "/", &[], None)
}

/// Arguments for a service with a certificate.
fn words(more: &[&str]) -> Vec<String> {
    let file = |name| certificate(name).display().to_string();
    let words = ["--listen", "127.0.0.1:0", "--tls-cert", &file("server.pem")]
        .map(str::to_owned)
        .into_iter()
        .chain(["--tls-key".to_owned(), file("server.key")])
        .chain(["--client-ca".to_owned(), file("ca.pem")]);
    words
        .chain(more.iter().map(|word| (*word).to_owned()))
        .collect()
}

#[test]
fn a_certificate_counts_if_it_is_signed_and_listed() {
    let host = host();
    let _guest = host.guest("web");
    let listed: String = ["alice", "stranger"]
        .map(|name| {
            let der = CertificateDer::from_pem_file(certificate(&format!("{name}.pem"))).unwrap();
            let hash = ring::digest::digest(&ring::digest::SHA256, &der);
            let hex: Vec<String> = hash
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02X}"))
                .collect();
            format!("cert {} alice\n", hex.concat())
        })
        .concat();
    let words = words(&["--origin", "https://consoles.example"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let web = Web::with(&host, &words, &listed);
    assert!(
        web.address.starts_with("https://127.0.0.1:"),
        "{}",
        web.address
    );
    let alice = certified(&web, Some("alice"));
    assert!(alice.body.contains("/view?c=pv0/web\""), "{alice:?}");
    assert!(
        alice.header("strict-transport-security").is_some(),
        "{alice:?}"
    );
    for name in [None, Some("mallory")] {
        let answer = certified(&web, name);
        assert_eq!(
            answer.header("location"),
            Some("/login"),
            "{name:?}: {answer:?}"
        );
    }
    // Listed, but not signed by the authority; and a client without TLS.
    assert_eq!(certified(&web, Some("stranger")).status, 0);
    assert_eq!(web.get("/", &[]).status, 0);
}

#[test]
fn invalid_options_are_reported() {
    let [pem, key, alice] = ["server.pem", "server.key", "alice.key"]
        .map(|name| certificate(name).display().to_string());
    for (words, what) in [
        (vec!["--listen", "0.0.0.0:0"], "requires --tls-cert"),
        (vec!["--tls-cert", &pem], "--tls-key"),
        (
            vec!["--tls-cert", "/nonesuch", "--tls-key", &key],
            "/nonesuch",
        ),
        (
            vec!["--tls-cert", &pem, "--tls-key", "/nonesuch"],
            "/nonesuch",
        ),
        (
            vec!["--tls-cert", &key, "--tls-key", &key],
            "no certificate",
        ),
        (vec!["--tls-cert", &pem, "--tls-key", &alice], "alice.key"),
        (vec!["--tenants", "/nonesuch"], "/nonesuch"),
        (vec!["--proxy-header", "a b"], "header"),
        (
            vec!["--proxy-socket", "/nonesuch/socket"],
            "/nonesuch/socket",
        ),
        (vec!["--proxy-user", "www-data"], "--proxy-socket"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_vconsole-web"))
            .args(&words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(what),
            "{words:?}: {said}"
        );
    }
}
