use core::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn trusting(blocks: &[&str]) -> Forwarding {
    Forwarding::by_proxies(blocks.iter().copied()).expect("blocks")
}

/// The client that a header from `peer` stands for.
fn client(
    forwarding: &Forwarding,
    peer: &str,
    lines: &[(&'static str, &str)],
) -> Result<IpAddr, ForwardingError> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("valid"));
    }
    forwarding.client(ip(peer), &headers)
}

const XFF: &str = "x-forwarded-for";

#[test]
fn nobody_is_believed_by_default() {
    let lines = [(XFF, "1.1.1.1"), ("forwarded", "for=1.1.1.1")];
    assert_eq!(client(&Forwarding::default(), "10.0.0.1", &lines), Ok(ip("10.0.0.1")));
}

#[test]
fn what_a_client_forges_is_ignored_or_refused_never_believed() {
    let forwarding = trusting(&["10.0.0.0/8"]);
    let forged = [(XFF, "1.1.1.1")];
    assert_eq!(client(&forwarding, "9.9.9.9", &forged), Ok(ip("9.9.9.9")));
    let strict = forwarding.clone().reject_not_authorized(true);
    assert_eq!(client(&strict, "9.9.9.9", &forged), Err(ForwardingError::NotAuthorized));
    // Through the proxy, which appends the address that it has seen itself.
    assert_eq!(client(&forwarding, "10.0.0.1", &[(XFF, "1.1.1.1, 9.9.9.9")]), Ok(ip("9.9.9.9")));
    let lines = [(XFF, "1.1.1.1"), (XFF, "9.9.9.9")];
    assert_eq!(client(&forwarding, "10.0.0.1", &lines), Ok(ip("9.9.9.9")), "two lines, one list");
}

#[test]
fn a_chain_of_proxies_is_followed_to_the_right_most_stranger() {
    let forwarding = trusting(&["10.0.0.0/8", "192.0.2.7"]);
    let chain = [(XFF, "1.1.1.1, 9.9.9.9, 192.0.2.7, 10.3.2.1")];
    assert_eq!(client(&forwarding, "10.0.0.1", &chain), Ok(ip("9.9.9.9")));
    let only_proxies = [(XFF, "10.3.2.1, 10.3.2.2")];
    assert_eq!(client(&forwarding, "10.0.0.1", &only_proxies), Ok(ip("10.3.2.1")));
}

#[test]
fn hops_are_skipped_from_the_right_whoever_they_are() {
    let forwarding = trusting(&["10.0.0.0/8"]);
    let chain = [(XFF, "1.1.1.1, 10.3.2.1")];
    let skip = |hops| client(&forwarding.clone().skipping(hops), "10.0.0.1", &chain);
    assert_eq!(skip(0), Ok(ip("10.3.2.1")), "a client in the same block as the proxies");
    assert_eq!(skip(1), Ok(ip("1.1.1.1")));
    assert_eq!(skip(2), Err(ForwardingError::TooFewHops { skips: 2, hops: 2 }));
    assert!(skip(usize::MAX).is_err());
}

#[test]
fn a_missing_header_is_the_peer_or_refused() {
    let forwarding = trusting(&["10.0.0.0/8"]);
    assert_eq!(client(&forwarding, "10.0.0.1", &[]), Ok(ip("10.0.0.1")));
    let strict = forwarding.reject_not_present(true);
    assert_eq!(client(&strict, "10.0.0.1", &[]), Err(ForwardingError::NotPresent));
}

#[test]
fn addresses_come_with_ports_and_brackets_and_mapped() {
    let forwarding = trusting(&["::1"]);
    for (entry, address) in [
        ("9.9.9.9:1234", "9.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("9.9.9.9,", "9.9.9.9"),
    ] {
        assert_eq!(client(&forwarding, "::1", &[(XFF, entry)]), Ok(ip(address)), "{entry}");
    }
}

#[test]
fn what_is_no_address_is_refused_from_a_proxy_too() {
    let forwarding = trusting(&["::1"]);
    let long = "9".repeat(8000);
    for entry in ["9.9.9", "9.9.9.9.9", "localhost", "9.9.9.9;1.1.1.1", "\u{fc}", "\"", &long] {
        let client = client(&forwarding, "::1", &[(XFF, entry)]);
        assert_eq!(client, Err(ForwardingError::Malformed), "{entry}");
    }
    let bomb = "1.1.1.1,".repeat(65);
    assert_eq!(client(&forwarding, "::1", &[(XFF, &bomb)]), Err(ForwardingError::Malformed));
}

#[test]
fn a_proxy_that_does_not_know_stands_for_its_clients() {
    let forwarding = trusting(&["10.0.0.0/8"]);
    let chain = [(XFF, "1.1.1.1, unknown, 10.0.0.2")];
    assert_eq!(client(&forwarding, "10.0.0.1", &chain), Ok(ip("10.0.0.2")));
    assert_eq!(client(&forwarding, "10.0.0.1", &[(XFF, "")]), Ok(ip("10.0.0.1")));
}

#[test]
fn forwarded_is_read_instead_where_it_is_configured() {
    let forwarding = trusting(&["10.0.0.0/8"]).in_header(ForwardedHeader::Forwarded);
    for (line, address) in [
        ("for=9.9.9.9", "9.9.9.9"),
        ("for=1.1.1.1, For=\"[2001:db8::1]:4711\";proto=https;by=10.0.0.1", "2001:db8::1"),
        ("by=\"a,b;for=1.1.1.1\";for=9.9.9.9", "9.9.9.9"),
        ("for=9.9.9.9, for=10.0.0.7", "9.9.9.9"),
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ] {
        let lines = [("forwarded", line), (XFF, "6.6.6.6")];
        assert_eq!(client(&forwarding, "10.0.0.1", &lines), Ok(ip(address)), "{line}");
    }
    for line in ["for=nowhere", "x=\", for=9.9.9.9", "for=\"1.1.1.1, for=9.9.9.9"] {
        let client = client(&forwarding, "10.0.0.1", &[("forwarded", line)]);
        assert_eq!(client, Err(ForwardingError::Malformed), "{line}");
    }
}

#[test]
fn an_ipv6_client_is_its_network() {
    assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
    assert_eq!(network(ip("9.9.9.9")), ip("9.9.9.9"));
    assert_eq!(network(ip("::ffff:9.9.9.9")), ip("9.9.9.9"));
}

#[test]
fn proxies_are_addresses_or_blocks() {
    for text in ["", "proxy", "10.0.0.0/33", "10.0.0.0/", "::1/129"] {
        assert!(Forwarding::by_proxies([text]).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_service_finds_the_client_and_a_refusal_never_reaches_it() {
    let layer = IdentityLayer::new(|extensions| extensions.get().copied())
        .trusting(trusting(&["10.0.0.0/8"]).reject_not_authorized(true));
    let service = layer.layer(service_fn(|request: Request<Full<Bytes>>| async move {
        let client = Client::of(request.extensions());
        assert_eq!(client.address, ip("9.9.9.9"));
        assert_eq!(client.peer, ip("10.0.0.1"));
        assert!(client.has_credential);
        Ok::<_, Infallible>(Response::<Full<Bytes>>::default())
    }));
    let request = |peer: &str| {
        let request = Request::get("/").header(XFF, "9.9.9.9").header("authorization", "Bearer x");
        request.extension(ip(peer)).body(Full::default()).expect("valid")
    };
    let response = service.clone().oneshot(request("10.0.0.1")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::OK);
    let response = service.oneshot(request("9.9.9.9")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}
