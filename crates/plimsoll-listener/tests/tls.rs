//! Certificates: served, replaced while running, and named when they are bad.

#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use plimsoll_listener::{BindError, ClientAuth, Limits, Listener, ListenerConfig, TlsConfig};
use rcgen::{CertificateParams, CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use support::{GET, read_until, send, start, within};

/// A directory with a certificate and its key.
struct Files {
    dir: TempDir,
    current: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Self { dir, current: CertificateDer::from(vec![]) };
        files.renew();
        files
    }

    fn renew(&mut self) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(self.path("cert.pem"), cert.pem()).unwrap();
        fs::write(self.path("key.pem"), signing_key.serialize_pem()).unwrap();
        self.current = cert.der().clone();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self) -> TlsConfig {
        TlsConfig::new(self.path("cert.pem"), self.path("key.pem"))
    }

    fn bind_error(&self) -> String {
        self.bind_error_of(self.config())
    }

    fn bind_error_of(&self, tls: TlsConfig) -> String {
        let config = ListenerConfig::new("127.0.0.1:0".parse().unwrap()).with_tls(tls);
        let error = Listener::bind(config).unwrap_err();
        assert!(matches!(error, BindError::Tls(_)));
        error.to_string().replace(&format!("{}/", self.dir.path().display()), "")
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

async fn connect(
    addr: SocketAddr,
    trusted: &CertificateDer<'static>,
    alpn: &[&[u8]],
    identity: Option<Identity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let socket = TcpStream::connect(addr).await?;
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(config)).connect(name, socket)).await
}

async fn get(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(GET.as_bytes()).await.unwrap();
    read_until(stream, "0 bytes").await
}

#[tokio::test]
async fn http1_and_http2_are_offered() {
    let files = Files::new();
    let server = start(Limits::default(), Some(files.config()));
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        let stream = connect(server.addr, &files.current, &[alpn], None).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
    }
    let mut stream = connect(server.addr, &files.current, &[], None).await.unwrap();
    get(&mut stream).await;
}

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections_and_disturbs_no_old_one() {
    let mut files = Files::new();
    let server = start(Limits::default(), Some(files.config()));
    let mut old = connect(server.addr, &files.current, &[], None).await.unwrap();
    files.renew();
    server.tls.as_ref().unwrap().reload().unwrap();
    let mut new = connect(server.addr, &files.current, &[], None).await.unwrap();
    get(&mut old).await;
    get(&mut new).await;
}

#[tokio::test]
async fn a_reload_that_fails_leaves_the_old_certificate_in_place() {
    let files = Files::new();
    let server = start(Limits::default(), Some(files.config()));
    fs::write(files.path("cert.pem"), "nothing").unwrap();
    assert!(server.tls.as_ref().unwrap().reload().is_err());
    connect(server.addr, &files.current, &[], None).await.unwrap();
}

#[tokio::test]
async fn a_stalled_handshake_holds_nobody_up_and_is_cut_off() {
    let files = Files::new();
    let limits = Limits { handshake_ms_max: 2_000, ..Limits::default() };
    let server = start(limits, Some(files.config()));
    let mut stalled = send(server.addr, "\x16\x03").await;
    let mut other = connect(server.addr, &files.current, &[], None).await.unwrap();
    get(&mut other).await;
    let mut rest = Vec::new();
    let _ = within(stalled.read_to_end(&mut rest)).await;
    while (server.stats)().handshakes_failed == 0 {
        within(tokio::task::yield_now()).await;
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_costs_one_handshake() {
    let files = Files::new();
    let server = start(Limits::default(), Some(files.config()));
    let mut plain = send(server.addr, GET).await;
    let mut rest = Vec::new();
    let _ = within(plain.read_to_end(&mut rest)).await;
    assert!(!rest.starts_with(b"HTTP/"));
    connect(server.addr, &files.current, &[], None).await.unwrap();
}

#[tokio::test]
async fn a_required_client_certificate_is_required() {
    let files = Files::new();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    fs::write(files.path("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let client_key = KeyPair::generate().unwrap();
    let client = CertificateParams::new(vec!["client".to_owned()])
        .unwrap()
        .signed_by(&client_key, &issuer)
        .unwrap();
    let identity =
        (vec![client.der().clone()], PrivateKeyDer::try_from(client_key.serialize_der()).unwrap());
    let tls = files.config().with_client_ca(files.path("ca.pem"), ClientAuth::Required);
    let server = start(Limits::default(), Some(tls));

    let mut known = connect(server.addr, &files.current, &[], Some(identity)).await.unwrap();
    get(&mut known).await;
    // With TLS 1.3 the client learns of the refusal when it first reads.
    if let Ok(mut unknown) = connect(server.addr, &files.current, &[], None).await {
        let _ = unknown.write_all(GET.as_bytes()).await;
        let mut rest = Vec::new();
        let outcome = within(unknown.read_to_end(&mut rest)).await;
        assert!(outcome.is_err() && rest.is_empty());
    }
}

#[test]
fn a_bad_certificate_or_key_names_the_file() {
    let files = Files::new();
    let other = Files::new();
    let rest = |name: &str| fs::read(files.path(name)).unwrap();
    let (certificate, key) = (rest("cert.pem"), rest("key.pem"));
    let after = |name: &str, text: &[u8]| {
        fs::write(files.path("cert.pem"), &certificate).unwrap();
        fs::write(files.path("key.pem"), &key).unwrap();
        fs::write(files.path(name), text).unwrap();
        files.bind_error()
    };
    assert_eq!(after("cert.pem", b"nothing"), "cert.pem contains no certificate");
    assert_eq!(after("key.pem", b"nothing"), "key.pem contains no unencrypted private key");
    assert_eq!(
        after("key.pem", &fs::read(other.path("key.pem")).unwrap()),
        "the key in key.pem does not belong to the certificate in cert.pem"
    );
    assert_eq!(
        after("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n"),
        "cert.pem is not valid PEM: a section has no end"
    );
    assert!(
        after("cert.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .starts_with("cert.pem is not a usable certificate: ")
    );
    assert!(
        after("key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
            .starts_with("key.pem is not a usable private key: ")
    );
    let missing = TlsConfig::new(files.path("absent.pem"), files.path("key.pem"));
    assert!(files.bind_error_of(missing).starts_with("cannot read absent.pem: "));
}

#[tokio::test]
async fn a_refused_upload_is_answered_over_tls_too() {
    const UPLOAD_BYTES: usize = 10 * 1024 * 1024;
    let files = Files::new();
    let server = start(Limits::default(), Some(files.config()));
    let mut stream = connect(server.addr, &files.current, &[], None).await.unwrap();
    let head = format!("PUT /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: {UPLOAD_BYTES}\r\n\r\n");
    within(async {
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..UPLOAD_BYTES / 65_536 {
            stream.write_all(&[b'x'; 65_536]).await.unwrap();
        }
        stream.flush().await.unwrap();
    })
    .await;
    assert!(read_until(&mut stream, "too large").await.starts_with("HTTP/1.1 413"));
}
