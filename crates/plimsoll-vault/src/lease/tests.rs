#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::backend::Grant;
use crate::request::Operation;
use crate::token::support::{Server, refused};

/// A token of `user`, for `ttl` seconds.
fn login(server: &Server, user: &str, ttl: u64) -> String {
    let (tokens, ttls) = (server.tokens.clone(), server.ttls);
    let path = format!("auth/userpass/login/{user}");
    let grant = Grant { ttl, ..Grant::default() };
    let issued = server.commit(|cx| tokens.issue_login(cx, grant, &path, "auth/userpass/", ttls));
    issued.unwrap().auth.client_token
}

fn leases(server: &Server, prefix: &str) -> Vec<String> {
    let path = format!("sys/leases/lookup/{prefix}");
    match server.ask("root", Operation::List, &path, json!({})) {
        Ok(response) => {
            let keys = response.data.unwrap()["keys"].as_array().unwrap().clone();
            keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
        }
        Err(error) => {
            assert_eq!(error.status(), 404);
            Vec::new()
        }
    }
}

/// How many leases are due and still in the index.
fn due(server: &Server) -> usize {
    let keys = server.keys();
    let names = keys.iter().filter_map(|key| key.strip_prefix(index::EXPIRIES));
    names.filter(|name| index::parse_expiry(name).unwrap().0 <= server.now_ms).count()
}

#[test]
fn what_is_due_is_ended_and_the_rest_is_not() {
    let mut server = Server::new();
    let empty = server.keys();
    let short: Vec<String> = (0..20).map(|_| login(&server, "bob", 10)).collect();
    let long = login(&server, "bob", 20);
    server.pass(10);
    assert_eq!(due(&server), 20);
    assert!(server.work(6) >= 4, "in chunks");
    assert_eq!(due(&server), 0);
    assert!(short.iter().all(|id| !server.accepts(id)) && server.accepts(&long));
    assert_eq!(leases(&server, "auth/userpass/login/bob").len(), 1);
    server.pass(10);
    server.work(6);
    assert_eq!(server.keys(), empty);
}

#[test]
fn how_late_the_work_is_is_known_without_looking_at_tokens() {
    let mut server = Server::new();
    let seconds_late = |server: &Server| {
        let (late, txn) = server.decide(|cx| late(cx)).unwrap();
        assert!(txn.compares.is_empty());
        late.as_secs()
    };
    assert_eq!(seconds_late(&server), 0);
    login(&server, "bob", 30);
    login(&server, "bob", 10);
    assert_eq!(seconds_late(&server), 0);
    server.pass(35);
    assert_eq!(seconds_late(&server), 25);
    server.work(10);
    assert_eq!(seconds_late(&server), 0);
}

#[test]
fn a_renewed_lease_is_moved_when_it_comes_up_and_not_ended() {
    let mut server = Server::new();
    let id = login(&server, "bob", 10);
    server.pass(9);
    server.write(&id, "auth/token/renew-self", json!({})).unwrap();
    server.pass(5);
    assert_eq!(due(&server), 1);
    server.work(10);
    assert!(server.accepts(&id));
    assert_eq!(due(&server), 0);
    server.pass(5);
    assert_eq!(due(&server), 1);
    server.work(10);
    assert!(leases(&server, "").is_empty());
}

#[test]
fn a_lease_that_was_shortened_is_ended_in_time() {
    let mut server = Server::new();
    let id = login(&server, "bob", 1000);
    server.write(&id, "auth/token/renew-self", json!({"increment": 5})).unwrap();
    server.pass(5);
    assert_eq!(due(&server), 1);
    server.work(10);
    assert!(leases(&server, "").is_empty());
}

#[test]
fn a_renewal_that_races_with_the_expiry_wins_or_is_refused() {
    let mut server = Server::new();
    let id = login(&server, "bob", 10);
    server.pass(9);
    let renewal =
        server.decide_ask(&id, Operation::Write, "auth/token/renew-self", json!({})).unwrap().1;
    server.pass(1);
    let expiry = server.decide(|cx| step(cx, 10)).unwrap().1;
    assert!(server.apply(renewal));
    assert!(!server.apply(expiry), "decided again, it finds a later end");
    server.work(10);
    assert!(server.accepts(&id));
}

#[test]
fn leases_are_listed_by_folder_for_those_with_sudo() {
    let server = Server::new();
    let bob = login(&server, "bob", 10);
    login(&server, "bob", 10);
    login(&server, "eve", 10);
    assert_eq!(leases(&server, ""), ["auth/"]);
    assert_eq!(leases(&server, "auth/userpass/login/"), ["bob/", "eve/"]);
    let names = leases(&server, "auth/userpass/login/bob");
    assert!(names.len() == 2 && names.iter().all(|name| name.len() == 65 && name.starts_with('h')));
    assert!(leases(&server, "nope").is_empty());
    let list = server.ask(&bob, Operation::List, "sys/leases/lookup/auth", json!({}));
    assert_eq!(refused(list).0, 403);
}

#[test]
fn a_lease_can_be_looked_up_and_revoked_by_its_id() {
    let server = Server::new();
    let id = login(&server, "bob", 10);
    let name = leases(&server, "auth/userpass/login/bob").remove(0);
    let lease = format!("auth/userpass/login/bob/{name}");
    let body = json!({ "lease_id": lease });
    let data = server.write("root", "sys/leases/lookup", body.clone()).unwrap().data.unwrap();
    assert_eq!(
        (&data["id"], &data["ttl"], &data["renewable"]),
        (&json!(lease), &json!(10), &json!(true))
    );
    assert_eq!(
        (&data["last_renewal"], &data["path"]),
        (&json!(null), &json!("auth/userpass/login/bob"))
    );
    let renew = server.write("root", "sys/leases/renew", body.clone());
    assert_eq!(refused(renew).1, "tokens cannot be renewed through this endpoint");
    server.write("root", &format!("sys/leases/revoke/{lease}"), json!({})).unwrap();
    assert!(!server.accepts(&id));
    for (path, error) in [
        ("sys/leases/lookup", "invalid lease"),
        ("sys/leases/renew", "lease not found"),
        ("sys/renew", "lease not found"),
    ] {
        assert_eq!(refused(server.write("root", path, body.clone())), (400, error.to_owned()));
    }
    server.write("root", "sys/revoke", body).unwrap();
    let missing = server.write("root", "sys/leases/revoke", json!({}));
    assert_eq!(refused(missing), (400, "lease_id must be specified".to_owned()));
}

#[test]
fn a_forged_lease_id_finds_nothing() {
    let server = Server::new();
    let id = login(&server, "bob", 10);
    let name = leases(&server, "auth/userpass/login/bob").remove(0);
    for lease in [format!("auth/userpass/login/eve/{name}"), name[1..].to_owned(), "/h".to_owned()]
    {
        server.write("root", "sys/leases/revoke", json!({"lease_id": lease})).unwrap();
    }
    assert!(server.accepts(&id));
}

#[test]
fn revoking_a_prefix_ends_a_few_at_once_and_many_in_time() {
    let mut server = Server::new();
    let eve = login(&server, "eve", 1000);
    let bobby = login(&server, "bobby", 1000);
    let bobs: Vec<String> = (0..3).map(|_| login(&server, "bob", 1000)).collect();
    server.write("root", "sys/leases/revoke-prefix/auth/userpass/login/bob", json!({})).unwrap();
    assert!(bobs.iter().all(|id| !server.accepts(id)), "without any background work");
    assert!(server.accepts(&eve) && server.accepts(&bobby));

    let many: Vec<String> =
        (0..LEASES_PER_STEP_MAX + 40).map(|_| login(&server, "eve", 1000)).collect();
    server.write("root", "sys/revoke-force/auth/userpass", json!({})).unwrap();
    assert!(many.iter().any(|id| server.accepts(id)));
    server.pass(1);
    // As many as it takes for some to lie in the part that is still to be done.
    let later: Vec<String> = (0..60).map(|_| login(&server, "eve", 1000)).collect();
    assert!(server.work(8) > 5, "in chunks");
    assert!(many.iter().all(|id| !server.accepts(id)) && !server.accepts(&bobby));
    assert!(later.iter().all(|id| server.accepts(id)), "who logs in afterwards is not meant");
    assert_eq!(leases(&server, "auth/userpass/login/eve").len(), later.len());

    let bob = login(&server, "bob", 10);
    let refusal = server.write(&bob, "sys/leases/revoke-prefix/auth", json!({}));
    assert_eq!(refused(refusal).0, 403);
}

#[test]
fn bulk_revocation_does_not_starve_expiry() {
    let mut server = Server::new();
    for _ in 0..LEASES_PER_STEP_MAX + 100 {
        login(&server, "bob", 1000);
    }
    login(&server, "eve", 1);
    server.write("root", "sys/leases/revoke-prefix/auth/userpass/login/bob", json!({})).unwrap();
    server.pass(1);
    server.commit(|cx| step(cx, 9)).unwrap();
    assert_eq!(due(&server), 0);
}

#[test]
fn the_paths_below_sys_that_are_ours() {
    for path in [
        "leases/lookup",
        "leases/lookup/a/b",
        "leases/renew",
        "leases/revoke/a",
        "leases/revoke-prefix/a",
        "leases/revoke-force/a",
        "leases/tidy",
        "renew",
        "renew/a/b",
        "revoke",
        "revoke-prefix/a",
        "revoke-force/a",
    ] {
        assert!(handles(path), "{path}");
    }
    for path in ["leases", "leases/count", "lookup", "tidy", "renewal", "wrapping/lookup", "policy"]
    {
        assert!(!handles(path), "{path}");
    }
    let server = Server::new();
    assert_eq!(server.write("root", "sys/leases/tidy", json!({})).unwrap().status, Some(202));
    let read = server.ask("root", Operation::Read, "sys/leases/lookup", json!({}));
    assert_eq!(refused(read).0, 405);
}
