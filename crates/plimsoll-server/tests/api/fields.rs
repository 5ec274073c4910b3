//! Every field of every endpoint, with every type that it is not.

use serde_json::{Map, Value, json};

use crate::support::{ROOT, Running};

/// One of each type, and the edges of each.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("\u{0}"),
        json!("a/../b"),
        json!("-1h"),
        json!("99999999999999999999h"),
        json!("255.255.255.255/33,::/129"),
        json!("x".repeat(5_000)),
        json!([]),
        json!([1, "a", null, {}, [[]]]),
        json!({}),
        json!({ "a": { "b": [1, null] } }),
    ]
}

/// Endpoints that take a body, with a body that they take.
fn endpoints() -> Vec<(&'static str, &'static str, Value)> {
    let token_fields = json!({
        "token_ttl": "1h", "token_max_ttl": "2h", "token_policies": ["default"],
        "token_bound_cidrs": ["127.0.0.1"], "token_explicit_max_ttl": "3h",
        "token_no_default_policy": false, "token_num_uses": 2, "token_period": "1h",
        "token_type": "default", "token_strictly_bind_ip": false,
    });
    let with = |mut fields: Value, more: Value| {
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            fields[key] = value;
        }
        fields
    };
    let role = json!({
        "bind_secret_id": true, "secret_id_bound_cidrs": ["127.0.0.1"], "secret_id_num_uses": 1,
        "secret_id_ttl": "1h", "local_secret_ids": false, "role_id": "r", "policies": "default",
        "period": "1h", "bound_cidr_list": "127.0.0.1",
    });
    let secret_id = json!({
        "metadata": "{}", "cidr_list": ["127.0.0.1"], "token_bound_cidrs": ["127.0.0.1"],
        "num_uses": 1, "ttl": "1h", "secret_id": "s", "secret_id_accessor": "a",
    });
    let config = json!({
        "default_lease_ttl": "1h", "max_lease_ttl": "2h", "force_no_cache": false,
        "listing_visibility": "hidden", "audit_non_hmac_request_keys": ["a"],
        "audit_non_hmac_response_keys": ["a"], "passthrough_request_headers": ["a"],
        "allowed_response_headers": ["a"], "token_type": "default-service",
        "description": "d", "options": { "version": "1" }, "plugin_version": "",
    });
    let mount = json!({
        "type": "kv", "description": "d", "config": { "max_lease_ttl": "1h" }, "local": false, "seal_wrap": false,
        "external_entropy_access": false, "options": { "version": "2" }, "plugin_name": "kv",
    });
    let metadata = json!({
        "max_versions": 3, "cas_required": false, "delete_version_after": "1h",
        "custom_metadata": { "a": "b" },
    });
    vec![
        ("POST", "kv/a", json!({ "k": "v", "ttl": "1h", "lease": "1h" })),
        (
            "POST",
            "secret/data/a",
            json!({ "data": { "k": "v" }, "options": { "cas": 0 }, "version": 1 }),
        ),
        ("POST", "secret/data/b", json!({ "data": { "k": "v" }, "options": null })),
        ("PATCH", "secret/data/a", json!({ "data": { "k": "v" }, "options": { "cas": 1 } })),
        ("POST", "secret/delete/a", json!({ "versions": [1] })),
        ("POST", "secret/undelete/a", json!({ "versions": [1] })),
        ("POST", "secret/destroy/a", json!({ "versions": [9] })),
        ("POST", "secret/metadata/a", metadata.clone()),
        ("PATCH", "secret/metadata/a", metadata),
        (
            "POST",
            "secret/config",
            json!({ "max_versions": 3, "cas_required": false, "delete_version_after": "1h" }),
        ),
        ("POST", "cubbyhole/a", json!({ "k": "v" })),
        ("POST", "auth/approle/role/r", with(role, token_fields)),
        ("POST", "auth/approle/role/r/role-id", json!({ "role_id": "r" })),
        ("POST", "auth/approle/role/r/policies", json!({ "token_policies": "p", "policies": "p" })),
        ("POST", "auth/approle/role/r/secret-id", secret_id.clone()),
        ("POST", "auth/approle/role/r/custom-secret-id", secret_id),
        ("POST", "auth/approle/role/r/secret-id/lookup", json!({ "secret_id": "s" })),
        ("POST", "auth/approle/role/r/secret-id/destroy", json!({ "secret_id": "s" })),
        (
            "POST",
            "auth/approle/role/r/secret-id-accessor/lookup",
            json!({ "secret_id_accessor": "a" }),
        ),
        (
            "POST",
            "auth/approle/role/r/secret-id-accessor/destroy",
            json!({ "secret_id_accessor": "a" }),
        ),
        ("POST", "auth/approle/role/r/secret-id-num-uses", json!({ "secret_id_num_uses": 1 })),
        ("POST", "auth/approle/role/r/secret-id-ttl", json!({ "secret_id_ttl": "1h" })),
        ("POST", "auth/approle/role/r/token-ttl", json!({ "token_ttl": "1h" })),
        (
            "POST",
            "auth/approle/role/r/token-bound-cidrs",
            json!({ "token_bound_cidrs": "127.0.0.1" }),
        ),
        ("POST", "auth/approle/login", json!({ "role_id": "r", "secret_id": "s" })),
        (
            "POST",
            "auth/userpass/users/u",
            json!({ "password_hash": "x", "policies": "default", "ttl": "1h", "max_ttl": "1h", "bound_cidrs": "127.0.0.1" }),
        ),
        (
            "POST",
            "auth/userpass/users/u/policies",
            json!({ "policies": "p", "token_policies": "p" }),
        ),
        ("POST", "auth/userpass/login/nobody", json!({ "password": "p" })),
        (
            "POST",
            "auth/token/create",
            json!({
                "id": "i", "policies": ["default"], "meta": { "a": "b" }, "no_parent": false,
                "no_default_policy": false, "renewable": true, "lease": "1h", "ttl": "1h", "type": "service",
                "explicit_max_ttl": "1h", "display_name": "d", "num_uses": 1, "period": "1h",
                "entity_alias": "",
            }),
        ),
        ("POST", "auth/token/create-orphan", json!({ "policies": ["default"], "ttl": "1h" })),
        ("POST", "auth/token/lookup", json!({ "token": "t" })),
        ("POST", "auth/token/lookup-accessor", json!({ "accessor": "a" })),
        ("POST", "auth/token/renew", json!({ "token": "t", "increment": "1h" })),
        ("POST", "auth/token/renew-self", json!({ "increment": "1h" })),
        ("POST", "auth/token/renew-accessor", json!({ "accessor": "a", "increment": 1 })),
        ("POST", "auth/token/revoke", json!({ "token": "t" })),
        ("POST", "auth/token/revoke-accessor", json!({ "accessor": "a" })),
        ("POST", "auth/token/revoke-orphan", json!({ "token": "t" })),
        ("POST", "sys/leases/lookup", json!({ "lease_id": "l" })),
        ("POST", "sys/leases/renew", json!({ "lease_id": "l", "increment": 1 })),
        ("POST", "sys/leases/revoke", json!({ "lease_id": "l", "sync": true })),
        ("POST", "sys/mounts/m", mount.clone()),
        ("POST", "sys/mounts/secret/tune", config.clone()),
        ("POST", "sys/auth/m", with(mount, json!({ "type": "userpass" }))),
        ("POST", "sys/auth/userpass/tune", config),
        (
            "POST",
            "sys/policies/acl/p",
            json!({ "policy": "path \"a\" { capabilities = [\"read\"] }" }),
        ),
        ("POST", "sys/policy/p", json!({ "policy": "", "rules": "" })),
        ("POST", "sys/capabilities", json!({ "token": "t", "paths": ["a"], "path": "a" })),
        ("POST", "sys/capabilities-self", json!({ "paths": ["a"], "path": "a" })),
        ("POST", "sys/capabilities-accessor", json!({ "accessor": "a", "paths": ["a"] })),
        (
            "POST",
            "sys/audit/d",
            json!({ "type": "file", "description": "d", "local": false, "options": {} }),
        ),
        ("POST", "sys/audit-hash/d", json!({ "input": "i" })),
        (
            "POST",
            "sys/init",
            json!({ "secret_shares": 1, "secret_threshold": 1, "pgp_keys": [], "root_token_pgp_key": "" }),
        ),
        ("POST", "sys/unseal", json!({ "key": "k", "reset": false, "migrate": false })),
        ("POST", "sys/internal/dev/slow-disk", json!({ "spec": "sync=0,item=0" })),
    ]
}

fn with_field(body: &Value, field: &str, value: Value) -> Value {
    let mut body: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    body.insert(field.to_owned(), value);
    Value::Object(body)
}

/// Also what stands one level down.
fn variants(body: &Value) -> Vec<Value> {
    let mut variants = vec![json!({})];
    for (field, inner) in body.as_object().unwrap() {
        variants.extend(values().into_iter().map(|value| with_field(body, field, value)));
        for nested in inner.as_object().into_iter().flatten().map(|(nested, _)| nested) {
            variants.extend(
                values()
                    .into_iter()
                    .map(|value| with_field(body, field, with_field(inner, nested, value))),
            );
        }
    }
    variants
}

#[test]
fn a_value_of_another_type_is_taken_or_refused_and_never_our_fault() {
    let server = Running::dev();
    server.mount_kv1();
    server.post("sys/auth/userpass", &json!({ "type": "userpass" })).is(204);
    server.mount_role(&json!({ "token_policies": "default" }));
    let mut tried = 0;
    for (method, path, body) in endpoints() {
        for variant in variants(&body) {
            let answer = server.call(method, path).token(ROOT).json(&variant).send();
            tried += 1;
            let text = String::from_utf8_lossy(&answer.body);
            assert!(answer.status < 500, "{method} {path} {variant}: {} {text}", answer.status);
            // A SecretID's accessor that nobody has is told in the data, as in Vault.
            if answer.status >= 400 && answer.status != 404 {
                answer.errors();
            }
        }
    }
    assert!(tried > 2_000, "{tried}");
    server.get("sys/mounts").is(200);
}

#[test]
fn a_list_or_an_object_in_place_of_a_string_is_400() {
    let server = Running::dev();
    server.post("sys/auth/userpass", &json!({ "type": "userpass" })).is(204);
    server.mount_role(&json!({}));
    for wrong in [json!(["a"]), json!({ "a": "b" })] {
        for (path, field) in [
            ("auth/approle/login", "role_id"),
            ("auth/userpass/login/u", "password"),
            ("auth/userpass/users/u", "password"),
            ("auth/token/create", "display_name"),
            ("auth/token/create", "ttl"),
            ("auth/token/lookup", "token"),
            ("auth/token/revoke", "token"),
            ("auth/approle/role/r", "token_type"),
            ("auth/approle/role/r/secret-id/lookup", "secret_id"),
            ("sys/policies/acl/p", "policy"),
            ("sys/mounts/m", "type"),
            ("sys/unseal", "key"),
        ] {
            let answer = server.post(path, &json!({ field: wrong }));
            assert_eq!(answer.status, 400, "{path} {field} {wrong}");
            answer.errors();
        }
    }
}

#[test]
fn a_field_that_nobody_knows_is_ignored() {
    let server = Running::dev();
    let body = json!({ "data": { "k": "v" }, "unknown": { "a": [1] }, "__proto__": 1, "": "" });
    server.post("secret/data/a", &body).is(200);
    server.post("auth/token/create", &json!({ "unknown": 1 })).is(200);
}
