//! Bodies: streamed, both ways, and never held.

use std::io::{Read, Write};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::support::{Body, Proxy, connect, hyper_server};

const BYTES: usize = 100 << 20;
/// More than this must not be added to the process, which holds all three of them:
/// client, proxy and upstream.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

async fn echo(request: Request<Incoming>) -> Response<Body> {
    Response::new(request.into_body().boxed())
}

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
    crate::support::until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
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
