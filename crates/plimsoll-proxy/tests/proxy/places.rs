//! Who holds a place, and who merely takes long.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

use crate::support::{Proxy, connect, get, head, raw, until};

/// One is at the upstream, and none of its places is taken.
fn until_it_holds_no_place(proxy: &Proxy, gate: &str) {
    let in_flight = format!("plimsoll_gate_in_flight{{gate=\"upstream.{gate}\"}}");
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    until(|| proxy.metric(&in_flight) == 0.0);
    assert_eq!(proxy.metric("plimsoll_proxy_at_upstream"), 1.0);
}

/// An upstream that sends that, and nothing more for as long as somebody listens.
fn beginning(answer: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    raw(move |mut stream| {
        head(&mut stream);
        let _ = stream.write_all(&answer());
        head(&mut stream);
    })
}

#[test]
fn a_client_that_does_not_read_holds_no_place() {
    const BYTES: usize = 64 << 20;
    let proxy = Proxy::before(beginning(|| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + BYTES, b'x');
        answer
    }));
    let mut client = connect(proxy.address);
    client.write_all(get("/", "").as_bytes()).expect("sent");
    until_it_holds_no_place(&proxy, "reads");
    drop(client);
    proxy.until_idle();
}

#[test]
fn a_client_that_does_not_send_holds_no_place() {
    let proxy = Proxy::before(beginning(Vec::new));
    let mut client = connect(proxy.address);
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
        .expect("sent");
    until_it_holds_no_place(&proxy, "writes");
    drop(client);
    proxy.until_idle();
}

#[test]
fn a_stream_of_news_holds_no_place() {
    for kind in ["text/event-stream; charset=utf-8", "application/json"] {
        let proxy = Proxy::before(beginning(move || {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
            format!("{head}Content-Type: {kind}\r\n\r\n5\r\nhello\r\n").into_bytes()
        }));
        let mut client = connect(proxy.address);
        client.write_all(get("/", "").as_bytes()).expect("sent");
        until_it_holds_no_place(&proxy, "reads");
        drop(client);
        proxy.until_idle();
    }
}

/// An upstream that answers everything at once, but for `/news`.
fn without_news() -> SocketAddr {
    raw(|mut stream| {
        loop {
            match head(&mut stream) {
                head if head.is_empty() => return,
                head if head.starts_with("GET /news") => {}
                _ => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
            }
        }
    })
}

#[test]
fn long_polls_that_came_first_and_took_every_place_shut_nobody_out() {
    let proxy = Proxy::before(without_news());
    let poll = || {
        let mut client = connect(proxy.address);
        client.write_all(get("/news", "").as_bytes()).expect("sent");
        client
    };
    let polls: Vec<_> = (0..100).map(|_| poll()).collect();
    until(|| proxy.metric("plimsoll_proxy_at_upstream") >= 64.0);
    until(|| proxy.talk(&get("/", "")).starts_with("HTTP/1.1 200 "));
    until(|| {
        proxy.metric("plimsoll_gate_in_flight{gate=\"upstream.reads\"}") == 0.0 || {
            proxy.talk(&get("/", ""));
            false
        }
    });
    drop(polls);
    proxy.until_idle();
}

#[test]
fn a_long_poll_holds_no_place_while_others_are_answered() {
    let proxy = Proxy::before(without_news());
    let answered = || assert!(proxy.talk(&get("/", "")).starts_with("HTTP/1.1 200 "));
    answered();
    let mut client = connect(proxy.address);
    client.write_all(get("/news", "").as_bytes()).expect("sent");
    until(|| {
        answered();
        proxy.metric("plimsoll_gate_in_flight{gate=\"upstream.reads\"}") == 0.0
            && proxy.metric("plimsoll_proxy_at_upstream") == 1.0
    });
    drop(client);
    proxy.until_idle();
}

#[test]
fn of_64_connections_that_ask_again_at_once_none_is_refused() {
    const CLIENTS: usize = 64;
    const ROUNDS: usize = 12;
    // One at a time, at some cost: a small limit is learnt. Patience keeps a slow machine
    // out of it.
    let worker = Mutex::new(());
    let proxy = Proxy::before(raw(move |mut stream| {
        while !head(&mut stream).is_empty() {
            let _working = worker.lock().expect("not poisoned");
            std::hint::black_box((0..60_000_u64).fold(0, |sum, n| sum ^ std::hint::black_box(n)));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }));
    let ask = |stream: &mut TcpStream, rounds| {
        for _ in 0..rounds {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nPrefer: wait=600\r\n\r\n")
                .expect("sent");
            let answer = head(stream);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    };
    let mut clients = [(); CLIENTS].map(|()| connect(proxy.address));
    // How long one takes that has the upstream to itself.
    ask(&mut clients[0], ROUNDS);
    std::thread::scope(|scope| {
        let asking = clients.map(|mut stream| scope.spawn(move || ask(&mut stream, ROUNDS)));
        while asking.iter().any(|client| !client.is_finished()) {
            let health = proxy.health();
            assert!(health.contains(r#""load":"ok""#), "{health}");
        }
    });
}
