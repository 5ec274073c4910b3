use http::{Request, Response};

use super::*;

fn parts(request: http::request::Builder) -> Parts {
    request.body(()).expect("valid").into_parts().0
}

fn get(uri: &str) -> http::request::Builder {
    Request::get(uri).header(HOST, "vault.example")
}

fn normalised(request: http::request::Builder) -> Result<Parts, BadHead> {
    let mut parts = parts(request);
    normalise(&mut parts).map(|()| parts)
}

fn target() -> Target {
    Target { authority: HeaderValue::from_static("10.0.0.5:8200"), host: None }
}

fn sent(request: http::request::Builder, origin: &Origin) -> Parts {
    let mut parts = normalised(request).expect("passed on");
    direct(&mut parts, &target(), origin);
    parts
}

const STRANGER: Origin =
    Origin { peer: IpAddr::V4(std::net::Ipv4Addr::new(9, 9, 9, 9)), trusted: false, tls: false };

use std::net::IpAddr;

#[test]
fn the_path_goes_through_byte_by_byte() {
    for path in ["/v1/kv/a%2Fb//c/../d?list=true&x=%20", "/", "/a;b=c?", "/%00"] {
        let parts = sent(get(path), &STRANGER);
        assert_eq!(parts.uri.to_string(), path);
        assert_eq!(parts.headers[HOST], "vault.example");
    }
}

#[test]
fn what_concerns_one_connection_only_stays_there() {
    let request = get("/")
        .header("connection", "close, X-Custom , keep-alive")
        .header("connection", "x-other")
        .header("x-custom", "1")
        .header("x-other", "1")
        .header("keep-alive", "timeout=5")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic eA==")
        .header("proxy-connection", "keep-alive")
        .header("upgrade", "h2c")
        .header("http2-settings", "AAMAAABkAAQAAP__")
        .header("expect", "100-continue")
        .header("authorization", "Bearer x");
    let parts = sent(request, &STRANGER);
    let mut names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let added = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    assert_eq!(names, [&["authorization", "forwarded", "host", "via"][..], &added].concat());
}

use http::header::HeaderName;

#[test]
fn a_length_beside_chunks_is_dropped() {
    let request = get("/").header("content-length", "5").header("transfer-encoding", "chunked");
    let parts = sent(request, &STRANGER);
    assert!(!parts.headers.contains_key(CONTENT_LENGTH));
    let response = Response::builder().header("content-length", "5");
    let response = response.header("transfer-encoding", "chunked").body(()).expect("valid");
    let mut parts = response.into_parts().0;
    answer(&mut parts);
    assert!(parts.headers.is_empty());
}

#[test]
fn a_body_is_passed_on_only_if_its_coding_can_be_undone() {
    let coded = |codings: &[&str]| {
        let request =
            codings.iter().fold(get("/"), |get, coding| get.header("transfer-encoding", *coding));
        let answer = codings.iter().fold(Response::builder(), |answer, coding| {
            answer.header("transfer-encoding", *coding)
        });
        (normalised(request).map(|_| ()), is_passable(&answer.body(()).expect("valid")))
    };
    assert_eq!(coded(&["Chunked"]), (Ok(()), true));
    for codings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["chunked, chunked"], &["x"]] {
        assert_eq!(coded(codings), (Err(BadHead::Coding), false), "{codings:?}");
    }
}

#[test]
fn a_length_is_a_number_and_said_once() {
    let length = |lengths: &[&str]| {
        let request =
            lengths.iter().fold(get("/"), |get, length| get.header(CONTENT_LENGTH, *length));
        normalised(request).map(|_| ())
    };
    assert_eq!(length(&["5"]), Ok(()));
    for bad in [&["5", "6"][..], &["5", "5"], &["5, 5"], &["+5"], &["-5"], &["0x5"], &[""], &["5 "]]
    {
        assert_eq!(length(bad), Err(BadHead::Length), "{bad:?}");
    }
}

#[test]
fn a_host_is_said_once_or_twice_the_same() {
    let host = |request: http::request::Builder| {
        normalised(request).map(|parts| parts.headers.get(HOST).cloned())
    };
    let named = |name| Ok(Some(HeaderValue::from_static(name)));
    assert_eq!(host(get("/")), named("vault.example"));
    assert_eq!(host(get("http://vault.example/x")), named("vault.example"));
    assert_eq!(host(get("http://VAULT.example/x")), named("VAULT.example"));
    assert_eq!(host(Request::get("https://a:443/x")), named("a:443"));
    assert_eq!(host(Request::get("/").version(Version::HTTP_10)), Ok(None));
    let two_ways = Err(BadHead::Host("in two ways"));
    assert_eq!(host(get("http://evil.example/x")), two_ways);
    assert_eq!(host(get("/").header(HOST, "b")), Err(BadHead::Host("more than once")));
    assert_eq!(host(Request::get("/")), Err(BadHead::Host("nowhere")));
    for value in ["user@a", "a/b", "a b", "", "a:b:c", "a:99999", "a?x", "[::1", "a,b:x"] {
        let request = Request::get("/").header(HOST, value);
        assert!(matches!(host(request), Err(BadHead::Host(_))), "{value:?}");
    }
    assert!(host(Request::get("/").header(HOST, "[::1]:8200")).is_ok());
    let user = Request::get("http://user@vault.example/");
    assert!(matches!(host(user), Err(BadHead::Host(_))));
    assert_eq!(host(Request::get("ftp://vault.example/")), Err(BadHead::Target));
}

#[test]
fn what_is_the_proxys_own_business_is_refused() {
    let bad = |request| normalised(request).expect_err("refused");
    let connect = Request::builder().method("CONNECT").uri("a:1").header(HOST, "a:1");
    assert_eq!(bad(connect), BadHead::Method);
    assert_eq!(bad(get("/").method("TRACE")), BadHead::Method);
    assert_eq!(bad(Request::get("*").header(HOST, "a")), BadHead::Target);
    assert_eq!(bad(get("/").method("OPTIONS").header("max-forwards", "0")), BadHead::Method);
    assert_eq!(bad(get("/").header("upgrade", "websocket")), BadHead::Upgrade);
    assert_eq!(bad(get("/").header("upgrade", "h2c, websocket")), BadHead::Upgrade);
    let round = (0..8).fold(get("/"), |request, _| request.header(VIA, "1.1 plimsoll"));
    assert_eq!(bad(round), BadHead::Loop);
    assert_eq!(bad(get("/").header(VIA, ["1.1 plimsoll"; 8].join(", "))), BadHead::Loop);
}

#[test]
fn what_is_asked_of_the_server_as_a_whole_is_passed_on_as_far_as_it_may_go() {
    let asterisk = Request::builder().method("OPTIONS").uri("*").header(HOST, "a");
    let parts = sent(asterisk.header("max-forwards", "3"), &STRANGER);
    assert_eq!(parts.uri.to_string(), "*");
    assert_eq!(parts.headers["max-forwards"], "2");
    let parts = sent(get("/").header("max-forwards", "0"), &STRANGER);
    assert_eq!(parts.headers["max-forwards"], "0", "means something for OPTIONS only");
    let parts = sent(Request::get("http://a?b=c"), &STRANGER);
    assert_eq!(parts.uri.to_string(), "/?b=c");
}

#[test]
fn what_a_client_claims_about_itself_is_replaced() {
    let request = get("/")
        .header("x-forwarded-for", "1.1.1.1")
        .header("forwarded", "for=1.1.1.1")
        .header("x-forwarded-proto", "https")
        .header("x-real-ip", "1.1.1.1")
        .header("x-forwarded-client-cert", "Subject=root")
        .header("X_Forwarded_For", "1.1.1.1");
    let parts = sent(request, &STRANGER);
    assert_eq!(parts.headers["x-forwarded-for"], "9.9.9.9");
    assert_eq!(parts.headers["x-forwarded-proto"], "http");
    assert_eq!(parts.headers["x-forwarded-host"], "vault.example");
    assert_eq!(parts.headers["forwarded"], "for=9.9.9.9;host=\"vault.example\";proto=http");
    for claim in ["x-real-ip", "x-forwarded-client-cert", "x_forwarded_for"] {
        assert!(!parts.headers.contains_key(claim), "{claim}");
    }
}

#[test]
fn what_a_proxy_says_is_passed_on_with_the_proxy_added() {
    let origin = Origin { peer: "2001:db8::1".parse().expect("valid"), trusted: true, tls: true };
    let request = get("/")
        .header("x-forwarded-for", "1.1.1.1")
        .header("x-forwarded-for", "2.2.2.2")
        .header("forwarded", "for=1.1.1.1")
        .header("x-forwarded-proto", "http");
    let parts = sent(request, &origin);
    assert_eq!(parts.headers["x-forwarded-for"], "1.1.1.1, 2.2.2.2, 2001:db8::1");
    assert_eq!(parts.headers["x-forwarded-proto"], "http");
    let told = "for=1.1.1.1, for=\"[2001:db8::1]\";host=\"vault.example\";proto=https";
    assert_eq!(parts.headers["forwarded"], told);
}

#[test]
fn every_version_arrives_as_http_1_1_and_says_so() {
    let parts = sent(
        get("/").version(Version::HTTP_2).header("cookie", "a=1").header("cookie", "b=2"),
        &STRANGER,
    );
    assert_eq!(parts.version, Version::HTTP_11);
    assert_eq!(parts.headers[VIA], "2 plimsoll");
    assert_eq!(parts.headers["cookie"], "a=1; b=2");
}
