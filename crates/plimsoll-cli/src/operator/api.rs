//! The little HTTP that operators need: bodies that stream, errors in one line.

use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::operator::ServerAddress;

/// Read and sent at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces on their way.
const PIECES_MAX: usize = 4;
/// Of an answer that is an error.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Of one that is not.
const ANSWER_BYTES_MAX: usize = 1 << 20;

type Body = Channel<Bytes, std::io::Error>;

/// GET, into `out`.
pub(super) fn download(
    server: &ServerAddress,
    path: &str,
    out: &mut dyn Write,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    block_on(async {
        let (_, nothing) = Body::new(1);
        let request = request(server, Method::GET, path, nothing)?;
        let mut body = send(server, request).await?.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the answer broke off")?;
            if let Some(piece) = frame.data_ref() {
                out.write_all(piece)?;
                bar.inc(piece.len() as u64);
            }
        }
        Ok(())
    })
}

/// POST of `input`.
pub(super) fn upload(
    server: &ServerAddress,
    path: &str,
    mut input: impl Read + Send + 'static,
) -> anyhow::Result<()> {
    block_on(async {
        let (mut sender, body) = Body::new(PIECES_MAX);
        let request = request(server, Method::POST, path, body)?;
        let feeding = tokio::spawn(async move {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match input.read(&mut piece) {
                    Ok(0) => return,
                    Ok(read) => {
                        let bytes = Bytes::copy_from_slice(&piece[..read]);
                        if sender.send_data(bytes).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => return sender.abort(error),
                }
            }
        });
        let answer = send(server, request).await;
        feeding.abort();
        answer.map(drop)
    })
}

/// A request with a JSON body, or none for null, and its JSON answer, or null.
pub(crate) fn call(
    server: &ServerAddress,
    method: Method,
    path: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    block_on(async {
        let (mut sender, channel) = Body::new(1);
        let request = request(server, method, path, channel)?;
        if !body.is_null() {
            sender.send_data(body.to_string().into()).await?;
        }
        drop(sender);
        let answer = send(server, request).await?.into_body();
        let answer = http_body_util::Limited::new(answer, ANSWER_BYTES_MAX).collect().await;
        let answer = answer.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    })
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn request(
    server: &ServerAddress,
    method: Method,
    path: &str,
    body: Body,
) -> anyhow::Result<Request<Body>> {
    let uri: Uri = server.address.parse().context("the server's address")?;
    let host = uri.authority().ok_or_else(|| anyhow!("{uri} is no address of a server"))?;
    let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
    request = request.header("host", host.as_str());
    if let Some(token) = &server.token {
        request = request.header("x-vault-token", token);
    }
    Ok(request.body(body)?)
}

/// The answer if it is a good one.
async fn send(
    server: &ServerAddress,
    request: Request<Body>,
) -> anyhow::Result<Response<Incoming>> {
    let mut sender = connect(server).await.with_context(|| server.address.clone())?;
    let response = sender.send_request(request).await.context("no answer")?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = http_body_util::Limited::new(response.into_body(), ERROR_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    bail!("{}", said(status, &body))
}

fn said(status: StatusCode, body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body["errors"][0].as_str().unwrap_or_default().trim();
    if error.is_empty() { format!("the server answered {status}") } else { error.to_owned() }
}

type Sender = hyper::client::conn::http1::SendRequest<Body>;

async fn connect(server: &ServerAddress) -> anyhow::Result<Sender> {
    let uri: Uri = server.address.parse()?;
    let host = uri.host().ok_or_else(|| anyhow!("no host"))?;
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let bare = host.trim_matches(['[', ']']);
    let socket = TcpStream::connect((bare, port)).await?;
    if !is_tls {
        return handshake(socket).await;
    }
    let ca = server.ca_cert.as_ref().ok_or_else(|| anyhow!("https needs --ca-cert"))?;
    let mut roots = RootCertStore::empty();
    let text = fs::read(ca).with_context(|| ca.display().to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        roots.add(certificate.with_context(|| ca.display().to_string())?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(bare.to_owned())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    handshake(connector.connect(name, socket).await?).await
}

async fn handshake(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<Sender> {
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
