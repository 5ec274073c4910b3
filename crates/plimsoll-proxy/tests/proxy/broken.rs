//! Upstreams that are broken, late or gone: the right answer, and nothing kept.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Proxy, connect, get, head, raw, saying, until};

fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

fn hanging() -> SocketAddr {
    raw(|mut stream| {
        head(&mut stream);
        // Until the proxy gives up.
        let _ = stream.read(&mut [0]);
    })
}

#[test]
fn what_is_broken_is_502_what_is_late_504_and_says_why() {
    for (upstream, status, token) in [
        (nobody(), "502", "connection_refused"),
        (hanging(), "504", "http_response_timeout"),
        (saying("220 smtp ready\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/1.1 abc\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "502", "http_protocol_error"),
        (raw(|mut stream| drop(head(&mut stream))), "502", "connection_terminated"),
        (raw(drop), "502", "connection_terminated"),
    ] {
        let proxy = Proxy::with(upstream, |config| {
            config.upstream.answer_time_max = Duration::from_millis(200);
        });
        for _ in 0..3 {
            let answer = proxy.talk(&get("/v1/x", ""));
            assert_eq!(&answer[9..12], status, "{token}: {answer}");
            assert!(answer.contains(&format!("proxy-status: plimsoll; error={token}")), "{answer}");
            assert!(!answer.contains("retry-after"), "never dressed up as an overload: {answer}");
            let safe = answer.contains("nothing was executed");
            assert_eq!(safe, token == "connection_refused", "{answer}");
        }
        proxy.until_idle();
    }
}

#[test]
fn half_a_body_is_never_taken_for_a_whole_one() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let proxy = Proxy::before(raw(move |mut stream| {
            head(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
        }));
        let passed = proxy.talk(&get("/", ""));
        assert!(passed.starts_with("HTTP/1.1 200 "), "{passed}");
        assert!(!passed.contains("0\r\n\r\n"), "the end was made up: {passed}");
        proxy.until_idle();
        assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"failed\"}"), 1.0);
    }
}

#[test]
fn an_answer_that_stops_in_the_middle_is_cut() {
    let proxy = Proxy::with(
        raw(|mut stream| {
            head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            let _ = stream.read(&mut [0]);
        }),
        |config| config.upstream.answer_time_max = Duration::from_millis(200),
    );
    assert!(proxy.talk(&get("/", "")).ends_with("half"));
    proxy.until_idle();
    assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"timed_out\"}"), 1.0);
}

#[test]
fn a_client_that_vanishes_takes_its_request_along() {
    let (sender, gone) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let proxy = Proxy::before(raw(move |mut stream| {
        head(&mut stream);
        // Ends when the proxy closes the connection.
        let end = stream.read(&mut [0]);
        let _ = sender.lock().expect("held by no other").send(end.is_ok_and(|bytes| bytes == 0));
    }));
    let mut client = connect(proxy.address);
    client.write_all(get("/", "").as_bytes()).expect("sent");
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    drop(client);
    assert!(gone.recv().expect("told"), "the upstream learns that nobody waits");
    proxy.until_idle();
    assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"cancelled\"}"), 1.0);
}

#[test]
fn a_client_that_trickles_a_short_body_holds_no_place() {
    let proxy = Proxy::before(hanging());
    let mut client = connect(proxy.address);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").expect("sent");
    // Another request has been served in between: the first one was looked at.
    proxy.talk("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: close\r\n\r\n");
    assert_eq!(proxy.metric("plimsoll_gate_in_flight{gate=\"upstream.writes\"}"), 0.0);
    drop(client);
    proxy.until_idle();
}

#[test]
fn an_upstream_that_comes_back_is_used_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let proxy = Proxy::before(address);
    for _ in 0..20 {
        assert!(proxy.talk(&get("/", "")).starts_with("HTTP/1.1 502 "));
    }
    let listener = std::net::TcpListener::bind(address).expect("still free");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            head(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    assert!(proxy.talk(&get("/", "")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_connection_that_the_upstream_closed_while_idle_is_no_error() {
    // Each connection serves one request and is closed although it was to be kept.
    let proxy = Proxy::before(raw(|mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }));
    let mut fine = 0;
    for _ in 0..50 {
        // A close may still be on its way when the connection is taken: that one is
        // sent, lost and not repeated.
        fine += usize::from(proxy.talk(&get("/", "")).starts_with("HTTP/1.1 200 "));
    }
    assert!(fine >= 25, "{fine} of 50");
}
