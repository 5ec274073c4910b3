//! What goes through, and what is added to it.

use crate::support::{Proxy, get, mirror, saying};

#[test]
fn a_request_arrives_as_it_was_but_for_what_is_said_to_change() {
    let proxy = Proxy::before(mirror());
    let seen = proxy.talk(&get("/v1/kv/a%2Fb?x=%20", "X-Vault-Token: t\r\nKeep-Alive: 5\r\n"));
    let (_, seen) = seen.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<&str> = seen.trim_end().lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "GET /v1/kv/a%2Fb?x=%20 HTTP/1.1",
            "forwarded: for=127.0.0.1;host=\"vault.example\";proto=http",
            "host: vault.example",
            "via: 1.1 plimsoll",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: vault.example",
            "x-forwarded-proto: http",
            "x-vault-token: t",
        ]
    );
}

#[test]
fn vaults_own_verb_is_passed_and_a_question_to_the_server_as_a_whole() {
    let proxy = Proxy::before(mirror());
    for line in ["LIST /v1/kv HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let request = get("", "").replacen("GET  HTTP/1.1", line, 1);
        assert!(proxy.talk(&request).contains(&format!("\r\n\r\n{line}")));
    }
}

#[test]
fn an_answer_is_passed_unharmed_whatever_it_says() {
    for answer in [
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://active:8200/v1/x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\nX-Ratelimit-Limit: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 473 Whatever\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    ] {
        let proxy = Proxy::before(saying(answer));
        let passed = proxy.talk(&get("/v1/x", "")).to_ascii_lowercase();
        for line in answer.to_ascii_lowercase().replace("2, 2", "2").lines() {
            assert!(passed.contains(line), "{line:?} in {passed:?}");
        }
        assert!(!passed.contains("proxy-status"), "not the proxy's own: {passed}");
        proxy.until_idle();
    }
}

#[test]
fn what_concerns_the_upstreams_connection_stays_there() {
    let proxy = Proxy::before(saying(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Transfer-Encoding: chunked\r\nX-End: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ));
    let passed = proxy.talk(&get("/", "")).to_ascii_lowercase();
    assert!(passed.contains("x-end: 1"));
    assert!(!passed.contains("x-hop") && !passed.contains("keep-alive:"), "{passed}");
}

#[test]
fn an_upgrade_is_refused_and_an_offer_is_not_taken() {
    let proxy = Proxy::before(mirror());
    let refused = proxy.talk(&get("/", "Upgrade: websocket\r\n"));
    assert!(refused.starts_with("HTTP/1.1 501 "), "{refused}");
    assert!(refused.contains("connect to the upstream directly"), "{refused}");
    for offer in ["h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", "TLS/1.2"] {
        let offered = proxy.talk(&get("/", &format!("Upgrade: {offer}\r\n")));
        assert!(offered.starts_with("HTTP/1.1 200 ") && !offered.contains(offer), "{offered}");
    }
}

#[test]
fn a_refused_client_keeps_its_connection() {
    use std::io::{Read, Write};
    let proxy = Proxy::before(mirror());
    let mut client = crate::support::connect(proxy.address);
    let forced = "POST /orders HTTP/1.1\r\nHost: a\r\nX-Vault-AOP-Force-Reject: true\r\n";
    client.write_all(format!("{forced}Content-Length: 2\r\n\r\n{{}}").as_bytes()).expect("sent");
    let refused = crate::support::head(&mut client).to_ascii_lowercase();
    assert!(refused.starts_with("http/1.1 503 ") && !refused.contains("connection: close"));
    let length = refused.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    client.read_exact(&mut body).expect("the refusal");
    client.write_all(get("/", "").as_bytes()).expect("sent");
    assert!(crate::support::head(&mut client).starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_refusal_speaks_the_upstreams_language_and_is_marked_as_the_proxys() {
    let forced = "X-Vault-AOP-Force-Reject: true\r\nContent-Length: 0\r\n";
    let post = |path: &str| get(path, forced).replacen("GET", "POST", 1);
    let any = Proxy::before(mirror());
    let refused = any.talk(&post("/orders"));
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("application/problem+json"), "{refused}");
    let vault = Proxy::with(mirror(), |config| {
        config.upstream.kind.0 = Some(plimsoll_proxy::UpstreamKind::Vault);
    });
    let refused = vault.talk(&post("/v1/auth/approle/login"));
    assert!(refused.contains("{\"code\":\"overloaded\""), "{refused}");
    assert!(refused.contains("\"gate\":\"upstream.logins\""), "{refused}");
    assert!(refused.contains("\"executed\":false"), "{refused}");
    for told in ["retry-after: ", "proxy-status: plimsoll; error=connection_limit_reached"] {
        assert!(refused.contains(told), "{refused}");
    }
    let health = get("/v1/sys/health", forced);
    assert!(vault.talk(&health).starts_with("HTTP/1.1 200 "), "health passes always");
}
