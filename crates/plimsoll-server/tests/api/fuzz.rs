//! Anything at all, thrown at one server: never our fault, never a panic.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::{ROOT, Running, assert_no_panic};

/// Requests that one run sends.
const CASES: u32 = 1_500;

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "LIST", "PATCH", "HEAD", "OPTIONS"];

const PLACES: [&str; 46] = [
    "secret/data",
    "secret/metadata",
    "secret/delete",
    "secret/undelete",
    "secret/destroy",
    "secret/config",
    "secret/subkeys",
    "secret",
    "kv",
    "cubbyhole",
    "auth/approle/role",
    "auth/approle/role/r",
    "auth/approle/role/r/secret-id",
    "auth/approle/role/r/role-id",
    "auth/approle/role/r/secret-id-accessor",
    "auth/approle/login",
    "auth/approle/tidy",
    "auth/userpass/users",
    "auth/userpass/users/a",
    "auth/userpass/login",
    "auth/token/create",
    "auth/token/create-orphan",
    "auth/token/lookup",
    "auth/token/lookup-self",
    "auth/token/renew",
    "auth/token/renew-self",
    "auth/token/accessors",
    "auth/token/tidy",
    "sys/mounts",
    "sys/mounts/x",
    "sys/mounts/secret/tune",
    "sys/auth/x",
    "sys/auth",
    "sys/policies/acl",
    "sys/policy",
    "sys/capabilities",
    "sys/capabilities-self",
    "sys/leases/lookup",
    "sys/leases/renew",
    "sys/leases/revoke",
    "sys/leases",
    "sys/health",
    "sys/init",
    "sys/unseal",
    "sys/metrics",
    "sys/internal/ui/mounts",
];

const FIELDS: [&str; 38] = [
    "data",
    "options",
    "cas",
    "versions",
    "max_versions",
    "cas_required",
    "custom_metadata",
    "delete_version_after",
    "token",
    "accessor",
    "increment",
    "lease_id",
    "policies",
    "policy",
    "ttl",
    "period",
    "num_uses",
    "explicit_max_ttl",
    "type",
    "meta",
    "display_name",
    "id",
    "no_parent",
    "role_id",
    "secret_id",
    "metadata",
    "cidr_list",
    "token_bound_cidrs",
    "token_policies",
    "token_type",
    "secret_id_num_uses",
    "password",
    "paths",
    "config",
    "description",
    "key",
    "token_num_uses",
    "max_lease_ttl",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3i64..10).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{1,25}[smhdw]?".prop_map(Value::from),
        "[0-9a-f.:]{1,20}/[0-9]{1,3}".prop_map(Value::from),
        prop::sample::select(vec![
            "kv",
            "approle",
            "userpass",
            "service",
            "batch",
            "default",
            "root",
            "a",
            "r",
            ROOT,
            "path \"a\" { capabilities = [\"read\"] }",
            "path \"+/*\" {",
            "2",
            "true",
            "-1",
        ])
        .prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((field(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(&FIELDS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let object = prop::collection::vec((field(), value()), 0..6)
        .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>());
    prop_oneof![
        8 => object.prop_map(|object| Value::Object(object).to_string().into_bytes()),
        1 => value().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let tail = prop_oneof![
        3 => Just(String::new()),
        3 => Just("/a".to_owned()),
        1 => Just("/".to_owned()),
        1 => "/[a-z]{1,3}/[a-z0-9._%+*-]{1,8}",
        // Whatever a request line may hold.
        1 => "[!-\"$-~]{0,12}",
    ];
    let query = prop_oneof![
        6 => Just(String::new()),
        1 => Just("?list=true".to_owned()),
        1 => "\\?(version|depth|help|list|format|activecode)=[!-\"$-~]{0,6}",
    ];
    (prop::sample::select(&PLACES[..]), tail, query)
        .prop_map(|(place, tail, query)| format!("{place}{tail}{query}"))
}

fn method() -> impl Strategy<Value = String> {
    let known = prop::sample::select(&METHODS[..]).prop_map(str::to_owned);
    prop_oneof![6 => Just("POST".to_owned()), 6 => known, 1 => "[A-Z]{1,9}"]
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(ROOT.to_owned()), 1 => "[!-~]{1,40}", 1 => "hv[sb]\\.[A-Za-z0-9]{1,40}"]
}

/// What would end the run: the root token's own end.
fn is_fatal(body: &[u8], path: &str) -> bool {
    path.contains("revoke")
        && (path.contains("auth") || String::from_utf8_lossy(body).contains(ROOT))
}

#[test]
fn no_request_is_our_fault() {
    let server = Running::dev();
    server.mount_kv1();
    server.post("sys/auth/userpass", &json!({ "type": "userpass" })).is(204);
    server.mount_role(&json!({}));
    // A failure is printed with the smallest request that shows it.
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let requests = (method(), path(), token(), body());
    let mut seen = std::collections::BTreeMap::<u16, u32>::new();
    let tally = std::cell::RefCell::new(&mut seen);
    let outcome = runner.run(&requests, |(method, path, token, body)| {
        prop_assume!(!is_fatal(&body, &path));
        let answer = server.call(&method, &path).token(&token).body(body).send();
        *tally.borrow_mut().entry(answer.status).or_default() += 1;
        let asked_for = path.contains("code=");
        prop_assert!(answer.status < 500 || asked_for, "{answer:?}");
        // A HEAD has no body, and what is no HTTP has no face.
        if answer.status >= 400 && !answer.body.is_empty() {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            let in_envelope = body["data"].is_object() || body["warnings"].is_array();
            let told = body["errors"].is_array() || in_envelope || asked_for;
            prop_assert!(told, "{body}");
        }
        Ok(())
    });
    eprintln!("{seen:?}");
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert_no_panic();
    server.get("sys/mounts").is(200);
}
