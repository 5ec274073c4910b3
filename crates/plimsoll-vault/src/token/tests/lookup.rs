//! What is told about a token.

use serde_json::json;

use super::*;

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
    let server = server();
    let (id, accessor) = server.create("root", json!({"policies": ["maker"]}));
    let keys = |server: &Server, id: &str| {
        let response = server.ask(id, Operation::List, "auth/token/accessors", json!({}))?;
        Ok::<_, VaultError>(response.data.unwrap()["keys"].as_array().unwrap().clone())
    };
    assert_eq!(keys(&server, "root").unwrap().len(), 2);
    assert!(keys(&server, "root").unwrap().contains(&json!(accessor)));
    assert_eq!(refused(keys(&server, &id)), denied());
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
    let server = server();
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
