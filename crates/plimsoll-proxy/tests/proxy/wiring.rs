//! Starting, recognising, reloading, draining, and TLS to the upstream.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use plimsoll::Mode;
use plimsoll_listener::{ClientAuth, ClientTls, Listener, ListenerConfig, TlsConfig};
use plimsoll_proxy::config::Config;
use plimsoll_proxy::{Source, UpstreamKind};
use tokio_util::sync::CancellationToken;

use crate::support::{Body, Proxy, connect, get, head, mirror, raw, saying, told, until};

#[test]
fn a_vault_is_recognised_by_itself() {
    let health = "{\"initialized\":true,\"sealed\":false,\"standby\":false}";
    let vault = raw(move |mut stream| {
        while !head(&mut stream).is_empty() {
            let length = health.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{health}");
        }
    });
    for (upstream, kind) in [(vault, "vault"), (mirror(), "http")] {
        let proxy = Proxy::with(upstream, |config| config.upstream.kind.0 = None);
        until(|| proxy.health().contains(&format!("\"upstream_kind\":\"{kind}\"")));
    }
}

#[test]
fn a_reload_sends_the_next_request_elsewhere_and_a_bad_file_changes_nothing() {
    let one = saying("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    let other = saying("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("proxy.hcl");
    let write = |text: String| std::fs::write(&file, text).expect("written");
    let named = |upstream| {
        format!("upstream {{\n  address = \"http://{upstream}\"\n  kind = \"http\"\n}}\n")
    };
    let source = Source { file: Some(file.clone()), ..Source::default() };
    write(named(one));
    let proxy = Proxy::start(source.read().expect("valid"));
    let status = || proxy.talk(&get("/", ""))[9..12].to_owned();
    assert_eq!(status(), "201");
    write("upstream {".to_owned());
    proxy.server().reload(&source);
    assert_eq!(status(), "201");
    write(named(other) + "adaptive_overload_protection {\n  mode = \"monitor\"\n}\n");
    proxy.server().reload(&source);
    assert_eq!(status(), "202");
    assert!(proxy.health().contains("\"mode\":\"monitor\""));
}

#[test]
fn a_drain_finishes_what_was_accepted() {
    let (upstream, go) = told();
    let proxy = Proxy::before(upstream);
    let mut client = connect(proxy.address);
    client.write_all(get("/", "").as_bytes()).expect("sent");
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    let stopping = std::thread::spawn(move || proxy.stop());
    go.send(()).expect("heard");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with("done"), "{answer}");
    stopping.join().expect("stopped");
}

#[test]
fn a_reload_takes_over_rules_identities_and_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("proxy.hcl");
    let source = Source { file: Some(file.clone()), ..Source::default() };
    let upstream = format!("upstream {{\n  address = \"http://{}\"\n", mirror());
    std::fs::write(&file, format!("{upstream}  kind = \"http\"\n}}\n")).expect("written");
    let proxy = Proxy::start(source.read().expect("valid"));
    let forced = |headers: &str| {
        let headers = format!("X-Vault-AOP-Force-Reject: true\r\n{headers}");
        proxy.talk(&get("/v1/reports/x", &headers))
    };
    let seen = |answer: &str| answer.contains("x-forwarded-for: 192.0.2.7, 127.0.0.1");
    let claim = "X-Forwarded-For: 192.0.2.7\r\n";
    assert!(forced("").contains("\"gate\":\"upstream.reads\""));
    assert!(!seen(&proxy.talk(&get("/", claim))));
    let more = "trusted_proxies = [\"127.0.0.0/8\"]\nflow_header = \"X-Team\"\n\
                status_page = \"https://status.example\"\n\
                rule \"export\" {\n  path_prefix = \"/v1/reports/\"\n}\n";
    std::fs::write(&file, format!("{upstream}  kind = \"vault\"\n}}\n{more}")).expect("written");
    proxy.server().reload(&source);
    let refused = forced("X-Team: a\r\n");
    assert!(refused.contains("\"gate\":\"upstream.export\""), "{refused}");
    assert!(refused.contains("<https://status.example>; rel=\"status\""), "{refused}");
    assert!(refused.contains("{\"code\":\"overloaded\",\"errors\""), "a Vault's: {refused}");
    assert!(seen(&proxy.talk(&get("/", claim))));
    assert!(proxy.health().contains("\"upstream_kind\":\"vault\""));
}

#[test]
fn a_reload_does_not_forget_what_is_behind() {
    let health = "{\"initialized\":true,\"sealed\":false,\"standby\":false}";
    // Answers as a Vault until it has been recognised, and then hangs.
    let (known, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = raw(move |mut stream| {
        head(&mut stream);
        let length = health.len();
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{health}");
        let _ = wait.lock().expect("held by no other").recv();
    });
    let source = Source {
        upstream: Some(format!("http://{upstream}").parse().expect("a URL")),
        ..Source::default()
    };
    let proxy = Proxy::start(source.read().expect("valid"));
    let is_vault = || proxy.health().contains("\"upstream_kind\":\"vault\"");
    until(is_vault);
    proxy.server().reload(&source);
    assert!(is_vault());
    drop(known);
}

#[test]
fn monitoring_counts_what_it_would_refuse_and_refuses_nothing() {
    const REQUESTS: usize = 300;
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = raw(move |mut stream| {
        head(&mut stream);
        let _ = wait.lock().expect("held by no other").recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    let proxy = Proxy::with(upstream, |config| config.protection = Mode::Monitor);
    let mut clients: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let mut client = connect(proxy.address);
            client.write_all(get("/", "").as_bytes()).expect("sent");
            client
        })
        .collect();
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == REQUESTS as f64);
    assert!(proxy.metric("plimsoll_gate_reject_fraction{gate=\"upstream.reads\"}") > 0.0);
    drop(go);
    for client in &mut clients {
        assert!(head(client).starts_with("HTTP/1.1 200 "));
    }
    proxy.until_idle();
}

#[test]
fn what_the_upstream_says_of_its_load_is_understood() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    let sealed = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let many = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    let (http, vault) = (UpstreamKind::Http, UpstreamKind::Vault);
    for (kind, answer, outcome) in [
        (http, busy, "overloaded"),
        (vault, busy, "overloaded"),
        (http, many, "overloaded"),
        // A client's quota.
        (vault, many, "answered"),
        (http, sealed, "overloaded"),
        (vault, sealed, "failed"),
        (http, "HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", "timed_out"),
        (http, "HTTP/1.1 502 Broken\r\nContent-Length: 0\r\n\r\n", "failed"),
        (http, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "answered"),
    ] {
        let proxy = Proxy::with(saying(answer), |config| config.upstream.kind.0 = Some(kind));
        assert_eq!(proxy.talk(&get("/v1/x", ""))[..12], answer[..12]);
        proxy.until_idle();
        assert_eq!(proxy.metric(&format!("plimsoll_proxy_passed{{outcome=\"{outcome}\"}}")), 1.0);
    }
}

/// A certificate of `localhost` that is its own authority, and its key, as files.
fn self_signed(directory: &Path) -> (PathBuf, PathBuf) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a pair");
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).expect("written");
    std::fs::write(&key, pair.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

#[test]
fn clients_come_by_tls_and_with_certificates_if_that_is_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = self_signed(directory.path());
    let mut config = Config::new(format!("http://{}", mirror()).parse().expect("a URL"));
    config.upstream.kind.0 = Some(UpstreamKind::Http);
    let tls = TlsConfig::new(&certificate, &key);
    let proxy =
        Proxy::start_with_tls(config, Some(tls.with_client_ca(&certificate, ClientAuth::Required)));
    let talk = |identity| -> std::io::Result<String> {
        let tls = ClientTls { ca: Some(certificate.clone()), identity }.load().expect("valid");
        let name = "localhost".try_into().expect("a name");
        let session = rustls::ClientConnection::new(Arc::new(tls), name).expect("a session");
        let mut stream = rustls::StreamOwned::new(session, connect(proxy.address));
        stream.write_all(get("/", "").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = talk(Some((certificate.clone(), key.clone()))).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for told in ["x-forwarded-proto: https", "proto=https"] {
        assert!(answer.contains(told), "{answer}");
    }
    assert!(talk(None).is_err());
}

async fn hello(_: Request<Incoming>) -> Response<Body> {
    let body = Full::new(Bytes::from_static(b"hello"));
    Response::new(body.map_err(|never| match never {}).boxed())
}

#[test]
fn an_upstream_behind_tls_is_checked_and_checks_us() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = self_signed(directory.path());
    let mut listening = ListenerConfig::new("127.0.0.1:0".parse().expect("an address"));
    let tls = TlsConfig::new(&certificate, &key).with_client_ca(&certificate, ClientAuth::Required);
    listening = listening.with_tls(tls);
    let listener = Listener::bind(listening).expect("a port");
    let port = listener.local_addr().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let service = tower::service_fn(|request| async {
            Ok::<_, std::convert::Infallible>(hello(request).await)
        });
        runtime.expect("a runtime").block_on(listener.serve(service, CancellationToken::new()))
    });
    let proxy = |tls: ClientTls| {
        let url = format!("https://localhost:{port}").parse().expect("a URL");
        let mut config = Config::new(url);
        config.upstream.kind.0 = Some(UpstreamKind::Http);
        config.upstream.tls = tls;
        Proxy::start(config)
    };
    let ca = Some(certificate.clone());
    let both = ClientTls { ca: ca.clone(), identity: Some((certificate, key)) };
    assert!(proxy(both).talk(&get("/", "")).ends_with("hello"));
    // TLS 1.3 tells a client without a certificate only after the handshake.
    let unknown = proxy(ClientTls { ca, identity: None }).talk(&get("/", ""));
    assert!(unknown.starts_with("HTTP/1.1 502 "), "{unknown}");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let ca = Some(self_signed(elsewhere.path()).0);
    let distrusted = proxy(ClientTls { ca, identity: None }).talk(&get("/", ""));
    assert!(distrusted.contains("error=tls_protocol_error"), "{distrusted}");
}
