use http::Request;
use std::time::Duration;

use super::*;

fn parts(method: &str, uri: &str) -> Parts {
    Request::builder().method(method).uri(uri).body(()).expect("valid").into_parts().0
}

fn vault(method: &str, uri: &str) -> (Option<&'static str>, Class) {
    let parts = parts(method, uri);
    let route = route(&[], UpstreamKind::Vault, &parts, || true);
    (route.gate, route.class)
}

#[test]
fn a_vaults_routes_are_known() {
    use Class::{Critical, High, Normal};
    for (method, uri, gate, class) in [
        ("GET", "/v1/sys/health?standbyok=true", None, Critical),
        ("PUT", "/v1/sys/unseal", None, Critical),
        ("PUT", "/v1/auth/approle/login", Some(LOGINS), Normal),
        ("POST", "/v1/auth/userpass/login/alice", Some(LOGINS), Normal),
        ("POST", "/v1/auth/%61pprole/login", Some(LOGINS), Normal),
        ("POST", "/v1/auth/token/create", Some(WRITES), Normal),
        ("POST", "/v1/auth/token/renew-self", Some(WRITES), High),
        ("PUT", "/v1/sys/policies/acl/app", Some(WRITES), High),
        ("GET", "/v1/auth/token/lookup-self", Some(READS), High),
        ("GET", "/v1/secret/data/db", Some(READS), Normal),
        ("LIST", "/v1/secret/metadata", Some(READS), Normal),
        ("DELETE", "/v1/secret/data/db", Some(WRITES), Normal),
        ("PATCH", "/v1/secret/data/db", Some(WRITES), Normal),
        ("GET", "/ui/", Some(READS), Normal),
    ] {
        assert_eq!(vault(method, uri), (gate, class), "{method} {uri}");
    }
}

#[test]
fn nobody_passes_by_writing_health_in_another_way() {
    for uri in [
        "/v1/sys/health/../../auth/approle/login",
        "/v1/sys/health%2f..%2fauth",
        "/v1//sys/health",
        "/v1/sys/health/",
        "/v1/auth/x/login/../../sys/health",
    ] {
        assert!(vault("POST", uri).0.is_some(), "{uri}");
    }
}

#[test]
fn what_keeps_work_alive_goes_first_only_for_somebody() {
    let parts = parts("POST", "/v1/auth/token/renew-self");
    assert_eq!(route(&[], UpstreamKind::Vault, &parts, || false).class, Class::Normal);
}

#[test]
fn any_other_server_is_read_and_written() {
    let gate = |method, uri| route(&[], UpstreamKind::Http, &parts(method, uri), || false).gate;
    assert_eq!(gate("GET", "/v1/auth/approle/login"), Some(READS));
    assert_eq!(gate("POST", "/orders"), Some(WRITES));
    assert_eq!(gate("GET", "/healthz"), None);
    assert_eq!(gate("POST", "/healthz"), Some(WRITES));
}

#[test]
fn the_first_rule_that_matches_counts() {
    let rule = |path, methods: &[Method], gate: Option<&str>, class| Rule {
        path,
        methods: methods.to_vec(),
        gate: gate.map(str::to_owned),
        class,
    };
    let rules = [
        rule(Matcher::Exact("/report".to_owned()), &[], None, Class::Normal),
        rule(Matcher::Prefix("/re".to_owned()), &[Method::GET], Some("slow"), Class::Low),
    ];
    let found = |method, uri| {
        let route = route(&rules, UpstreamKind::Http, &parts(method, uri), || false);
        (route.gate.map(str::to_owned), route.class)
    };
    assert_eq!(found("GET", "/report?x"), (None, Class::Critical));
    assert_eq!(found("GET", "/reports"), (Some("slow".to_owned()), Class::Low));
    assert_eq!(found("POST", "/reports"), (Some(WRITES.to_owned()), Class::Normal));
}

fn client(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

#[test]
fn a_token_is_somebody_once_it_was_good_for_something() {
    let identities = Identities::default();
    let (one, other) = (client("9.9.9.9"), client("8.8.8.8"));
    let of = |client, token| identities.of_token(client, Some(token), Timestamp::ZERO);
    let made_up = of(one, "a");
    assert!(!made_up.is_known());
    assert_eq!(made_up.flow, of(one, "b").flow, "made-up tokens share their address");
    identities.prove(&made_up, Timestamp::ZERO);
    assert!(of(one, "a").is_known());
    assert_ne!(of(one, "a").flow, of(one, "b").flow);
    assert_eq!(of(one, "a").flow, of(other, "a").flow, "wherever it comes from");
    let later = Timestamp::ZERO + Duration::from_secs(600);
    assert!(!identities.of_token(one, Some("a"), later).is_known());
}

#[test]
fn a_role_is_somebody_once_it_has_logged_in_and_only_from_there() {
    let identities = Identities::default();
    let (one, other) = (client("9.9.9.9"), client("8.8.8.8"));
    let body = br#"{"role_id":"app","secret_id":"x"}"#;
    let of = |client| identities.of_login(client, "/v1/auth/approle/login", body, Timestamp::ZERO);
    identities.prove(&of(one), Timestamp::ZERO);
    assert!(of(one).is_known());
    assert!(!of(other).is_known());
}
