//! Bodies: too large, too deep, not JSON.

use std::io::{Read as _, Write as _};

use serde_json::json;

use crate::support::{ROOT, Running, connect, read_answer};

/// What an entry of the store may hold, and Vault's `max_request_size`.
const ENTRY_BYTES_MAX: usize = 1 << 20;
const BODY_BYTES_MAX: usize = 32 << 20;

#[test]
fn what_is_not_a_json_object_is_refused() {
    let server = Running::dev();
    server.mount_kv1();
    for body in [
        b"{".as_slice(),
        b"}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{\"a\":1}{\"a\":1}",
        b"{'a':1}",
        b"{\"a\":NaN}",
        b"{\"a\":1e999}",
        b"{\"a\":01}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\0\"}",
        b"\xef\xbb\xbf{}",
        b"[]",
        b"[1]",
        b"1",
        b"true",
        b"\"text\"",
        b"a=1&b=2",
        b"\0",
        b"\xff\xfe",
    ] {
        for path in ["kv/a", "secret/data/a", "auth/token/create", "sys/mounts/x", "sys/unseal"] {
            let answer = server.call("POST", path).token(ROOT).body(body).send();
            let text = String::from_utf8_lossy(body);
            assert_eq!(answer.status, 400, "{path} {text:?}");
            let errors = answer.errors();
            assert!(errors[0].starts_with("failed to parse JSON input"), "{errors:?}");
        }
    }
    server.get("kv/a").is(404);
}

#[test]
fn an_error_about_json_repeats_nothing_of_it() {
    let server = Running::dev();
    let body = "{\"password\": \"hunter2\", hunter2}";
    let answer = server.call("POST", "secret/data/a").token(ROOT).body(body).send().is(400);
    assert!(!answer.errors()[0].contains("hunter2"));
}

#[test]
fn ten_thousand_levels_are_refused_wherever_they_stand() {
    let server = Running::dev();
    server.mount_kv1();
    let depth = 10_000;
    let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let open = "[".repeat(depth);
    for nested in [&arrays, &objects, &open] {
        for body in
            [nested.clone(), format!("{{\"data\":{nested}}}"), format!("{{\"policies\":{nested}}}")]
        {
            for path in ["kv/a", "secret/data/a", "auth/token/create", "sys/policies/acl/p"] {
                server.call("POST", path).token(ROOT).body(body.clone()).send().blames_the_client();
            }
        }
    }
    // What a policy document or a path template nests is JSON or HCL as well.
    for policy in [
        format!("{{\"path\":{arrays}}}"),
        format!("path \"a\" {{ capabilities = {arrays} }}"),
        format!("path \"a\" {}", "{ a ".repeat(depth)),
        format!("path \"a\" {{ x = {}1{} }}", "(".repeat(depth), ")".repeat(depth)),
        format!("path \"a\" {{ x = {}1 }}", "!".repeat(depth)),
        format!("path \"a\" {{ x = {}1 }}", "-".repeat(depth)),
        format!("path \"a\" {{ x = \"{}\" }}", "${".repeat(depth)),
    ] {
        server.post("sys/policies/acl/p", &json!({ "policy": policy })).blames_the_client();
    }
}

#[test]
fn a_hundred_levels_are_stored() {
    let server = Running::dev();
    server.mount_kv1();
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    server.call("POST", "kv/a").token(ROOT).body(nested).send().is(204);
    server.get("kv/a").is(200);
}

#[test]
fn an_entry_beyond_its_limit_is_413_and_not_stored() {
    let server = Running::dev();
    server.mount_kv1();
    let value = "v".repeat(ENTRY_BYTES_MAX + 1);
    server.post("kv/a", &json!({ "k": value })).blames_the_client().is(413);
    server.post("secret/data/a", &json!({ "data": { "k": value } })).blames_the_client().is(413);
    server.get("kv/a").is(404);
    server.get("secret/data/a").is(404);
    let value = "v".repeat(ENTRY_BYTES_MAX / 2);
    server.post("kv/a", &json!({ "k": value })).is(204);
}

#[test]
fn an_announced_body_beyond_the_limit_is_413_before_its_first_byte() {
    let server = Running::dev();
    for path in ["secret/data/a", "sys/health", "sys/unseal", "nobody/a"] {
        let head = format!(
            "POST /v1/{path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            BODY_BYTES_MAX + 1
        );
        server.raw(head).blames_the_client().is(413);
    }
}

#[test]
fn a_client_that_sends_its_whole_body_first_still_reads_the_413() {
    // The server reads on for 5 s at most: a slow machine must be done with it by then.
    const BYTES: usize = 4 << 20;
    let server = Running::dev_with(|options| {
        options.config.listeners[0].request_bytes_max = BYTES as u64;
    });
    let mut socket = connect(server.address);
    let head = format!(
        "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        BYTES + 1
    );
    socket.write_all(head.as_bytes()).unwrap();
    let piece = vec![b' '; 1 << 16];
    for _ in 0..BYTES / piece.len() {
        socket.write_all(&piece).expect("the server reads on, into nothing");
    }
    read_answer(&mut socket).blames_the_client().is(413);
}

#[test]
fn chunks_beyond_the_limit_are_413() {
    let server = Running::dev_with(|options| {
        options.config.listeners[0].request_bytes_max = 100_000;
    });
    let mut socket = connect(server.address);
    let head = format!(
        "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, " ".repeat(50_000));
    for _ in 0..10 {
        socket.write_all(chunk.as_bytes()).expect("the server reads on, into nothing");
    }
    read_answer(&mut socket).blames_the_client().is(413);
    let mut rest = Vec::new();
    drop(socket.read_to_end(&mut rest));
    assert!(rest.is_empty(), "{rest:?}");
    let exact = format!("{{\"data\":{{}}}}{}", " ".repeat(100_000 - 11));
    server.call("POST", "secret/data/a").token(ROOT).body(exact).send().is(200);
}

#[test]
fn a_body_that_breaks_off_writes_nothing() {
    let server = Running::dev();
    let mut socket = connect(server.address);
    let head = format!(
        "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
         content-length: 100\r\n\r\n{{\"data\":{{}}}}"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    drop(socket.read_to_end(&mut rest));
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 400"), "{rest}");
    server.get("secret/data/a").is(404);
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let server = Running::dev_with(|options| {
        options.config.listeners[0].body_time_max = std::time::Duration::from_millis(50);
    });
    let head = format!(
        "POST /v1/secret/data/a HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
         content-length: 100\r\n\r\n{{"
    );
    server.raw(head).blames_the_client().is(408);
}

#[test]
fn many_keys_and_large_numbers_come_back_as_they_were() {
    let server = Running::dev();
    server.mount_kv1();
    let body = "{\"a\":9007199254740993,\"b\":-1,\"c\":18446744073709551615,\"d\":0.5}";
    server.call("POST", "kv/n").token(ROOT).body(body).send().is(204);
    let text = String::from_utf8(server.get("kv/n").is(200).body).unwrap();
    assert!(text.contains(body), "{text}");
    let many: serde_json::Map<_, _> = (0..10_000).map(|i| (format!("k{i}"), json!(i))).collect();
    let many = serde_json::Value::Object(many);
    server.post("kv/m", &many).is(204);
    assert_eq!(server.get("kv/m").is(200).json()["data"], many);
}
