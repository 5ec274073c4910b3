//! The same API behind a certificate, over HTTP/1.1 and HTTP/2.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use plimsoll_listener::TlsConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{ROOT, Running};

/// A server with a certificate of its own making.
struct Secured {
    server: Running,
    certificate: CertificateDer<'static>,
    _files: TempDir,
}

impl Secured {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (chain, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        fs::write(&chain, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        let server = Running::dev_with(|options| {
            options.config.listeners[0].tls = Some(TlsConfig::new(&chain, &key));
        });
        Self { server, certificate: cert.der().clone(), _files: files }
    }

    async fn connect(&self, protocol: &[u8]) -> TokioIo<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        TokioIo::new(stream)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("https://localhost/v1/{path}");
    let request = Request::builder().method(method).uri(uri).header("x-vault-token", ROOT);
    request.body(Full::new(body.into())).unwrap()
}

async fn json_of(response: Response<hyper::body::Incoming>) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[test]
fn http1_behind_tls_is_the_same_api() {
    let secured = Secured::start();
    runtime().block_on(async {
        let io = secured.connect(b"http/1.1").await;
        let (mut client, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let mut send = async |request| json_of(client.send_request(request).await.unwrap()).await;
        let body = json!({ "data": { "k": "v" } }).to_string();
        assert_eq!(send(request("POST", "secret/data/a", body)).await.0, 200);
        let (status, read) = send(request("GET", "secret/data/a", "")).await;
        assert_eq!((status, &read["data"]["data"]["k"]), (200, &json!("v")));
        assert_eq!(send(request("GET", "secret/%2e%2e/a", "")).await.0, 400);
    });
}

#[test]
fn http2_behind_tls_is_the_same_api() {
    let secured = Secured::start();
    runtime().block_on(async {
        let io = secured.connect(b"h2").await;
        let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let send =
            async |request| json_of(client.clone().send_request(request).await.unwrap()).await;
        let body = json!({ "data": { "k": "v" } }).to_string();
        assert_eq!(send(request("POST", "secret/data/a", body)).await.0, 200);
        let (status, read) = send(request("GET", "secret/data/a", "")).await;
        assert_eq!((status, &read["data"]["data"]["k"]), (200, &json!("v")));
        for (bad, status) in [
            (request("GET", "secret/%2e%2e/a", ""), 400),
            (request("POST", "secret/data/a", "{"), 400),
            (request("POST", "secret/data/a", "[".repeat(10_000)), 400),
            (request("BREW", "secret/data/a", ""), 405),
            (request("GET", "nobody/a", ""), 404),
        ] {
            let (got, body) = send(bad).await;
            assert_eq!(got, status, "{body}");
            assert!(body["errors"].is_array(), "{body}");
        }
        let mut forced = request("POST", "secret/data/a", "{}");
        forced.headers_mut().insert("x-vault-aop-force-reject", "true".parse().unwrap());
        let (status, body) = send(forced).await;
        assert_eq!((status, &body["executed"]), (503, &json!(false)));
        let mut twice = request("GET", "secret/data/a", "");
        twice.headers_mut().append("x-vault-token", "other".parse().unwrap());
        assert_eq!(send(twice).await.0, 400);
        // One refused request costs the connection nothing.
        assert_eq!(send(request("GET", "secret/data/a", "")).await.0, 200);
    });
}

#[test]
fn a_body_over_the_limit_is_413_over_http2_and_the_connection_goes_on() {
    let secured = Secured::start();
    runtime().block_on(async {
        let io = secured.connect(b"h2").await;
        let (client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let mut large = request("POST", "secret/data/a", "");
        large.headers_mut().insert("content-length", "40000000".parse().unwrap());
        *large.body_mut() = Full::new(vec![b' '; 40_000_000].into());
        let response = client.clone().send_request(large).await.unwrap();
        let (status, body) = json_of(response).await;
        assert_eq!(status, 413);
        assert!(body["errors"].is_array(), "{body}");
        let next = client.clone().send_request(request("GET", "sys/mounts", "")).await.unwrap();
        assert_eq!(next.status(), 200);
    });
}

#[test]
fn plain_http_to_a_tls_port_costs_one_connection() {
    let secured = Secured::start();
    let socket = &mut crate::support::connect(secured.server.address);
    std::io::Write::write_all(socket, b"GET /v1/sys/health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(std::io::Read::read_to_end(socket, &mut answer));
    assert!(!answer.starts_with(b"HTTP"));
    runtime().block_on(async {
        secured.connect(b"http/1.1").await;
    });
}
