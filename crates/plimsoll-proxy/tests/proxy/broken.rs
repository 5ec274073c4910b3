//! Upstreams that are broken, late or gone: the right answer, and nothing kept.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use plimsoll_proxy::UpstreamKind;
use plimsoll_proxy::config::Config;

use crate::support::h2::{CANCEL, Http2, NO_ERROR, request};
use crate::support::{Proxy, connect, get, head, raw, saying, silent, until};

fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

#[test]
fn an_upstream_that_cannot_be_reached_says_why_and_that_nothing_was_executed() {
    let silent = raw(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let plain = raw(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    for (upstream, status, token) in [
        (format!("https://{silent}"), "504", "connection_timeout"),
        (format!("https://{plain}"), "502", "tls_protocol_error"),
        (format!("https://{}", raw(drop)), "502", "tls_protocol_error"),
        (format!("http://{}", nobody()), "502", "connection_refused"),
        ("http://255.255.255.255:1".to_owned(), "502", "destination_unavailable"),
    ] {
        let mut config = Config::new(upstream.parse().expect("a URL"));
        config.upstream.kind.0 = Some(UpstreamKind::Http);
        if status == "504" {
            config.upstream.connect_time_max = Duration::from_millis(100);
        }
        let proxy = Proxy::start(config);
        let answer = proxy.talk(&get("/", ""));
        assert_eq!(&answer[9..12], status, "{upstream}: {answer}");
        assert!(answer.contains(&format!("error={token}")), "{upstream}: {answer}");
        assert!(answer.contains("\"executed\":false"), "{upstream}: {answer}");
        proxy.until_idle();
    }
}

/// A head that is larger than any that is read.
fn bomb() -> &'static str {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n".to_owned();
    (head + "X-A: " + &"b".repeat(128 * 1024) + "\r\n\r\n").leak()
}

/// What a client would take for a body that it is not.
const CODED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n\x1f\x0b\r\n0\r\n\r\n";

fn hanging() -> SocketAddr {
    raw(|mut stream| {
        head(&mut stream);
        // Until the proxy gives up.
        let _ = stream.read(&mut [0]);
    })
}

/// Says without end that an answer will come.
fn promising() -> SocketAddr {
    raw(|mut stream| {
        head(&mut stream);
        let news = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
        while stream.write_all(news.as_bytes()).is_ok() {}
    })
}

#[test]
fn what_is_broken_is_502_what_is_late_504_and_says_why() {
    for (upstream, status, token) in [
        (nobody(), "502", "connection_refused"),
        (hanging(), "504", "http_response_timeout"),
        (promising(), "504", "http_response_timeout"),
        (saying("220 smtp ready\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/1.1 abc\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/1.1 99 Less\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/3.7 200 OK\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n"), "502", "http_protocol_error"),
        (saying("HTTP/1.1 200 OK\r\nX-A: b\0\r\n\r\n"), "502", "http_protocol_error"),
        (
            saying("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            "502",
            "http_protocol_error",
        ),
        (saying(CODED), "502", "http_protocol_error"),
        (saying("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "502", "http_protocol_error"),
        (saying(bomb()), "502", "http_protocol_error"),
        (
            raw(|mut stream| {
                head(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le");
            }),
            "502",
            "connection_terminated",
        ),
        (saying("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "502", "http_protocol_error"),
        (raw(|mut stream| drop(head(&mut stream))), "502", "connection_terminated"),
        (raw(drop), "502", "connection_terminated"),
    ] {
        let proxy = Proxy::with(upstream, |config| {
            if status == "504" {
                config.upstream.answer_time_max = Duration::from_millis(200);
            }
        });
        for _ in 0..2 {
            let answer = proxy.talk(&get("/v1/x", ""));
            assert_eq!(&answer[9..12], status, "{token}: {answer}");
            assert!(answer.contains(&format!("proxy-status: plimsoll; error={token}")), "{answer}");
            assert!(!answer.contains("retry-after"), "never dressed up as an overload: {answer}");
            let safe = answer.contains("nothing was executed");
            assert_eq!(safe, token == "connection_refused", "{answer}");
        }
        assert!(proxy.health().contains(&format!("\"upstream_errors\":{{\"{token}\":2}}")));
        proxy.until_idle();
    }
}

#[test]
fn half_a_body_is_never_taken_for_a_whole_one() {
    for answer in HALVES {
        let proxy = Proxy::before(breaking_off(answer));
        for _ in 0..20 {
            let passed = proxy.talk(&get("/", ""));
            // What came before is passed on: a client that reads nothing asks again.
            assert!(passed.starts_with("HTTP/1.1 200 ") && passed.contains("half"), "{passed:?}");
            assert!(!passed.contains("0\r\n\r\n"), "the end was made up: {passed}");
        }
        proxy.until_idle();
        assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"failed\"}"), 20.0);
    }
}

const HALVES: [&str; 3] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n",
];

fn breaking_off(answer: &'static str) -> SocketAddr {
    raw(move |mut stream| {
        head(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[test]
fn half_a_body_is_reset_where_a_close_would_mean_the_end() {
    let ends = |upstream| {
        let proxy = Proxy::before(upstream);
        let mut client = connect(proxy.address);
        client.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").expect("sent");
        let end = client.read_to_end(&mut Vec::new());
        proxy.until_idle();
        end
    };
    for answer in HALVES {
        let end = ends(breaking_off(answer)).expect_err("not the end");
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    }
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ] {
        assert!(ends(saying(answer)).is_ok(), "{answer}");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let proxy = Proxy::before(saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    ));
    for _ in 0..50 {
        let answer = proxy.talk(&get("/", ""));
        // A request on a connection that turns out to be poisoned is lost with it.
        assert!(answer.ends_with("ok") || answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    proxy.until_idle();
}

#[test]
fn news_before_the_answer_are_not_taken_for_it() {
    let proxy = Proxy::before(saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ));
    let answer = proxy.talk(&get("/", ""));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("ok"), "{answer}");
}

#[test]
fn nothing_is_sent_twice() {
    // The first request of a connection is answered, the second is read and lost.
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let proxy = Proxy::before(raw(move |mut stream| {
        for answer in [&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], b""] {
            if head(&mut stream).is_empty() {
                return;
            }
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(answer);
        }
    }));
    let (mut sent, mut lost) = (0, 0);
    while lost < 5 {
        let answer = proxy.talk(&get("/", ""));
        sent += 1;
        lost += usize::from(answer.starts_with("HTTP/1.1 502 "));
        assert_eq!(count.load(Ordering::SeqCst), sent, "{answer}");
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
        |config| config.upstream.answer_time_max = Duration::from_secs(2),
    );
    assert!(proxy.talk(&get("/", "")).ends_with("half"));
    proxy.until_idle();
    assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"timed_out\"}"), 1.0);
}

#[test]
fn a_client_that_vanishes_takes_its_request_along() {
    let (upstream, gone) = silent();
    let proxy = Proxy::before(upstream);
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
fn a_client_that_trickles_is_told_so_and_holds_nothing() {
    let slow = Duration::from_millis(100);
    let patient = raw(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let proxy = Proxy::with(patient, |config| config.listeners[0].body_time_max = slow);
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (request, outcomes) in [
        // A short body is waited for before there is a place.
        (format!("{post}Content-Length: 10\r\n\r\nabc"), 0.0),
        (format!("{post}Content-Length: 100000\r\n\r\nabc"), 1.0),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), 2.0),
    ] {
        let answer = proxy.talk(&request);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("proxy-status: plimsoll; error=http_request_error"), "{answer}");
        proxy.until_idle();
        assert_eq!(proxy.metric("plimsoll_proxy_passed{outcome=\"cancelled\"}"), outcomes);
    }
}

#[test]
fn half_an_upload_is_never_passed_on_as_a_whole_one() {
    let (sender, received) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let proxy = Proxy::before(raw(move |mut stream| {
        let tell = |text| drop(sender.lock().expect("held by no other").send(text));
        tell(head(&mut stream).into_bytes());
        let mut body = Vec::new();
        let _ = stream.read_to_end(&mut body);
        tell(body);
    }));
    let half = [b'x'; 5000];
    let http_1 = |framing: &str, body: &[u8]| {
        let mut client = connect(proxy.address);
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        client.write_all(head.as_bytes()).expect("sent");
        client.write_all(body).expect("sent");
        (received.recv().expect("a head"), None)
    };
    let http_2 = |length: &[(&str, &str)], end: fn(&mut Http2)| {
        let mut client = Http2::connect(proxy.address);
        client.headers(1, &request("POST", length), false);
        client.data(1, &half, false);
        let head = received.recv().expect("a head");
        end(&mut client);
        // The stream has ended, its connection goes on.
        (head, Some(client))
    };
    let length = [("content-length", "10000")];
    for round in 0..20 {
        let (head, client) = match round % 5 {
            0 => http_1("Content-Length: 10000", &half),
            1 => http_1("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
            2 => http_2(&length, |client| client.data(1, b"", true)),
            3 => http_2(&[], |client| client.reset(1, CANCEL)),
            // What hyper takes for the end of a body.
            _ => http_2(&[], |client| client.reset(1, NO_ERROR)),
        };
        let head = String::from_utf8_lossy(&head);
        let body = received.recv().expect("what there was of a body");
        let chunked = head.contains("transfer-encoding: chunked");
        assert!(chunked != head.contains("content-length: 10000"), "{head}");
        assert!(body.len() < 10_000 && !body.ends_with(b"0\r\n\r\n"), "{round}");
        drop(client);
        proxy.until_idle();
    }
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
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&closed);
    let proxy = Proxy::before(raw(move |mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        drop(stream);
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    for round in 0..50 {
        let answer = proxy.talk(&get("/", ""));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{round}: {answer}");
        // One that is closed while a request is on its way is another matter.
        until(|| closed.load(Ordering::SeqCst) > round);
    }
}

/// A proxy before an upstream with one worker, who serves a connection until it is closed,
/// and how many he served.
fn before_one_worker() -> (Proxy, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&served);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            while !head(&mut stream).is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let proxy = Proxy::with(address, |config| {
        config.upstream.answer_time_max = Duration::from_secs(30);
    });
    (proxy, served)
}

#[test]
fn clients_of_different_threads_share_a_worker() {
    let (proxy, served) = before_one_worker();
    let address = proxy.server().addresses()[0];
    let mut clients = [connect(address), connect(address)];
    for _ in 0..10 {
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
            assert!(head(client).starts_with("HTTP/1.1 200 "));
            // As long as the upstream is not known to keep connections, they rest for 10 ms.
            client.set_read_timeout(Some(Duration::from_millis(15))).expect("a socket");
            assert!(client.read(&mut [0]).is_err(), "nothing more comes");
            client.set_read_timeout(None).expect("a socket");
        }
    }
    // The second one had to wait until the first one's connection was closed.
    assert!(served.load(Ordering::SeqCst) <= 6, "{served:?}");
}

#[test]
fn a_connection_that_is_kept_makes_room_for_one_that_waits_for_a_worker() {
    let (proxy, _) = before_one_worker();
    for _ in 0..4 {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let answer = proxy.talk(&get("/", ""));
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                });
            }
        });
    }
}
