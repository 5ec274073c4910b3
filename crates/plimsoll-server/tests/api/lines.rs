//! HTTP itself, as no client library would write it.

use std::io::Write as _;

use serde_json::json;

use crate::support::{Answer, ROOT, Running, connect, read_answer};

const END: &str = "connection: close\r\n\r\n";

fn is_4xx(answer: &Answer, sent: &[u8]) {
    let sent = String::from_utf8_lossy(sent);
    assert!((400..500).contains(&answer.status), "{} to {sent:?}", answer.status);
}

#[test]
fn what_is_not_http_is_refused() {
    let server = Running::dev();
    for garbage in [
        b"\r\n\r\n \r\n\r\n".as_slice(),
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/sys/health\r\n\r\n",
        b"GET /v1/sys/health HTTP/9.9\r\nhost: x\r\n\r\n",
        b"GET /v1/sys/health HTTP/1.1 extra\r\nhost: x\r\n\r\n",
        b"GET  /v1/sys/health HTTP/1.1\r\nhost: x\r\n\r\n",
        b"G\0T /v1/sys/health HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/sys/\0health HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/secret/a b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/sys/health HTTP/1.1\r\nhost x\r\n\r\n",
        b"GET /v1/sys/health HTTP/1.1\r\nho st: x\r\n\r\n",
        b"GET /v1/sys/health HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /v1/sys/health HTTP/1.1\r\nhost: x\r\nx-vault-token: a\0b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\xff\xfe\xfd\xfc\r\n\r\n",
    ] {
        is_4xx(&server.raw(garbage), garbage);
    }
    server.call("GET", "sys/health").send().is(200);
}

#[test]
fn http2_that_breaks_off_or_is_none_costs_one_connection() {
    let server = Running::dev();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for frames in [b"".as_slice(), b"\0\0\0", &[0xff; 64], &[0; 64], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = connect(server.address);
        socket.write_all(&[preface, frames].concat()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        drop(std::io::Read::read_to_end(&mut socket, &mut answer));
        assert!(!answer.starts_with(b"HTTP/1.1 5"));
    }
    server.call("GET", "sys/health").send().is(200);
}

#[test]
fn targets_of_other_forms_are_answered() {
    let server = Running::dev();
    for (target, status) in [
        ("GET http://x/v1/sys/health", 200),
        ("GET http://x/v1/sys/../sys/seal", 400),
        ("GET http://x", 404),
        ("OPTIONS *", 404),
        ("CONNECT x:443", 404),
    ] {
        let answer = server.raw(format!("{target} HTTP/1.1\r\nhost: x\r\n{END}"));
        assert_eq!(answer.status, status, "{target}");
    }
    // Of before there were hosts.
    assert_eq!(server.raw("GET /v1/sys/health HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_path_in_raw_bytes_beyond_ascii_is_refused() {
    let server = Running::dev();
    for bytes in [b"\xff\xfe".as_slice(), b"\xc3\xa4"] {
        let mut request = b"GET /v1/secret/data/".to_vec();
        request.extend_from_slice(bytes);
        request.extend_from_slice(b" HTTP/1.1\r\nhost: x\r\n");
        request.extend_from_slice(format!("x-vault-token: {ROOT}\r\n{END}").as_bytes());
        is_4xx(&server.raw(&request), &request);
    }
}

#[test]
fn a_folded_header_is_refused() {
    let server = Running::dev();
    let folded = format!("GET /v1/sys/health HTTP/1.1\r\nhost: x\r\nx-a: b\r\n  c\r\n{END}");
    is_4xx(&server.raw(&folded), folded.as_bytes());
}

#[test]
fn two_lengths_that_differ_are_refused() {
    let server = Running::dev();
    for lengths in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: -1\r\n",
        "content-length: 2x\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length: 2\r\ntransfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, gzip\r\n",
    ] {
        let request = format!(
            "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n{lengths}{END}{{}}"
        );
        is_4xx(&server.raw(&request), request.as_bytes());
    }
}

#[test]
fn broken_chunks_are_refused_and_write_nothing() {
    let server = Running::dev();
    for chunks in ["zz\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "ffffffffffffffffff\r\n{}"] {
        let request = format!(
            "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
             transfer-encoding: chunked\r\n{END}{chunks}"
        );
        is_4xx(&server.raw(&request), request.as_bytes());
    }
    server.get("secret/data/a").is(404);
}

#[test]
fn a_flood_of_headers_is_431() {
    let server = Running::dev();
    let many: String = (0..5_000).map(|i| format!("x-{i}: {i}\r\n")).collect();
    let long = format!("x-a: {}\r\n", "a".repeat(200_000));
    for headers in [many, long] {
        let request = format!("GET /v1/sys/health HTTP/1.1\r\nhost: x\r\n{headers}{END}");
        assert_eq!(server.raw(&request).status, 431);
    }
    // What the parser takes, the server refuses itself, and says so.
    let long = "a".repeat(40_000);
    let call = server.call("GET", "sys/health").header("x-a", &long);
    call.send().refuses(431, "request headers exceed 128 fields or 32768 bytes");
}

#[test]
fn of_two_tokens_neither_is_chosen() {
    let server = Running::dev();
    let call = || server.call("GET", "sys/mounts");
    let refused = "more than one";
    call().token(ROOT).token("other").send().refuses(400, refused);
    call().token("other").token(ROOT).send().refuses(400, refused);
    let bearer = |token| format!("Bearer {token}");
    let twice = call().header("authorization", &bearer(ROOT));
    twice.header("authorization", &bearer("other")).send().refuses(400, refused);
    call().header("authorization", &bearer(ROOT)).send().is(200);
    // On a way of its own, the same.
    server.call("GET", "sys/metrics").token(ROOT).token(ROOT).send().refuses(400, refused);
}

#[test]
fn a_token_that_is_not_text_is_denied() {
    let server = Running::dev();
    let mut request =
        b"GET /v1/sys/mounts HTTP/1.1\r\nhost: x\r\nx-vault-token: \xff\xfe\r\n".to_vec();
    request.extend_from_slice(END.as_bytes());
    server.raw(&request).refuses(403, "permission denied");
}

#[test]
fn a_query_of_many_parameters_is_answered() {
    let server = Running::dev();
    let many: String = (0..5_000).map(|i| format!("&p{i}=%ff%00")).collect();
    server.get(&format!("secret/data/a?version=1{many}")).blames_the_client();
    server.get("secret/data/a?version=one").blames_the_client();
    server.get("secret/data/a?version=-1&version=%ff").blames_the_client();
}

#[test]
fn a_client_that_expects_to_continue_is_told_to() {
    let server = Running::dev();
    let body = json!({ "data": { "k": "v" } }).to_string();
    let mut socket = connect(server.address);
    let head = format!(
        "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n{END}",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    let mut space = [0; 64];
    let read = std::io::Read::read(&mut socket, &mut space).unwrap();
    assert_eq!(&space[..read], b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(body.as_bytes()).unwrap();
    read_answer(&mut socket).is(200);
}

#[test]
fn a_client_that_expects_to_continue_and_is_refused_sends_no_body() {
    let server = Running::dev();
    for (refusal, status) in [
        ("content-length: 2\r\nx-vault-aop-force-reject: true\r\n", 503),
        ("content-length: 40000000\r\n", 413),
    ] {
        let mut socket = connect(server.address);
        let head = format!(
            "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
             expect: 100-continue\r\n{refusal}\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut socket);
        assert_eq!(answer.status, status, "no 100 comes first");
        assert_eq!(answer.header("connection"), Some("close"));
        answer.errors();
    }
}
