//! Ending tokens, and what ends with them.

use secrecy::SecretString;
use serde_json::json;

use super::*;

#[test]
fn a_revoked_token_cannot_be_used_and_leaves_nothing() {
    let server = server();
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
fn children_die_with_their_parent_at_once_and_their_data_in_time() {
    let server = server();
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
    let server = server();
    let (parent, _) = server.create("root", json!({"policies": ["maker"]}));
    let orphan =
        server.write(&parent, "auth/token/create-orphan", json!({})).unwrap().auth.unwrap();
    assert!(orphan.orphan);
    let login = login(&server, Grant::default()).unwrap();
    assert!(login.auth.orphan);
    server.write("root", "auth/token/revoke", json!({"token": parent})).unwrap();
    server.work(100);
    assert!(server.accepts(&orphan.client_token) && server.accepts(&login.auth.client_token));
}

#[test]
fn revoke_orphan_makes_orphans_of_the_children() {
    let server = server();
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
    let server = server();
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
    let server = server();
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
