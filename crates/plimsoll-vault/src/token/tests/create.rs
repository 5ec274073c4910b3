//! What a new token is given, by whom.

use serde_json::json;

use super::*;

#[test]
fn a_login_writes_the_token_and_two_index_entries() {
    let server = server();
    let before = data_keys(&server).len();
    login(&server, Grant::default()).unwrap();
    assert_eq!(data_keys(&server).len(), before + 3);
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
    let issued = login(&server, grant).unwrap();
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
fn a_login_grants_what_the_engine_said() {
    let server = server();
    let grant = Grant {
        policies: vec!["B".into(), "a".into(), "b ".into()],
        display_name: "bob".into(),
        num_uses: 7,
        ttl: 20_000,
        period: 0,
        ..Grant::default()
    };
    let issued = login(&server, grant.clone()).unwrap();
    assert_eq!(issued.auth.policies, ["a", "b", "default"]);
    assert_eq!((issued.auth.lease_duration, issued.auth.num_uses), (10_000, 7));
    assert_eq!(issued.warnings.len(), 1, "the mount's maximum is told");
    let data = server.lookup(&issued.auth.client_token);
    assert_eq!(data["display_name"], "userpass-bob");
    assert_eq!(data["path"], "auth/userpass/login/bob");

    let bare = Grant { no_default_policy: true, policies: vec![], ..grant.clone() };
    assert!(login(&server, bare).unwrap().auth.policies.is_empty());
    let root = Grant { policies: vec!["Root".into()], ..grant };
    assert_eq!(refused(login(&server, root)), invalid("auth methods cannot create root tokens"));
}

#[test]
fn who_may_create_what() {
    let server = server();
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
    let server = server();
    let create =
        |server: &Server, id: &str, body| server.write(id, "auth/token/create", body).unwrap();
    let root = create(&server, "root", json!({})).auth.unwrap();
    assert_eq!(
        (root.policies.join(","), root.lease_duration, root.renewable),
        ("root".into(), 0, false)
    );
    let response = create(&server, "root", json!({"policies": "x, Maker"}));
    assert_eq!(response.warnings, ["Policy \"x\" does not exist"]);
    let auth = response.auth.unwrap();
    assert_eq!(auth.policies, ["default", "maker", "x"]);
    assert_eq!((auth.lease_duration, auth.renewable, auth.orphan), (1000, true, false));
    assert_eq!(auth.token_type, "service");
    let body = json!({"policies": ["maker"], "no_default_policy": true, "display_name": "b_ la.",
        "meta": {"k": "v"}, "explicit_max_ttl": "5m"});
    let maker = create(&server, "root", body).auth.unwrap();
    assert_eq!((maker.policies.join(","), maker.lease_duration), ("maker".into(), 300));
    let data = server.lookup(&maker.client_token);
    assert_eq!(data["display_name"], "token-b--la");
    assert_eq!((&data["meta"]["k"], &data["explicit_max_ttl"]), (&json!("v"), &json!(300)));
    let child = create(&server, &maker.client_token, json!({})).auth.unwrap();
    assert_eq!(child.policies, ["maker"], "default is not inherited from who has it not");
    let custom = create(&server, "root", json!({"id": "my-own"})).auth.unwrap();
    assert_eq!(custom.client_token, "my-own");
}

#[test]
fn a_chain_of_children_has_an_end() {
    let server = server();
    let (mut id, _) = server.create("root", json!({"policies": ["maker"]}));
    for _ in 1..TOKEN_DEPTH_MAX {
        id = server.create(&id, json!({})).0;
    }
    assert!(server.accepts(&id));
    assert_eq!(refused(server.write(&id, "auth/token/create", json!({}))).0, 400);
}
