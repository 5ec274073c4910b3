//! Who asks: nobody, somebody else, somebody who was.

use serde_json::json;

use crate::support::{ROOT, Running, eventually};

const DENIED: &str = "permission denied";

#[test]
fn without_a_token_everything_behind_one_is_403() {
    let server = Running::dev();
    for method in ["GET", "POST", "DELETE", "LIST", "PATCH"] {
        for path in [
            "secret/data/a",
            "sys/mounts",
            "sys/policies/acl/p",
            "auth/token/lookup-self",
            "auth/token/create",
            "cubbyhole/a",
            "sys/seal",
            "sys/rotate",
            "sys/capabilities-self",
            "sys/metrics",
            "sys/in-flight-req",
            "nobody/a",
        ] {
            let answer = server.call(method, path).json(&json!({})).send();
            // A method that a path does not know is no secret.
            if answer.status != 405 {
                answer.refuses(403, DENIED);
            }
        }
    }
    assert_eq!(server.get("sys/seal-status").json()["sealed"], false);
}

#[test]
fn a_token_that_is_none_is_403() {
    let server = Running::dev();
    let real = server.token(&json!({ "policies": ["root"], "ttl": "1h" }));
    let truncated = &real[..real.len() - 1];
    let longer = format!("{real}x");
    let endless = "s.".repeat(10_000);
    let spaced = format!("{ROOT} {ROOT}");
    for token in [
        "x",
        "ROOT",
        truncated,
        &real[..10],
        &longer,
        &endless,
        &spaced,
        "hvs.",
        "hvb.",
        "hvb.AAAAAQJ",
        "b.x",
        "s.x",
        "\"root\"",
        "../root",
        "root/",
        "%72oot",
        "\u{e4}",
    ] {
        server.call("GET", "sys/mounts").token(token).send().refuses(403, DENIED);
        let call = server.call("POST", "secret/data/a").token(token);
        call.json(&json!({ "data": {} })).send().refuses(403, DENIED);
        server.call("POST", "auth/token/renew-self").token(token).send().refuses(403, DENIED);
    }
    server.call("GET", "sys/mounts").token("").send().refuses(403, DENIED);
    server.get("secret/data/a").is(404);
}

#[test]
fn a_revoked_token_is_403_and_so_are_its_children() {
    let server = Running::dev();
    let parent = server.token(&json!({ "policies": ["root"], "ttl": "1h" }));
    let call = server.call("POST", "auth/token/create").token(&parent);
    let child = call.json(&json!({ "policies": ["default"] })).send();
    let child = child.is(200).text("/auth/client_token");
    for token in [&parent, &child] {
        server.call("GET", "auth/token/lookup-self").token(token).send().is(200);
    }
    server.post("auth/token/revoke", &json!({ "token": parent })).is(204);
    for token in [&parent, &child] {
        server.call("GET", "auth/token/lookup-self").token(token).send().refuses(403, DENIED);
        server.call("POST", "auth/token/renew-self").token(token).send().refuses(403, DENIED);
        server.call("POST", "auth/token/revoke-self").token(token).send().refuses(403, DENIED);
        let known = server.post("auth/token/lookup", &json!({ "token": token }));
        known.refuses(403, "bad token");
    }
}

#[test]
fn a_token_whose_uses_are_spent_is_403() {
    let server = Running::dev();
    let token = server.token(&json!({ "policies": ["root"], "num_uses": 2 }));
    for _ in 0..2 {
        server.call("GET", "sys/mounts").token(&token).send().is(200);
    }
    server.call("GET", "sys/mounts").token(&token).send().refuses(403, DENIED);
}

#[test]
fn a_token_whose_time_is_over_is_403() {
    let server = Running::dev();
    // The shortest there is. It is asked until it is refused, not waited for.
    let token = server.token(&json!({ "policies": ["root"], "ttl": "1s" }));
    let ended = eventually("it expires", || {
        let answer = server.call("GET", "sys/mounts").token(&token).send();
        (answer.status != 200).then_some(answer)
    });
    ended.refuses(403, DENIED);
}

#[test]
fn a_token_without_a_policy_for_it_is_403() {
    let server = Running::dev();
    let token = server.token(&json!({ "policies": ["default"] }));
    server.call("GET", "secret/data/a").token(&token).send().refuses(403, DENIED);
    server.call("POST", "sys/seal").token(&token).send().refuses(403, DENIED);
    server.call("GET", "sys/metrics").token(&token).send().refuses(403, DENIED);
    server.call("GET", "sys/in-flight-req").token(&token).send().refuses(403, DENIED);
    server.call("GET", "auth/token/lookup-self").token(&token).send().is(200);
}

#[test]
fn credentials_that_are_wrong_are_400_and_say_not_which() {
    let server = Running::dev();
    let role_id = server.mount_role(&json!({}));
    let secret_id = server.secret_id();
    server.post("sys/auth/userpass", &json!({ "type": "userpass" })).is(204);
    server.post("auth/userpass/users/u", &json!({ "password": "p" })).is(204);
    let login = |role_id: &str, secret_id: &str| {
        let body = json!({ "role_id": role_id, "secret_id": secret_id });
        server.call("POST", "auth/approle/login").json(&body).send()
    };
    login(&role_id, &secret_id).is(200);
    let truncated = &secret_id[1..];
    for (role_id, secret_id) in [(&*role_id, truncated), ("nobody", &secret_id), ("..", "/")] {
        login(role_id, secret_id).refuses(400, "invalid role or secret ID");
    }
    login("", &secret_id).refuses(400, "missing role_id");
    login(&role_id, "").refuses(400, "missing secret_id");
    for (user, password) in [("u", "q"), ("nobody", "p"), ("u", "")] {
        let call = server.call("POST", &format!("auth/userpass/login/{user}"));
        let refused =
            call.json(&json!({ "password": password })).send().blames_the_client().is(400);
        assert!(!refused.errors()[0].contains("hash"), "{refused:?}");
    }
}

#[test]
fn a_wish_for_a_wrapped_answer_or_a_namespace_is_not_passed_over() {
    let server = Running::dev();
    let create = || server.call("POST", "auth/token/create").token(ROOT).json(&json!({}));
    create()
        .header("X-Vault-Wrap-TTL", "60s")
        .send()
        .refuses(400, "response wrapping (X-Vault-Wrap-TTL) is not supported by this server");
    create()
        .header("X-Vault-Namespace", "team-a")
        .send()
        .refuses(400, "a namespace (X-Vault-Namespace) is not supported by this server");
    create().header("X-Vault-Wrap-TTL", "0").header("X-Vault-Namespace", "root").send().is(200);
}
