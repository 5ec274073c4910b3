//! Facts about AppRole.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Mounted, refused};
use crate::backend::Grant;
use crate::engines::approle::{Tidied, tidy};
use crate::request::Operation;

const REFUSED: &str = "invalid role or secret ID";

fn approle() -> Mounted {
    Mounted::new("approle", "auth/approle/", &[])
}

/// A role `r` with RoleID `id` and one SecretID, which is returned.
fn with_role(parameters: Value) -> (Mounted, String) {
    let mounted = approle();
    mounted.write("role/r", parameters).unwrap();
    mounted.write("role/r/role-id", json!({"role_id": "id"})).unwrap();
    let secret_id = new_secret_id(&mounted, json!({}));
    (mounted, secret_id)
}

fn new_secret_id(mounted: &Mounted, parameters: Value) -> String {
    mounted.written("role/r/secret-id", parameters)["secret_id"].as_str().unwrap().to_owned()
}

fn credentials(secret_id: &str) -> Value {
    json!({"role_id": "id", "secret_id": secret_id})
}

fn log_in(mounted: &Mounted, secret_id: &str) -> Result<Grant, (u16, String)> {
    let answer = mounted.write("login", credentials(secret_id));
    match answer {
        Ok(answer) => Ok(answer.grant.unwrap()),
        refusal => Err(refused(refusal)),
    }
}

#[test]
fn a_login_grants_what_the_role_says() {
    let (mounted, secret_id) = with_role(json!({
        "token_policies": ["p1", "p2"], "token_ttl": "1m", "token_max_ttl": 120,
        "token_num_uses": 3, "token_type": "service", "token_bound_cidrs": "127.0.0.0/8",
        "token_explicit_max_ttl": 500, "token_no_default_policy": true,
    }));
    let grant = log_in(&mounted, &secret_id).unwrap();
    assert_eq!(grant.policies, ["p1", "p2"]);
    assert_eq!((grant.ttl, grant.max_ttl, grant.explicit_max_ttl), (60, 120, 500));
    assert_eq!((grant.num_uses, grant.token_type.as_str()), (3, "service"));
    assert_eq!(grant.bound_cidrs, ["127.0.0.0/8"]);
    assert!(grant.no_default_policy);
    assert_eq!(grant.metadata, [("role_name".to_owned(), "r".to_owned())].into());
    assert_eq!(grant.display_name, "", "the core puts the mount there");
}

#[test]
fn a_login_reads_two_keys_and_writes_none_for_an_unlimited_secret_id() {
    let (mounted, secret_id) = with_role(json!({}));
    let decided = mounted.decide(Operation::Write, "login", credentials(&secret_id)).unwrap();
    assert_eq!(decided.txn.compares.len(), 2);
    assert!(decided.txn.is_empty());
}

#[test]
fn a_failed_login_leaves_nothing_written() {
    let (mut mounted, secret_id) =
        with_role(json!({"secret_id_num_uses": 1, "secret_id_bound_cidrs": "10.0.0.0/8"}));
    let before = mounted.stored("");
    for (body, text) in [
        (json!({}), "missing role_id"),
        (json!({"role_id": "other", "secret_id": secret_id}), REFUSED),
        (json!({"role_id": "id"}), "missing secret_id"),
        (json!({"role_id": "id", "secret_id": "wrong"}), REFUSED),
        (json!({"role_id": "id", "secret_id": "x".repeat(5000)}), REFUSED),
        (
            credentials(&secret_id),
            "source address \"127.0.0.1\" unauthorized by CIDR restrictions on the role",
        ),
    ] {
        assert_eq!(refused(mounted.write("login", body)), (400, text.to_owned()));
    }
    assert_eq!(mounted.stored(""), before);
    mounted.remote = [10, 1, 1, 1].into();
    assert!(log_in(&mounted, &secret_id).is_ok(), "its use was not taken");
}

#[test]
fn a_counted_secret_id_allows_exactly_its_uses() {
    let (mounted, secret_id) = with_role(json!({"secret_id_num_uses": 3}));
    for _ in 0..3 {
        log_in(&mounted, &secret_id).unwrap();
    }
    assert_eq!(log_in(&mounted, &secret_id).unwrap_err(), (400, REFUSED.into()));
    assert!(mounted.stored("secret/").is_empty(), "it is gone, not at zero");
    assert!(mounted.stored("accessor/").is_empty());
}

#[test]
fn the_count_is_exact_when_decisions_are_made_again() {
    let (mounted, secret_id) = with_role(json!({"secret_id_num_uses": 5}));
    let decide =
        |mounted: &Mounted| mounted.decide(Operation::Write, "login", credentials(&secret_id));
    // Sixteen clients decide against the same state; the committer takes them
    // in order and decides again whatever lost its compare.
    let decisions: Vec<_> = (0..16).map(|_| decide(&mounted).unwrap()).collect();
    let (mut logged_in, mut decided_again) = (0, 0);
    for decision in decisions {
        if mounted.commit(decision.txn) {
            logged_in += 1;
            continue;
        }
        decided_again += 1;
        if let Ok(decision) = decide(&mounted) {
            assert!(mounted.commit(decision.txn));
            logged_in += 1;
        }
    }
    assert_eq!((logged_in, decided_again), (5, 15));
}

#[test]
fn an_expired_secret_id_is_refused() {
    let (mut mounted, secret_id) = with_role(json!({"secret_id_ttl": "10s"}));
    mounted.now += Duration::from_nanos(9_999_999_999);
    assert!(log_in(&mounted, &secret_id).is_ok());
    mounted.now += Duration::from_nanos(1);
    assert_eq!(log_in(&mounted, &secret_id).unwrap_err(), (400, REFUSED.into()));
}

#[test]
fn a_secret_id_is_bound_to_its_addresses_and_brings_its_metadata() {
    let (mut mounted, _) = with_role(json!({"token_bound_cidrs": "10.0.0.0/8"}));
    let secret_id = new_secret_id(
        &mounted,
        json!({"cidr_list": ["10.1.0.0/16"], "token_bound_cidrs": "10.1.0.0/24",
               "metadata": "{\"team\":\"blue\"}"}),
    );
    let text =
        "source address \"127.0.0.1\" unauthorized through CIDR restrictions on the secret ID";
    assert_eq!(log_in(&mounted, &secret_id).unwrap_err(), (400, text.into()));
    mounted.remote = [10, 1, 2, 3].into();
    let grant = log_in(&mounted, &secret_id).unwrap();
    assert_eq!(grant.bound_cidrs, ["10.1.0.0/24"]);
    assert_eq!(grant.metadata["team"], "blue");
    let too_wide = json!({"token_bound_cidrs": "11.0.0.0/8"});
    let (status, text) = refused(mounted.write("role/r/secret-id", too_wide));
    assert_eq!(status, 400);
    assert!(text.starts_with("failed to verify subset relationship"), "{text}");
}

#[test]
fn no_secret_id_is_stored() {
    let (mounted, secret_id) = with_role(json!({}));
    let custom = "correct horse battery staple";
    mounted.write("role/r/custom-secret-id", json!({"secret_id": custom})).unwrap();
    for key in mounted.stored("") {
        assert!(!key.contains(&secret_id) && !key.contains(custom));
        let value: Option<Value> =
            mounted.with_context(|context| context.get(&format!("mount/{key}")).unwrap());
        let value = value.unwrap().to_string();
        assert!(!value.contains(&secret_id) && !value.contains(custom));
    }
    assert!(log_in(&mounted, custom).is_ok());
    let again = mounted.write("role/r/custom-secret-id", json!({"secret_id": custom}));
    let text = "failed to store secret_id: SecretID is already registered";
    assert_eq!(refused(again), (400, text.into()));
}

#[test]
fn a_role_is_read_as_it_was_written() {
    let mounted = approle();
    mounted.write("role/Web", json!({"policies": "p1,Q ,p1", "period": "1h"})).unwrap();
    let role = mounted.data("role/web");
    assert_eq!(
        role,
        json!({
            "bind_secret_id": true, "local_secret_ids": false, "period": 3600,
            "policies": ["p1", "q"], "secret_id_bound_cidrs": null, "secret_id_num_uses": 0,
            "secret_id_ttl": 0, "token_bound_cidrs": [], "token_explicit_max_ttl": 0,
            "token_max_ttl": 0, "token_no_default_policy": false, "token_num_uses": 0,
            "token_period": 3600, "token_policies": ["p1", "q"],
            "token_strictly_bind_ip": false, "token_ttl": 0, "token_type": "default",
        })
    );
    mounted.write("role/web", json!({"token_policies": "z"})).unwrap();
    let role = mounted.data("role/web");
    assert_eq!(role["token_policies"], json!(["z"]));
    assert_eq!(role.get("policies"), None, "the deprecated name was not written");
    assert_eq!(mounted.list("role"), ["web"]);
    mounted.ask(Operation::Delete, "role/web", Value::Null).unwrap();
    assert_eq!(refused(mounted.read("role/web")), (404, String::new()));
    assert_eq!(refused(mounted.read("role/bad$name")).0, 404);
}

#[test]
fn contradictory_roles_are_refused() {
    let mounted = approle();
    mounted.write("role/taken", json!({"role_id": "taken"})).unwrap();
    for (body, text) in [
        (json!({"token_type": "x"}), "invalid 'token_type' value \"x\""),
        (
            json!({"token_ttl": 10, "token_max_ttl": 5}),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
        (json!({"secret_id_num_uses": -1}), "secret_id_num_uses cannot be negative"),
        (json!({"token_num_uses": -1}), "'token_num_uses' cannot be negative"),
        (json!({"role_id": ""}), "invalid role_id supplied, or failed to generate a role_id"),
        (json!({"role_id": "taken"}), "role_id already in use"),
        (json!({"bind_secret_id": false}), "at least one constraint should be enabled on the role"),
        (
            json!({"period": "1000h"}),
            "period of \"1000h0m0s\" is greater than the backend's maximum lease TTL of \"768h0m0s\"",
        ),
    ] {
        assert_eq!(refused(mounted.write("role/new", body)), (400, text.to_owned()));
    }
    assert_eq!(mounted.list("role"), ["taken"]);
}

#[test]
fn each_parameter_can_be_written_read_and_reset_by_itself() {
    let (mounted, _) = with_role(json!({}));
    for (path, field, value, read, reset) in [
        ("policies", "token_policies", json!("a,b"), json!(["a", "b"]), json!([])),
        ("period", "token_period", json!("2m"), json!(120), json!(0)),
        ("secret-id-num-uses", "secret_id_num_uses", json!(5), json!(5), json!(0)),
        ("secret-id-ttl", "secret_id_ttl", json!("1h"), json!(3600), json!(0)),
        ("token-num-uses", "token_num_uses", json!("7"), json!(7), json!(0)),
        ("token-ttl", "token_ttl", json!("5m"), json!(300), json!(0)),
        ("token-max-ttl", "token_max_ttl", json!(600), json!(600), json!(0)),
        (
            "token-bound-cidrs",
            "token_bound_cidrs",
            json!("10.0.0.0/8"),
            json!(["10.0.0.0/8"]),
            json!([]),
        ),
        (
            "secret-id-bound-cidrs",
            "secret_id_bound_cidrs",
            json!(["10.0.0.0/8"]),
            json!(["10.0.0.0/8"]),
            json!(null),
        ),
        ("bind-secret-id", "bind_secret_id", json!(true), json!(true), json!(true)),
    ] {
        let path = format!("role/r/{path}");
        mounted.write(&path, json!({field: value})).unwrap();
        assert_eq!(mounted.data(&path)[field], read, "{path}");
        mounted.ask(Operation::Delete, &path, Value::Null).unwrap();
        assert_eq!(mounted.data(&path)[field], reset, "{path}");
    }
    assert_eq!(
        refused(mounted.write("role/r/token-ttl", json!({}))),
        (400, "missing token_ttl".into())
    );
    assert_eq!(refused(mounted.read("role/r/bogus")).0, 404);
    assert_eq!(mounted.data("role/r/role-id"), json!({"role_id": "id"}));
}

#[test]
fn a_new_role_id_replaces_the_old_one() {
    let (mounted, secret_id) = with_role(json!({}));
    mounted.write("role/r/role-id", json!({"role_id": "new"})).unwrap();
    assert_eq!(log_in(&mounted, &secret_id).unwrap_err(), (400, REFUSED.into()));
    let body = json!({"role_id": "new", "secret_id": secret_id});
    assert!(mounted.write("login", body).unwrap().grant.is_some());
    assert_eq!(mounted.stored("role_id/").len(), 1);
}

#[test]
fn secret_ids_are_looked_up_and_destroyed_by_themselves_or_by_accessor() {
    let (mounted, first) = with_role(json!({"secret_id_num_uses": 9, "secret_id_ttl": 60}));
    let second = mounted.written("role/r/secret-id", json!({"num_uses": 2}));
    let accessor = second["secret_id_accessor"].clone();
    let keys: Vec<&str> = second.keys().map(String::as_str).collect();
    assert_eq!(keys, ["secret_id", "secret_id_accessor", "secret_id_num_uses", "secret_id_ttl"]);
    assert_eq!(mounted.list("role/r/secret-id").len(), 2);
    let by_accessor = json!({"secret_id_accessor": accessor});
    let found = mounted.written("role/r/secret-id-accessor/lookup", by_accessor.clone());
    let itself = json!({"secret_id": second["secret_id"]});
    assert_eq!(found, mounted.written("role/r/secret-id/lookup", itself));
    assert_eq!(found["secret_id_num_uses"], 2);
    assert_eq!(found["expiration_time"], "2025-11-21T23:05:54.000000005Z");
    mounted.write("role/r/secret-id-accessor/destroy", by_accessor.clone()).unwrap();
    mounted.write("role/r/secret-id/destroy", json!({"secret_id": first})).unwrap();
    assert_eq!(mounted.list("role/r/secret-id"), Vec::<String>::new());
    let unknown = mounted.write("role/r/secret-id-accessor/lookup", by_accessor).unwrap();
    assert_eq!(unknown.response.status, Some(404));
    assert!(mounted.written("role/r/secret-id/lookup", json!({"secret_id": first})).is_empty());
    assert!(mounted.stored("expiry/").is_empty() && mounted.stored("secret/").is_empty());
}

#[test]
fn a_role_created_again_accepts_none_of_its_old_secret_ids() {
    let (mounted, secret_id) = with_role(json!({}));
    mounted.ask(Operation::Delete, "role/r", Value::Null).unwrap();
    assert_eq!(log_in(&mounted, &secret_id).unwrap_err(), (400, REFUSED.into()));
    mounted.write("role/r", json!({"role_id": "id"})).unwrap();
    assert_eq!(log_in(&mounted, &secret_id).unwrap_err(), (400, REFUSED.into()));
}

#[test]
fn tidying_removes_what_is_dead_in_bounded_bites() {
    let (mut mounted, _) = with_role(json!({}));
    for _ in 0..9 {
        new_secret_id(&mounted, json!({"ttl": 5}));
    }
    let forever = new_secret_id(&mounted, json!({}));
    mounted.now += Duration::from_secs(7);
    let bite = |mounted: &Mounted, items_max| {
        mounted.with_context(|context| tidy(&mut context.scope("mount/"), items_max).unwrap())
    };
    assert_eq!(bite(&mounted, 6), Tidied { removed: 6, is_done: false });
    assert_eq!(bite(&mounted, 6), Tidied { removed: 3, is_done: true });
    assert!(log_in(&mounted, &forever).is_ok());
    assert_eq!(mounted.stored("secret/").len(), 2);
    mounted.ask(Operation::Delete, "role/r", Value::Null).unwrap();
    assert_eq!(bite(&mounted, 1), Tidied { removed: 1, is_done: false });
    assert_eq!(bite(&mounted, 1), Tidied { removed: 1, is_done: true });
    assert_eq!(mounted.stored(""), Vec::<String>::new(), "nothing at all is left");
}

#[test]
fn new_secret_ids_push_out_the_expired_ones() {
    let (mut mounted, _) = with_role(json!({"secret_id_ttl": 5}));
    for _ in 0..40 {
        new_secret_id(&mounted, json!({}));
        mounted.now += Duration::from_secs(1);
    }
    assert!(mounted.stored("secret/").len() < 10, "{}", mounted.stored("secret/").len());
}
