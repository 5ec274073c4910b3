//! Who is let in.

use serde_json::json;

use super::*;

#[test]
fn a_token_is_long_random_and_not_in_the_store() {
    let server = server();
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
fn what_is_no_token_is_refused_with_the_same_words() {
    let server = server();
    let (id, _) = server.create("root", json!({}));
    let truncated = &id[..id.len() - 1];
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    for id in ["", "nobody", "hvs.", "hvb.", "hvb.AQ", "hvb.!", truncated, &long, "\0", "\u{e4}"] {
        let result = server.decide(|cx| server.tokens.authenticate(cx, &id.into(), server.remote));
        assert_eq!(refused(result), denied(), "{id:.20}");
    }
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
    let server = server();
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
    let server = server();
    let (id, _) = server.create("root", json!({"policies": ["maker"], "num_uses": 2}));
    let create = server.write(&id, "auth/token/create", json!({}));
    assert_eq!(refused(create), invalid("restricted use token cannot generate child tokens"));
    let revoke = server.write(&id, "auth/token/revoke", json!({}));
    assert_eq!(refused(revoke), invalid("missing token ID"));
    assert!(!server.accepts(&id));
}

#[test]
fn two_requests_cannot_share_a_use() {
    let server = server();
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
fn a_bound_token_works_only_from_its_addresses_and_so_do_its_children() {
    let mut server = server();
    let grant = Grant {
        policies: vec!["maker".into()],
        bound_cidrs: vec!["10.0.0.0/8".into()],
        ..Grant::default()
    };
    let id = login(&server, grant).unwrap().auth.client_token;
    assert!(!server.accepts(&id));
    server.remote = [10, 1, 2, 3].into();
    assert!(server.accepts(&id));
    let (child, _) = server.create(&id, json!({}));
    server.remote = [11, 1, 2, 3].into();
    assert!(!server.accepts(&child));
}
