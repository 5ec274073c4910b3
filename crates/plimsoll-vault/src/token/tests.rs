#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::backend::Grant;
use crate::policy;
use crate::request::Operation;
use crate::token::support::{Server, refused};

const DENIED: (u16, &str) = (403, "permission denied");

fn denied() -> (u16, String) {
    (DENIED.0, DENIED.1.to_owned())
}

fn invalid(message: &str) -> (u16, String) {
    (400, message.to_owned())
}

/// A server where the policy `maker` may do anything to `auth/token/`, without
/// `sudo`.
fn server() -> Server {
    let mut server = Server::new();
    let text = "path \"auth/token/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
    server.commit(|cx| policy::put(cx, "maker", text)).unwrap();
    server.commit(|cx| policy::put(cx, "other", text)).unwrap();
    server
}

fn login(server: &mut Server, grant: Grant) -> Result<Issued, VaultError> {
    let (tokens, ttls) = (server.tokens.clone(), server.ttls);
    server.commit(|cx| {
        tokens.issue_login(cx, grant, "auth/userpass/login/bob", "auth/userpass/", ttls)
    })
}

fn data_keys(server: &Server) -> Vec<String> {
    server.keys().into_iter().filter(|key| !key.starts_with("sys/policy/")).collect()
}

#[test]
fn a_token_is_long_random_and_not_in_the_store() {
    let mut server = server();
    let (id, accessor) = server.create("root", json!({"policies": ["maker"]}));
    assert!(id.starts_with("hvs.") && id.len() == 4 + 95, "{id}");
    assert_eq!(accessor.len(), 24);
    assert_ne!(server.create("root", json!({})).0, id);
    for key in server.keys() {
        assert!(!key.contains(&id) && !key.contains(&accessor), "{key}");
    }
    let stored =
        format!("{:?}", server.decide(|cx| cx.get::<TokenEntry>(&id_of(cx, &id))).unwrap().0);
    assert!(stored.contains(&accessor) && !stored.contains(&id[4..]));

    fn id_of(_: &Context<'_>, id: &str) -> String {
        id_key(&TokenService::new(&[1; 32], &[2; 32]).hash(&id.into()))
    }
}

#[test]
fn a_login_writes_the_token_and_two_index_entries() {
    let mut server = server();
    let before = data_keys(&server).len();
    login(&mut server, Grant::default()).unwrap();
    assert_eq!(data_keys(&server).len(), before + 3);
}

#[test]
fn what_is_no_token_is_refused_with_the_same_words() {
    let mut server = server();
    let (id, _) = server.create("root", json!({}));
    let truncated = &id[..id.len() - 1];
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    for id in ["", "nobody", "hvs.", "hvb.", "hvb.AQ", "hvb.!", truncated, &long, "\0", "\u{e4}"] {
        let result = server.decide(|cx| server.tokens.authenticate(cx, &id.into(), server.remote));
        assert_eq!(refused(result), denied(), "{id:.20}");
    }
}

#[test]
fn a_revoked_token_cannot_be_used_and_leaves_nothing() {
    let mut server = server();
    let before = data_keys(&server);
    let (id, _) = server.create("root", json!({"policies": ["maker"]}));
    assert!(server.accepts(&id));
    server.write("root", "auth/token/revoke", json!({"token": id})).unwrap();
    assert!(!server.accepts(&id));
    server.work(10);
    assert_eq!(data_keys(&server), before);
    let again = server.write("root", "auth/token/revoke", json!({"token": id})).unwrap();
    assert!(again.data.is_none(), "revoking what is gone is no error");
}

#[test]
fn an_expired_token_is_refused_before_the_background_gets_to_it() {
    let mut server = server();
    let (id, accessor) = server.create("root", json!({"ttl": "10s"}));
    server.pass(9);
    assert_eq!(server.lookup(&id)["ttl"], 1);
    server.pass(1);
    assert!(!server.accepts(&id));
    let lookup = server.write("root", "auth/token/lookup", json!({"token": id}));
    assert_eq!(refused(lookup), (403, "bad token".to_owned()));
    let lookup = server.write("root", "auth/token/lookup-accessor", json!({"accessor": accessor}));
    assert_eq!(refused(lookup), invalid("1 error occurred:\n\t* invalid accessor\n\n"));
    let renew = server.write("root", "auth/token/renew", json!({"token": id}));
    assert_eq!(refused(renew), invalid("token not found"));
}

#[test]
fn the_last_use_is_the_last() {
    let mut server = server();
    let (id, _) = server.create("root", json!({"policies": ["default"], "num_uses": 3}));
    for left in [2, 1, 0] {
        let own = server.ask(&id, Operation::Read, "auth/token/lookup-self", json!({})).unwrap();
        assert_eq!(own.data.unwrap()["num_uses"], left);
    }
    let own = server.ask(&id, Operation::Read, "auth/token/lookup-self", json!({}));
    assert_eq!(refused(own), denied());
    assert!(server.keys().iter().all(|key| !key.starts_with("sys/lease/")), "nothing is left");
}

#[test]
fn a_failed_request_counts_as_a_use() {
    let mut server = server();
    let (id, _) = server.create("root", json!({"policies": ["maker"], "num_uses": 2}));
    let create = server.write(&id, "auth/token/create", json!({}));
    assert_eq!(refused(create), invalid("restricted use token cannot generate child tokens"));
    let revoke = server.write(&id, "auth/token/revoke", json!({}));
    assert_eq!(refused(revoke), invalid("missing token ID"));
    assert!(!server.accepts(&id));
}

#[test]
fn two_requests_cannot_share_a_use() {
    let mut server = server();
    let (id, _) = server.create("root", json!({"policies": ["default"], "num_uses": 1}));
    let ask = |server: &Server| {
        server
            .decide_ask(&id, Operation::Read, "auth/token/lookup-self", json!({}))
            .map(|(_, txn)| txn)
    };
    let (one, other) = (ask(&server).unwrap(), ask(&server).unwrap());
    assert!(server.apply(one));
    assert!(!server.apply(other), "the compare is lost");
    assert_eq!(refused(ask(&server)), denied());
}

#[test]
fn children_die_with_their_parent_at_once_and_their_data_in_time() {
    let mut server = server();
    let before = data_keys(&server);
    let (parent, _) = server.create("root", json!({"policies": ["maker"]}));
    let mut family = Vec::new();
    for _ in 0..5 {
        let (child, _) = server.create(&parent, json!({}));
        let (grandchild, _) = server.create(&child, json!({"type": "batch"}));
        let (great, _) = server.create(&child, json!({}));
        family.extend([child, grandchild, great]);
    }
    assert!(family.iter().all(|id| server.accepts(id)));
    server.write(&parent, "auth/token/revoke-self", json!({})).unwrap();
    assert!(family.iter().all(|id| !server.accepts(id)), "before any background work");
    let lookup = server.write("root", "auth/token/lookup", json!({"token": family[2]}));
    assert_eq!(refused(lookup).0, 403);
    assert!(data_keys(&server).len() > before.len());
    assert!(server.work(2) > 5, "in chunks");
    assert_eq!(data_keys(&server), before);
}

#[test]
fn children_die_with_an_expired_parent() {
    let mut server = server();
    let before = data_keys(&server);
    let (parent, _) = server.create("root", json!({"policies": ["maker"], "ttl": 10}));
    let (child, _) = server.create(&parent, json!({"ttl": 1000}));
    server.pass(10);
    assert!(!server.accepts(&child));
    server.work(100);
    assert_eq!(data_keys(&server), before);
}

#[test]
fn an_orphan_survives() {
    let mut server = server();
    let (parent, _) = server.create("root", json!({"policies": ["maker"]}));
    let orphan =
        server.write(&parent, "auth/token/create-orphan", json!({})).unwrap().auth.unwrap();
    assert!(orphan.orphan);
    let login = login(&mut server, Grant::default()).unwrap();
    assert!(login.auth.orphan);
    server.write("root", "auth/token/revoke", json!({"token": parent})).unwrap();
    server.work(100);
    assert!(server.accepts(&orphan.client_token) && server.accepts(&login.auth.client_token));
}

#[test]
fn revoke_orphan_makes_orphans_of_the_children() {
    let mut server = server();
    let (grandparent, _) = server.create("root", json!({"policies": ["maker"]}));
    let (parent, _) = server.create(&grandparent, json!({}));
    let (child, _) = server.create(&parent, json!({}));
    let (grandchild, _) = server.create(&child, json!({}));
    let before = data_keys(&server).len();

    let sudo = server.write(&grandparent, "auth/token/revoke-orphan", json!({"token": parent}));
    assert_eq!(refused(sudo), denied());
    server.write("root", "auth/token/revoke-orphan", json!({"token": parent})).unwrap();
    for worked in [false, true] {
        assert!(!server.accepts(&parent));
        assert!(server.accepts(&child) && server.accepts(&grandchild), "worked: {worked}");
        if worked {
            assert_eq!(server.lookup(&child)["orphan"], true);
            assert_eq!(server.lookup(&grandchild)["orphan"], false);
        }
        server.work(1);
    }
    // The entry, two index entries, its place below its parent, and the child's
    // place below it.
    assert_eq!(data_keys(&server).len(), before - 5);
    server.write("root", "auth/token/revoke", json!({"token": grandparent})).unwrap();
    assert!(server.accepts(&grandchild));
    server.write("root", "auth/token/revoke", json!({"token": child})).unwrap();
    assert!(!server.accepts(&grandchild));
    let gone = server.write("root", "auth/token/revoke-orphan", json!({"token": child}));
    assert_eq!(refused(gone), invalid("token to revoke not found"));
}

#[test]
fn a_child_cannot_slip_in_while_its_parent_is_revoked() {
    let mut server = server();
    let (parent, _) = server.create("root", json!({"policies": ["maker"]}));
    let create = server.decide_ask(&parent, Operation::Write, "auth/token/create", json!({}));
    let (_, child) = create.unwrap();
    let body = json!({ "token": parent });
    let revoke = |server: &Server| {
        server.decide_ask("root", Operation::Write, "auth/token/revoke", body.clone()).unwrap().1
    };
    let early = revoke(&server);
    assert!(server.apply(child.clone()));
    assert!(!server.apply(early), "the first child changed the parent: decide again");
    let revoke = revoke(&server);
    assert!(server.apply(revoke));
    assert!(!server.apply(child), "no child without its parent");
}

#[test]
fn a_revoked_tokens_cubbyhole_goes_with_it() {
    let mut server = server();
    let before = data_keys(&server);
    let (id, _) = server.create("root", json!({"policies": ["default"]}));
    let hash = server.tokens.hash(&SecretString::from(id.clone()));
    for name in ["a", "b/c", "b/d/e"] {
        server.commit(|cx| cx.put(&format!("logical/cubbyhole/{hash}/{name}"), &1)).unwrap();
    }
    server.write(&id, "auth/token/revoke-self", json!({})).unwrap();
    server.work(2);
    assert_eq!(data_keys(&server), before);
}

#[test]
fn a_renewal_is_capped_by_what_is_left_of_the_maximum() {
    let mut server = server();
    let (id, accessor) = server.create("root", json!({"policies": ["default"], "ttl": 1000}));
    server.pass(500);
    let renew = |server: &mut Server, increment: &str| {
        let body = json!({"token": id, "increment": increment});
        server.write("root", "auth/token/renew", body).unwrap()
    };
    assert_eq!(renew(&mut server, "").auth.unwrap().lease_duration, 1000);
    assert_eq!(renew(&mut server, "2000").auth.unwrap().lease_duration, 2000);
    let capped = renew(&mut server, "10h");
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
        let auth = login(&mut server, grant).unwrap().auth;
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
    let mut server = server();
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

#[test]
fn a_batch_token_carries_everything_and_stores_nothing() {
    let mut server = server();
    let before = server.keys();
    let grant = Grant {
        policies: vec!["maker".into()],
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        ttl: 60,
        token_type: "batch".into(),
        ..Grant::default()
    };
    let issued = login(&mut server, grant).unwrap();
    let id = issued.auth.client_token;
    assert_eq!(server.keys(), before);
    assert!(id.starts_with("hvb.") && issued.auth.accessor.is_empty() && !issued.auth.renewable);
    let data = server.lookup(&id);
    assert_eq!(data["policies"], json!(["default", "maker"]));
    assert_eq!((data["type"].as_str(), data["meta"]["a"].as_str()), (Some("batch"), Some("b")));
    let create = server.write(&id, "auth/token/create", json!({}));
    assert_eq!(refused(create), invalid("batch tokens cannot create more tokens"));
    let mut altered = id.clone().into_bytes();
    for index in [4, 10, 40, altered.len() - 2] {
        altered[index] ^= 1;
        assert!(!server.accepts(core::str::from_utf8(&altered).unwrap()), "byte {index}");
        altered[index] ^= 1;
    }
    server.pass(60);
    assert!(!server.accepts(&id));
}

#[test]
fn a_bound_token_works_only_from_its_addresses_and_so_do_its_children() {
    let mut server = server();
    let grant = Grant {
        policies: vec!["maker".into()],
        bound_cidrs: vec!["10.0.0.0/8".into()],
        ..Grant::default()
    };
    let id = login(&mut server, grant).unwrap().auth.client_token;
    assert!(!server.accepts(&id));
    server.remote = [10, 1, 2, 3].into();
    assert!(server.accepts(&id));
    let (child, _) = server.create(&id, json!({}));
    server.remote = [11, 1, 2, 3].into();
    assert!(!server.accepts(&child));
}

#[test]
fn a_login_grants_what_the_engine_said() {
    let mut server = server();
    let grant = Grant {
        policies: vec!["B".into(), "a".into(), "b ".into()],
        display_name: "bob".into(),
        num_uses: 7,
        ttl: 20_000,
        period: 0,
        ..Grant::default()
    };
    let issued = login(&mut server, grant.clone()).unwrap();
    assert_eq!(issued.auth.policies, ["a", "b", "default"]);
    assert_eq!((issued.auth.lease_duration, issued.auth.num_uses), (10_000, 7));
    assert_eq!(issued.warnings.len(), 1, "the mount's maximum is told");
    let data = server.lookup(&issued.auth.client_token);
    assert_eq!(data["display_name"], "userpass-bob");
    assert_eq!(data["path"], "auth/userpass/login/bob");

    let bare = Grant { no_default_policy: true, policies: vec![], ..grant.clone() };
    assert!(login(&mut server, bare).unwrap().auth.policies.is_empty());
    let root = Grant { policies: vec!["Root".into()], ..grant };
    assert_eq!(
        refused(login(&mut server, root)),
        invalid("auth methods cannot create root tokens")
    );
}

#[test]
fn who_may_create_what() {
    let mut server = server();
    let (maker, _) = server.create("root", json!({"policies": ["maker"]}));
    let (bare, _) =
        server.create("root", json!({"policies": ["maker"], "no_default_policy": true}));
    let (expiring_root, _) = server.create("root", json!({"ttl": 100}));
    let root_error = "root or sudo privileges required to";
    for (id, body, error) in [
        (&maker, json!({"policies": ["other"]}), "child policies must be subset of parent"),
        (&bare, json!({"policies": ["default"]}), "child policies must be subset of parent"),
        (&maker, json!({"policies": ["root"]}), "child policies must be subset of parent"),
        (&maker, json!({"id": "mine"}), &format!("{root_error} specify token id")),
        (&maker, json!({"no_parent": true}), &format!("{root_error} create orphan token")),
        (&maker, json!({"period": 5}), &format!("{root_error} create periodic token")),
        (&maker, json!({"type": "x"}), "invalid 'token_type' value"),
        (&maker, json!({"num_uses": -1}), "number of uses cannot be negative"),
        (&maker, json!({"ttl": "-1s"}), "ttl must be positive"),
        (&maker, json!({"explicit_max_ttl": -1}), "explicit_max_ttl must be positive"),
        (
            &maker,
            json!({"policies": "maker", "type": "batch", "num_uses": 1}),
            "batch tokens cannot have \"num_uses\" set",
        ),
        (
            &maker,
            json!({"entity_alias": "x"}),
            "'entity_alias' is only allowed in combination with token role",
        ),
        (
            &"root".to_owned(),
            json!({"policies": ["response-wrapping"]}),
            "cannot assign policy \"response-wrapping\"",
        ),
        (&"root".to_owned(), json!({"type": "batch"}), "batch tokens cannot be root tokens"),
        (
            &"root".to_owned(),
            json!({"id": "a.b"}),
            "custom token ID cannot have a '.' in the value",
        ),
        (&"root".to_owned(), json!({"id": "root"}), "cannot create a token with a duplicate ID"),
        (&expiring_root, json!({}), "expiring root tokens cannot create non-expiring root tokens"),
    ] {
        assert_eq!(
            refused(server.write(id, "auth/token/create", body.clone())),
            invalid(error),
            "{body}"
        );
    }
    for body in [
        json!({"policies": 1}),
        json!({"policies": [1]}),
        json!({"meta": "x"}),
        json!({"meta": {"a": [1]}}),
        json!({"renewable": "maybe"}),
        json!({"num_uses": "x"}),
        json!({"num_uses": 1.5}),
        json!({"ttl": "x"}),
        json!({"ttl": [1]}),
        json!({"id": {"a": 1}}),
        json!({"display_name": []}),
        json!({"policies": vec!["a"; policies::NAMES_MAX + 1]}),
    ] {
        let refusal = refused(server.write("root", "auth/token/create", body.clone()));
        assert_eq!(refusal.0, 400, "{body:.60}");
    }
}

#[test]
fn what_is_created_by_default() {
    let mut server = server();
    let create =
        |server: &mut Server, id: &str, body| server.write(id, "auth/token/create", body).unwrap();
    let root = create(&mut server, "root", json!({})).auth.unwrap();
    assert_eq!(
        (root.policies.join(","), root.lease_duration, root.renewable),
        ("root".into(), 0, false)
    );
    let response = create(&mut server, "root", json!({"policies": "x, Maker"}));
    assert_eq!(response.warnings, ["Policy \"x\" does not exist"]);
    let auth = response.auth.unwrap();
    assert_eq!(auth.policies, ["default", "maker", "x"]);
    assert_eq!((auth.lease_duration, auth.renewable, auth.orphan), (1000, true, false));
    assert_eq!(auth.token_type, "service");
    let body = json!({"policies": ["maker"], "no_default_policy": true, "display_name": "b_ la.",
        "meta": {"k": "v"}, "explicit_max_ttl": "5m"});
    let maker = create(&mut server, "root", body).auth.unwrap();
    assert_eq!((maker.policies.join(","), maker.lease_duration), ("maker".into(), 300));
    let data = server.lookup(&maker.client_token);
    assert_eq!(data["display_name"], "token-b--la");
    assert_eq!((&data["meta"]["k"], &data["explicit_max_ttl"]), (&json!("v"), &json!(300)));
    let child = create(&mut server, &maker.client_token, json!({})).auth.unwrap();
    assert_eq!(child.policies, ["maker"], "default is not inherited from who has it not");
    let custom = create(&mut server, "root", json!({"id": "my-own"})).auth.unwrap();
    assert_eq!(custom.client_token, "my-own");
}

#[test]
fn a_lookup_has_the_fields_that_clients_parse() {
    let mut server = server();
    let (id, accessor) = server.create("root", json!({"policies": ["default"], "ttl": "1m"}));
    server.pass(1);
    let expected = json!({
        "accessor": accessor,
        "creation_time": 1_700_000_000,
        "creation_ttl": 60,
        "display_name": "token",
        "entity_id": "",
        "expire_time": "2023-11-14T22:14:20.000Z",
        "explicit_max_ttl": 0,
        "id": id,
        "issue_time": "2023-11-14T22:13:20.000Z",
        "meta": null,
        "num_uses": 0,
        "orphan": false,
        "path": "auth/token/create",
        "policies": ["default"],
        "renewable": true,
        "ttl": 59,
        "type": "service",
    });
    assert_eq!(json!(server.lookup(&id)), expected);
    let own = server.ask(&id, Operation::Read, "auth/token/lookup-self", json!({})).unwrap();
    assert_eq!(json!(own.data.unwrap()), expected);
    let body = json!({ "accessor": accessor });
    let other = server.write("root", "auth/token/lookup-accessor", body).unwrap().data.unwrap();
    assert_eq!(other["id"], "", "an accessor does not tell the token");
    let root = server.lookup("root");
    assert_eq!((&root["expire_time"], &root["ttl"]), (&json!(null), &json!(0)));
}

#[test]
fn accessors_lead_to_their_tokens() {
    let mut server = server();
    let (id, accessor) = server.create("root", json!({"policies": ["maker"]}));
    let keys = |server: &mut Server, id: &str| {
        let response = server.ask(id, Operation::List, "auth/token/accessors", json!({}))?;
        Ok::<_, VaultError>(response.data.unwrap()["keys"].as_array().unwrap().clone())
    };
    assert_eq!(keys(&mut server, "root").unwrap().len(), 2);
    assert!(keys(&mut server, "root").unwrap().contains(&json!(accessor)));
    assert_eq!(refused(keys(&mut server, &id)), denied());
    let body = json!({ "accessor": accessor });
    server.write("root", "auth/token/revoke-accessor", body.clone()).unwrap();
    assert!(!server.accepts(&id));
    let again = server.write("root", "auth/token/revoke-accessor", body).unwrap();
    assert_eq!(again.warnings, ["No token found with this accessor"]);
    let missing = server.write("root", "auth/token/revoke-accessor", json!({}));
    assert_eq!(refused(missing), invalid("1 error occurred:\n\t* missing accessor\n\n"));
}

#[test]
fn unknown_paths_and_operations_are_told_apart() {
    let mut server = server();
    for (operation, path, status) in [
        (Operation::Write, "auth/token/nope", 404),
        (Operation::Read, "auth/token/create", 405),
        (Operation::Delete, "auth/token/revoke-self", 405),
        (Operation::Read, "auth/token/accessors", 405),
    ] {
        assert_eq!(refused(server.ask("root", operation, path, json!({}))).0, status, "{path}");
    }
    let tidy = server.write("root", "auth/token/tidy", json!({})).unwrap();
    assert_eq!(tidy.status, Some(202));
}

#[test]
fn a_chain_of_children_has_an_end() {
    let mut server = server();
    let (mut id, _) = server.create("root", json!({"policies": ["maker"]}));
    for _ in 1..TOKEN_DEPTH_MAX {
        id = server.create(&id, json!({})).0;
    }
    assert!(server.accepts(&id));
    assert_eq!(refused(server.write(&id, "auth/token/create", json!({}))).0, 400);
}

/// What a random history of creations and revocations must leave usable, by a
/// model that knows only parents and children.
#[derive(Clone, Debug)]
enum Step {
    Create { parent: usize, orphan: bool },
    Revoke(usize),
    RevokeOrphan(usize),
    Work,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_usize, any::<bool>()).prop_map(|(parent, orphan)| Step::Create { parent, orphan }),
        2 => (0..12_usize).prop_map(Step::Revoke),
        2 => (0..12_usize).prop_map(Step::RevokeOrphan),
        1 => Just(Step::Work),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn exactly_the_tokens_without_a_revoked_ancestor_are_let_in(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut server = server();
        let before = data_keys(&server);
        // Id, parent, alive.
        let mut model: Vec<(String, Option<usize>, bool)> = Vec::new();
        let (first, _) = server.create("root", json!({"policies": ["maker"]}));
        model.push((first, None, true));
        for step in steps {
            match step {
                Step::Create { parent, orphan } => {
                    let parent = parent % model.len();
                    let path = if orphan { "auth/token/create-orphan" } else { "auth/token/create" };
                    let created = server.write(&model[parent].0.clone(), path, json!({}));
                    prop_assert_eq!(created.is_ok(), model[parent].2);
                    if let Ok(created) = created {
                        let id = created.auth.unwrap().client_token;
                        model.push((id, (!orphan).then_some(parent), true));
                    }
                }
                Step::Revoke(index) => {
                    let index = index % model.len();
                    let body = json!({"token": model[index].0});
                    server.write("root", "auth/token/revoke", body).unwrap();
                    if model[index].2 {
                        model[index].2 = false;
                        for child in index + 1..model.len() {
                            let is_below = model[child].1.is_some_and(|parent| !model[parent].2);
                            model[child].2 &= !is_below;
                        }
                    }
                }
                Step::RevokeOrphan(index) => {
                    let index = index % model.len();
                    let body = json!({"token": model[index].0});
                    let revoked = server.write("root", "auth/token/revoke-orphan", body);
                    prop_assert_eq!(revoked.is_ok(), model[index].2);
                    model[index].2 = false;
                    for entry in &mut model {
                        entry.1 = entry.1.filter(|parent| *parent != index);
                    }
                }
                Step::Work => drop(server.work(3)),
            }
            for (id, _, alive) in &model {
                prop_assert_eq!(server.accepts(id), *alive);
            }
        }
        for (id, ..) in &model {
            server.write("root", "auth/token/revoke", json!({"token": id})).unwrap();
        }
        server.work(3);
        prop_assert_eq!(data_keys(&server), before, "nothing is left behind");
    }
}
