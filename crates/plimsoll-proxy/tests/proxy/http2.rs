//! Clients that speak HTTP/2 before an upstream that speaks HTTP/1.1.

use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::h2::{CANCEL, DATA, GOAWAY, HEADERS, Http2, NO_ERROR, RST_STREAM, request};
use crate::support::{
    Proxy, counted, echo, head, hyper_server, mirror, raw, saying, silent, told, until,
};

#[test]
fn a_request_of_http_2_arrives_as_one_of_http_1_1() {
    let proxy = Proxy::before(mirror());
    let mut client = Http2::connect(proxy.address);
    let more = [("cookie", "a=1"), ("cookie", "b=2"), ("expect", "100-continue")];
    let seen = client.ask(1, &request("LIST", &more));
    assert!(seen.complete && seen.reset.is_none());
    let mut lines: Vec<&str> = seen.body.trim_end().lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "LIST /v1/kv HTTP/1.1",
            "cookie: a=1; b=2",
            "forwarded: for=127.0.0.1;host=\"vault.example\";proto=http",
            "host: vault.example",
            "via: 2 plimsoll",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: vault.example",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn what_nobody_may_say_over_http_2_reaches_nobody() {
    let (proxy, count) = counted();
    let get = |more: &[(&'static str, &'static str)]| request("GET", more);
    let replaced = |name: &str, value: &'static str| {
        let fields = get(&[]).into_iter();
        fields.map(|field| if field.0 == name { (field.0, value) } else { field }).collect()
    };
    let without = |name: &str| get(&[]).into_iter().filter(|field| field.0 != name).collect();
    let bomb: &'static str = "b".repeat(100 * 1024).leak();
    let bad: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("a field of one connection", get(&[("connection", "close")])),
        ("chunks", get(&[("transfer-encoding", "chunked")])),
        ("an upgrade", get(&[("upgrade", "websocket")])),
        ("a capital", get(&[("X-A", "b")])),
        ("a space in a name", get(&[("x a", "b")])),
        ("a colon in a name", get(&[("x:a", "b")])),
        ("a line break in a value", get(&[("x-a", "b\r\nx-b: c")])),
        ("a bare LF in a value", get(&[("x-a", "b\nx-b: c")])),
        ("a NUL in a value", get(&[("x-a", "b\0")])),
        ("a line in the path", replaced(":path", "/ HTTP/1.1\r\nhost: b\r\n\r\nGET /smuggled")),
        ("a space in the path", replaced(":path", "/ HTTP/1.1")),
        ("no path", without(":path")),
        ("an empty path", replaced(":path", "")),
        ("a path that is none", replaced(":path", "nowhere")),
        ("an asterisk", replaced(":path", "*")),
        ("two paths", get(&[(":path", "/other")])),
        ("a line in the method", replaced(":method", "GET / HTTP/1.1\r\nhost: b\r\n\r\nGET")),
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("another scheme", replaced(":scheme", "ftp")),
        ("a pseudo field at the end", get(&[("x-a", "b"), (":authority", "b")])),
        ("an unknown pseudo field", get(&[(":target", "b")])),
        ("a tunnel", vec![(":method", "CONNECT"), (":authority", "b:80")]),
        (
            "a tunnel for websockets",
            [replaced(":method", "CONNECT"), vec![(":protocol", "websocket")]].concat(),
        ),
        ("another host", get(&[("host", "b")])),
        ("two hosts", get(&[("host", "vault.example"), ("host", "vault.example")])),
        ("no host", without(":authority")),
        ("a user in the host", replaced(":authority", "user@vault.example")),
        ("a space in the host", replaced(":authority", "a b")),
        ("a path in the host", replaced(":authority", "a/b")),
        ("two lengths", request("POST", &[("content-length", "0"), ("content-length", "5")])),
        ("a list of lengths", request("POST", &[("content-length", "0, 5")])),
        ("a signed length", request("POST", &[("content-length", "+0")])),
        ("a length without a body", request("POST", &[("content-length", "5")])),
        ("a header bomb", get(&[("x-a", bomb)])),
        ("too many fields", get(&[("x-a", "b"); 200])),
    ];
    for (what, fields) in bad {
        let mut client = Http2::connect(proxy.address);
        client.headers(1, &fields, true);
        // An answer, a reset, a goodbye or a close: all of them end it.
        client.frame();
        proxy.until_idle();
        assert_eq!(count(), 0, "{what}");
    }
    let fine = Http2::connect(proxy.address).ask(1, &get(&[]));
    assert!(fine.complete, "{fine:?}");
    assert_eq!(count(), 1);
}

#[test]
fn bodies_stream_both_ways_piece_by_piece() {
    let proxy = Proxy::before(hyper_server(echo));
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("POST", &[]), false);
    for piece in ["one", "two", "three"] {
        client.data(1, piece.as_bytes(), false);
        let frame = loop {
            match client.frame().expect("open") {
                frame if frame.kind == DATA => break frame,
                frame => assert_eq!(frame.kind, HEADERS),
            }
        };
        assert_eq!(frame.payload, piece.as_bytes(), "there before more is sent");
    }
    client.data(1, b"", true);
    let rest = client.answer(1);
    assert!(rest.complete && rest.body.is_empty() && rest.reset.is_none(), "{rest:?}");
    proxy.until_idle();
}

#[test]
fn announced_trailers_go_through_both_ways() {
    let (sender, seen) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let proxy = Proxy::before(raw(move |mut stream| {
        let mut request = head(&mut stream).into_bytes();
        let mut byte = [0];
        while !request.ends_with(b"x-sum: 1\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
            request.push(byte[0]);
        }
        let _ = sender.lock().expect("held by no other").send(request);
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nok\r\n0\r\nx-end: 1\r\n\r\n",
        );
        let _ = stream.read(&mut byte);
    }));
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("POST", &[("trailer", "x-sum")]), false);
    client.data(1, b"hello", false);
    client.headers(1, &[("x-sum", "1")], true);
    let answer = client.answer(1);
    assert!(answer.complete && answer.trailers && answer.body == "ok", "{answer:?}");
    let seen = String::from_utf8(seen.recv().expect("told")).expect("text");
    assert!(seen.ends_with("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), "{seen}");
}

#[test]
fn a_refused_upload_is_answered_whole_and_ends_with_no_error() {
    let (proxy, count) = counted();
    let mut client = Http2::connect(proxy.address);
    let forced = [("x-vault-aop-force-reject", "true"), ("content-length", "1000000")];
    client.headers(1, &request("POST", &forced), false);
    client.data(1, &[b'x'; 10_000], false);
    let answer = client.answer(1);
    assert!(answer.complete && answer.body.contains("\"executed\":false"), "{answer:?}");
    let end = loop {
        match client.frame().expect("open") {
            frame if frame.kind == RST_STREAM => break frame,
            _ => {}
        }
    };
    assert_eq!(end.payload, NO_ERROR.to_be_bytes());
    assert!(client.ask(3, &request("GET", &[])).complete, "its connection goes on");
    assert_eq!(count(), 1);
    proxy.until_idle();
}

#[test]
fn half_a_body_never_ends_a_stream() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n",
    ] {
        let proxy = Proxy::before(raw(move |mut stream| {
            head(&mut stream);
            let _ = stream.write_all(answer.as_bytes());
        }));
        let mut client = Http2::connect(proxy.address);
        for stream in [1, 3, 5] {
            let answer = client.ask(stream, &request("GET", &[]));
            assert!(!answer.complete, "{answer:?}");
            assert!(answer.reset.is_some_and(|code| code != NO_ERROR), "{answer:?}");
        }
        proxy.until_idle();
        assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"failed\"}"), 3.0);
    }
}

#[test]
fn a_request_taken_back_is_taken_back_from_the_upstream() {
    let (upstream, gone) = silent();
    let proxy = Proxy::before(upstream);
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("GET", &[]), true);
    client.headers(3, &request("GET", &[]), true);
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 2.0);
    client.reset(1, CANCEL);
    assert!(gone.recv().expect("told"));
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    drop(client);
    assert!(gone.recv().expect("told"));
    proxy.until_idle();
    assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"cancelled\"}"), 2.0);
}

#[test]
fn a_thousand_requests_taken_back_at_once_hold_nothing() {
    let proxy = Proxy::before(mirror());
    let mut client = Http2::connect(proxy.address);
    for number in 0..1000 {
        client.headers(2 * number + 1, &request("GET", &[]), true);
        client.reset(2 * number + 1, CANCEL);
    }
    drop(client);
    proxy.until_idle();
    assert!(Http2::connect(proxy.address).ask(1, &request("GET", &[])).complete);
}

#[test]
fn a_client_that_trickles_over_http_2_is_told_so() {
    let slow = Duration::from_millis(100);
    let proxy = Proxy::with(saying(""), |config| config.listeners[0].body_time_max = slow);
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("POST", &[("content-length", "100")]), false);
    client.data(1, b"abc", false);
    let answer = client.answer(1);
    assert!(answer.complete && answer.body.contains("\"status\":408"), "{answer:?}");
    proxy.until_idle();
}

#[test]
fn a_drain_says_goodbye_and_finishes_the_streams() {
    let (upstream, go) = told();
    let proxy = Proxy::before(upstream);
    let mut client = Http2::connect(proxy.address);
    client.headers(1, &request("GET", &[]), true);
    until(|| proxy.metric("plimsoll_proxy_at_upstream") == 1.0);
    let stopping = std::thread::spawn(move || proxy.stop());
    assert_eq!(client.frame().expect("a goodbye").kind, GOAWAY);
    go.send(()).expect("heard");
    let answer = client.answer(1);
    assert!(answer.complete && answer.body == "done", "{answer:?}");
    stopping.join().expect("stopped");
}
