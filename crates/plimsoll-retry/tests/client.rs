//! The ready client against a real server on loopback.

#![allow(clippy::unwrap_used)]
#![cfg(feature = "client")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use plimsoll_retry::{Attempts, Client, ClientError, GaveUp, Policy, Retry};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const REFUSAL: &str = r#"{"errors":["overloaded, try again later"],"executed":false}"#;

/// The first `refusals` requests are refused; the others get their body back.
async fn answer(
    request: Request<Incoming>,
    refusals: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = match refusals.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
        Ok(_) => Response::builder()
            .status(503)
            .header("retry-after", "60")
            .header("retry-after-ms", "1")
            .body(REFUSAL.into()),
        Err(_) => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::builder().status(200).body(Full::new(body))
        }
    };
    Ok(response.unwrap())
}

async fn connection(io: impl AsyncRead + AsyncWrite + Unpin + 'static, refusals: Arc<AtomicUsize>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&refusals)));
    let server = auto::Builder::new(TokioExecutor::new());
    // A client that closes its connection is no failure of the test.
    drop(server.serve_connection(TokioIo::new(io), service).await);
}

async fn serve(refusals: usize, tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refusals = Arc::new(AtomicUsize::new(refusals));
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (refusals, tls) = (Arc::clone(&refusals), tls.clone());
            tokio::task::spawn_local(async move {
                match tls {
                    Some(tls) => connection(tls.accept(stream).await.unwrap(), refusals).await,
                    None => connection(stream, refusals).await,
                }
            });
        }
    });
    address
}

/// Waits are short: a loopback server is not to be spared.
fn impatient() -> Retry {
    let mut policy = Policy::default();
    policy.refused = plimsoll_retry::Backoff::Fixed(&[]);
    Retry::new(policy)
}

fn post(address: impl std::fmt::Display) -> Request<&'static str> {
    Request::post(format!("{address}/v1/auth/approle/login")).body("hello").unwrap()
}

async fn locally<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn a_refused_write_is_repeated_whole() {
    locally(async {
        let address = serve(2, None).await;
        let client = Client::new(impatient()).unwrap();
        let response = client.request(post(format!("http://{address}"))).await.unwrap();
        assert_eq!(response.body(), "hello");
        assert_eq!(response.extensions().get::<Attempts>().unwrap().count, 3);
    })
    .await;
}

#[tokio::test]
async fn giving_up_says_what_the_server_said_and_what_it_took() {
    locally(async {
        let address = serve(usize::MAX, None).await;
        let client = Client::new(impatient()).unwrap();
        let error = client.request(post(format!("http://{address}"))).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(
                "the server answered 503 Service Unavailable: overloaded, try again later \
                 (3 attempts in "
            ) && text.ends_with(" s, no attempts left)"),
            "{text}"
        );
        let ClientError::Refused { response, .. } = error else { panic!("{text}") };
        assert_eq!(response.body(), REFUSAL);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_three_times_and_named() {
    let client = Client::new(Retry::default()).unwrap();
    let error = client.request(post("http://127.0.0.1:1")).await.unwrap_err();
    let attempts = *error.attempts().unwrap();
    assert_eq!((attempts.count, attempts.gave_up), (3, Some(GaveUp::AttemptsSpent)));
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn a_private_root_is_trusted_when_given_and_http2_is_spoken() {
    locally(async {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let address = serve(1, Some(TlsAcceptor::from(Arc::new(tls)))).await;

        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::with_tls(tls, impatient());
        let uri = format!("https://localhost:{}", address.port());
        let response = client.request(post(uri)).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(response.extensions().get::<Attempts>().unwrap().count, 2);
    })
    .await;
}
