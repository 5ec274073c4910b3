//! Longer lives, and their bounds.

use serde_json::json;

use super::*;

#[test]
fn a_renewal_is_capped_by_what_is_left_of_the_maximum() {
    let mut server = server();
    let (id, accessor) = server.create("root", json!({"policies": ["default"], "ttl": 1000}));
    server.pass(500);
    let renew = |server: &Server, increment: &str| {
        let body = json!({"token": id, "increment": increment});
        server.write("root", "auth/token/renew", body).unwrap()
    };
    assert_eq!(renew(&server, "").auth.unwrap().lease_duration, 1000);
    assert_eq!(renew(&server, "2000").auth.unwrap().lease_duration, 2000);
    let capped = renew(&server, "10h");
    assert_eq!(capped.auth.unwrap().lease_duration, 9500);
    assert_eq!(capped.warnings.len(), 1);
    let body = json!({"accessor": accessor, "increment": 60});
    let shortened = server.write("root", "auth/token/renew-accessor", body).unwrap().auth.unwrap();
    assert_eq!((shortened.lease_duration, shortened.client_token.as_str()), (60, ""));
    let data = server.lookup(&id);
    assert_eq!((data["ttl"].as_u64(), data["creation_ttl"].as_u64()), (Some(60), Some(1000)));
    assert_eq!(data["last_renewal_time"], 1_700_000_500);
    server.pass(60);
    assert!(!server.accepts(&id));
}

#[test]
fn a_login_is_renewed_up_to_the_maximum_of_its_own_mount_and_role() {
    for (of_mount, of_role, expected) in [(300, 0, 300), (300, 200, 200), (30_000, 0, 30_000)] {
        let mut server = server();
        let token_mount =
            core::mem::replace(&mut server.ttls, Ttls { default: 100, max: of_mount });
        let grant = Grant { max_ttl: of_role, ..Grant::default() };
        let auth = login(&server, grant).unwrap().auth;
        server.ttls = token_mount;
        let body = json!({"increment": "100h"});
        let renewed = server.write(&auth.client_token, "auth/token/renew-self", body).unwrap();
        assert_eq!((auth.lease_duration, renewed.auth.unwrap().lease_duration), (100, expected));
    }
}

#[test]
fn a_periodic_token_lives_as_long_as_it_is_renewed() {
    let mut server = server();
    let body = json!({"policies": ["default"], "period": "100s"});
    let (id, _) = server.create("root", body);
    for _ in 0..500 {
        server.pass(99);
        let auth =
            server.write(&id, "auth/token/renew-self", json!({"increment": "1h"})).unwrap().auth;
        assert_eq!(auth.unwrap().lease_duration, 100);
        server.work(10);
    }
    assert_eq!(server.lookup(&id)["period"], 100);
    server.pass(100);
    assert!(!server.accepts(&id));
}

#[test]
fn an_explicit_maximum_ends_even_a_periodic_token() {
    let mut server = server();
    let body = json!({"policies": ["default"], "period": 100, "explicit_max_ttl": 150});
    let (id, _) = server.create("root", body);
    server.pass(90);
    let auth = server.write(&id, "auth/token/renew-self", json!({})).unwrap().auth.unwrap();
    assert_eq!(auth.lease_duration, 60);
    server.pass(60);
    assert!(!server.accepts(&id));
}

#[test]
fn what_cannot_be_renewed_says_so() {
    let server = server();
    let (fixed, _) = server.create("root", json!({"policies": ["default"], "renewable": false}));
    let (batch, _) = server.create("root", json!({"policies": ["default"], "type": "batch"}));
    for (id, error) in [
        ("root", "lease is not renewable"),
        (&fixed, "lease is not renewable"),
        (&batch, "batch tokens cannot be renewed"),
    ] {
        let renew = server.write(id, "auth/token/renew-self", json!({}));
        assert_eq!(refused(renew), invalid(error));
    }
    let revoke = server.write("root", "auth/token/revoke", json!({"token": batch}));
    assert_eq!(refused(revoke), invalid("batch tokens cannot be revoked"));
}
