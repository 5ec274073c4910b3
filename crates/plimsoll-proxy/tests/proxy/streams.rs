//! Bodies: streamed, both ways, and never held.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::support::h2::{Http2, request};
use crate::support::{Body, Proxy, connect, echo, get, head, hyper_server, raw, until};

const BYTES: usize = 100 << 20;
/// More than this must not be added to the process, which holds all three of them:
/// client, proxy and upstream.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

async fn count(request: Request<Incoming>) -> Response<Body> {
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    let body = Full::new(Bytes::from(bytes.to_string()));
    Response::new(body.map_err(|never| match never {}).boxed())
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") * 1024
}

#[test]
fn a_hundred_megabytes_pass_both_ways_in_little_memory() {
    let proxy = Proxy::before(hyper_server(echo));
    let before = peak_bytes();
    let mut client = connect(proxy.address);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {BYTES}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).expect("sent");
    let mut sender = client.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || {
        let piece = [b'x'; 64 * 1024];
        for _ in 0..BYTES / piece.len() {
            sender.write_all(&piece).expect("sent");
        }
    });
    let mut received = 0;
    let mut piece = [0; 64 * 1024];
    loop {
        match client.read(&mut piece).expect("an answer") {
            0 => break,
            bytes => received += bytes,
        }
    }
    sending.join().expect("sent");
    assert!(received > BYTES, "{received}");
    let growth = peak_bytes() - before;
    assert!(growth < GROWTH_BYTES_MAX, "{} MiB", growth >> 20);
    proxy.until_idle();
}

/// More than this is in nobody's buffers: the proxy's and four of the kernel's.
const BUFFERED_BYTES_MAX: usize = 32 << 20;

/// An upstream that writes [`BYTES`] and tells how many of them it was rid of whenever
/// nobody has taken any for a while.
fn pouring() -> (SocketAddr, Receiver<usize>) {
    let (sender, stalled) = channel();
    let upstream = raw(move |mut stream| {
        head(&mut stream);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
        stream.write_all(answer.as_bytes()).expect("sent");
        stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
        let piece = [b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < BYTES {
            match stream.write(&piece[..piece.len().min(BYTES - sent)]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let _ = sender.send(sent);
                }
                Err(_) => return,
            }
        }
    });
    (upstream, stalled)
}

#[test]
fn a_client_that_reads_slowly_slows_the_upstream_down_and_fills_nobodys_memory() {
    let (upstream, stalled) = pouring();
    let proxy = Proxy::before(upstream);
    let mut client = connect(proxy.address);
    client.write_all(get("/", "").as_bytes()).expect("sent");
    let sent = stalled.recv().expect("told");
    assert!(sent < BUFFERED_BYTES_MAX, "{} MiB", sent >> 20);
    let mut received = 0;
    let mut piece = [0; 64 * 1024];
    while let bytes @ 1.. = client.read(&mut piece).expect("an answer") {
        received += bytes;
    }
    assert!(received > BYTES, "all of it came in the end: {received}");
    proxy.until_idle();
}

#[test]
fn a_client_that_vanishes_in_its_download_gives_its_place_back() {
    let (upstream, stalled) = pouring();
    let proxy = Proxy::before(upstream);
    let mut client = connect(proxy.address);
    client.write_all(get("/", "").as_bytes()).expect("sent");
    stalled.recv().expect("told");
    drop(client);
    proxy.until_idle();
    // The upstream may have told so more than once.
    while stalled.try_recv().is_ok() {}
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("GET", &[]), true);
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    let sent = stalled.recv().expect("told");
    assert!(sent < BUFFERED_BYTES_MAX, "{} MiB", sent >> 20);
    drop(client);
    proxy.until_idle();
    until(|| proxy.metric("plimsoll_proxy_passed{outcome=\"cancelled\"}") == 2.0);
}

#[test]
fn an_answer_in_the_middle_of_an_upload_is_passed_on() {
    let proxy = Proxy::before(raw(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
        );
        let _ = stream.shutdown(std::net::Shutdown::Write);
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    }));
    let mut client = connect(proxy.address);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n";
    client.write_all(head.as_bytes()).expect("sent");
    client.write_all(&[b'x'; 100_000]).expect("sent");
    let mut answer = [0; 13];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413 ");
    drop(client);
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("POST", &[]), false);
    client.data(1, &[b'x'; 10_000], false);
    let answer = client.answer(1);
    assert!(answer.complete && answer.body == "big", "{answer:?}");
    proxy.until_idle();
}

#[test]
fn the_head_of_an_answer_to_head_is_all_of_it() {
    let proxy = Proxy::before(raw(|mut stream| {
        while !head(&mut stream).is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        }
    }));
    for _ in 0..3 {
        let answer = proxy.talk(&get("/", "").replace("GET", "HEAD"));
        assert!(answer.contains("content-length: 100\r\n") && answer.ends_with("\r\n\r\n"));
        let answer = Http2::connect(proxy.address).ask(1, &request("HEAD", &[]));
        assert!(answer.complete && answer.reset.is_none(), "{answer:?}");
    }
    proxy.until_idle();
    assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"answered\"}"), 6.0);
}

#[test]
fn a_login_that_is_larger_than_what_is_read_of_it_arrives_whole() {
    let proxy = Proxy::with(hyper_server(count), |config| {
        config.upstream.kind.0 = Some(plimsoll_proxy::UpstreamKind::Vault);
    });
    let body = format!("{{\"role_id\":\"r\",\"padding\":\"{}\"}}", "x".repeat(1 << 20));
    let login = "POST /v1/auth/approle/login HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let whole = format!("{login}Content-Length: {}\r\n\r\n{body}", body.len());
    assert!(proxy.talk(&whole).ends_with(&body.len().to_string()));
    let chunked =
        format!("{login}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert!(proxy.talk(&chunked).ends_with(&body.len().to_string()));
    assert_eq!(proxy.metric("plimsoll_gate_admitted{gate=\"upstream.logins\"}"), 2.0);
}

#[test]
fn an_upload_in_chunks_arrives_whole() {
    let proxy = Proxy::before(hyper_server(count));
    let mut request =
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_owned();
    for _ in 0..1000 {
        request.push_str(&format!("400\r\n{}\r\n", "x".repeat(0x400)));
    }
    request.push_str("0\r\n\r\n");
    let answer = proxy.talk(&request);
    assert!(answer.ends_with(&(1000 * 0x400).to_string()), "{answer}");
}

#[test]
fn a_client_that_vanishes_in_its_upload_gives_its_place_back() {
    let proxy = Proxy::before(hyper_server(count));
    let mut client = connect(proxy.address);
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        .expect("sent");
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    drop(client);
    proxy.until_idle();
    assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"cancelled\"}"), 1.0);
}

#[test]
fn who_expects_100_is_told_to_go_on() {
    let proxy = Proxy::before(hyper_server(count));
    let mut client = connect(proxy.address);
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .expect("sent");
    let mut go_on = [0; 25];
    client.read_exact(&mut go_on).expect("told");
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.ends_with('5'), "{answer}");
}

#[test]
fn who_expects_100_and_is_refused_sends_nothing() {
    let proxy = Proxy::before(hyper_server(count));
    let answer = proxy.talk(
        "POST / HTTP/1.1\r\nHost: a\r\nX-Vault-AOP-Force-Reject: true\r\nExpect: 100-continue\r\n\
         Content-Length: 1000000\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn requests_one_after_the_other_share_a_connection_to_the_upstream() {
    const PASSED: &str = "plimsoll_proxy_passed{outcome=\"answered\"}";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let (sender, connections) = channel();
    let sender = std::sync::Mutex::new(sender);
    let proxy = Proxy::before(raw(move |mut stream| {
        let _ = sender.lock().expect("held by no other").send(());
        while !head(&mut stream).is_empty() {
            let _ = stream.write_all(CHUNKED);
        }
    }));
    let passed = || assert!(proxy.talk(&get("/", "")).contains("ok"));
    // Until one has shown that it is kept.
    while connections.try_iter().next().is_some() || proxy.metric(PASSED) == 0.0 {
        passed();
    }
    for _ in 0..20 {
        passed();
    }
    proxy.until_idle();
    // One that is not given back yet when the next request comes is not waited for.
    let new = connections.try_iter().count();
    assert!(new < 5, "{new} of 20");
}
