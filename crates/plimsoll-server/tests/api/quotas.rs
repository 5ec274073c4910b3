//! Quotas as clients meet them.

use plimsoll_server::config::Config;
use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Running, eventually};

/// Far more than a test takes, so that no window moves while it runs.
const HOUR: &str = "1h";

fn limit(server: &Running, name: &str, mut quota: Value) {
    quota["interval"] = json!(HOUR);
    server.post(&format!("sys/quotas/rate-limit/{name}"), &quota).is(204);
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

fn put(server: &Running, path: &str) -> Answer {
    server.post(path, &json!({ "value": "x" }))
}

#[test]
fn a_client_over_its_quota_gets_vaults_429_and_a_time_to_come_back() {
    let server = Running::dev();
    server.mount_kv1();
    limit(&server, "writes", json!({ "rate": 2, "path": "kv/" }));
    put(&server, "kv/a").is(204);
    put(&server, "kv/b").is(204);
    let refused = put(&server, "kv/c");
    assert!(refused.header("x-ratelimit-limit").is_none(), "not enabled");
    assert_eq!(refused.header("ratelimit-policy"), Some("\"writes\";q=2;w=3600"));
    assert!((3000..=3700).contains(&seconds(&refused)));
    let refused = refused.refuses(429, "request path \"kv/c\": rate limit quota exceeded");
    assert_eq!(
        (&refused.json()["quota"], &refused.json()["executed"]),
        (&json!("writes"), &json!(false))
    );
    assert_eq!(server.get("kv/a").status, 429, "reads count too");
    server.get("sys/mounts").is(200);

    let config = json!({ "enable_rate_limit_response_headers": true });
    server.post("sys/quotas/config", &config).is(204);
    limit(&server, "sys", json!({ "rate": 100, "path": "sys/mounts" }));
    let told = server.get("sys/mounts").is(200);
    let header = |name: &str| told.header(name).unwrap().to_owned();
    assert_eq!(
        (header("x-ratelimit-limit"), header("x-ratelimit-remaining")),
        ("100".into(), "99".into())
    );
    assert_eq!(header("ratelimit-policy"), "\"sys\";q=100;w=3600");
    let metrics = server.get("sys/metrics?format=prometheus").is(200);
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("vault_quota_rate_limit_violation{name=\"writes\"} 2"), "{metrics}");
    // Another rate for the same clients: what they have asked still counts.
    limit(&server, "writes", json!({ "rate": 3, "path": "kv/" }));
    assert_eq!((put(&server, "kv/d").status, put(&server, "kv/e").status), (204, 429));
}

#[test]
fn what_tells_how_the_server_is_has_no_quota() {
    let server = Running::dev();
    limit(&server, "all", json!({ "rate": 1 }));
    for _ in 0..5 {
        server.get("sys/health").is(200);
        server.get("sys/seal-status").is(200);
        server.get("sys/metrics").is(200);
        server.post("sys/unseal", &json!({ "reset": true })).is(200);
    }
    server.get("sys/mounts").is(200);
    server.get("sys/mounts").is(429);
}

#[test]
fn an_overload_uses_up_no_quota_and_a_429_takes_no_place() {
    let server = Running::dev();
    server.mount_kv1();
    limit(&server, "writes", json!({ "rate": 1, "path": "kv/" }));
    for _ in 0..3 {
        let call = server.call("POST", "kv/a").token(ROOT).json(&json!({ "value": "x" }));
        call.header("X-Vault-AOP-Force-Reject", "true").send().is(503);
    }
    put(&server, "kv/a").is(204);
    let admitted = || {
        let metrics = server.get("sys/metrics?format=prometheus").is(200);
        let text = String::from_utf8(metrics.body).unwrap();
        let line = text.lines().find(|line| line.starts_with("plimsoll_gate_admitted "));
        line.unwrap().to_owned()
    };
    let before = admitted();
    // Not even its body is read.
    let call = server.call("POST", "kv/a").token(ROOT).header("Content-Length", "1000000");
    let refused = call.send().is(429);
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(admitted(), before);
}

#[test]
fn a_role_has_a_quota_of_its_own() {
    let server = Running::dev();
    let role_id = server.mount_role(&json!({ "token_ttl": "1h" }));
    let secret_id = server.secret_id();
    server.post("auth/approle/role/other", &json!({})).is(204);
    let other = server.get("auth/approle/role/other/role-id").is(200).text("/data/role_id");
    limit(&server, "r", json!({ "rate": 1, "path": "auth/approle", "role": "r" }));
    let login = |role_id: &str| {
        let body = json!({ "role_id": role_id, "secret_id": secret_id });
        server.call("POST", "auth/approle/login").json(&body).send()
    };
    login(&role_id).is(200);
    login(&role_id).refuses(429, "request path \"auth/approle/login\"");
    assert_eq!(login(&other).status, 400, "the SecretID is not its own, but it was asked");
}

#[test]
fn known_callers_are_told_apart_and_strangers_share() {
    let server = Running::dev();
    let tokens: Vec<String> = (0..2).map(|_| server.token(&json!({ "ttl": "1h" }))).collect();
    let look = |token: &str| server.call("GET", "auth/token/lookup-self").token(token).send();
    // Seen once, they are known.
    tokens.iter().for_each(|token| drop(look(token).is(200)));
    let quota = json!({
        "rate": 2, "path": "auth/token", "group_by": "entity_then_none", "secondary_rate": 1,
    });
    limit(&server, "lookups", quota);
    for token in &tokens {
        let statuses: Vec<u16> = (0..3).map(|_| look(token).status).collect();
        assert_eq!(statuses, [200, 200, 429]);
    }
    assert_eq!((look("nobody").status, look("somebody").status), (403, 429));
}

#[test]
fn several_windows_of_a_path_apply_together() {
    let server = Running::dev();
    server.mount_kv1();
    let quota =
        |rate: u32, interval: &str| json!({ "rate": rate, "interval": interval, "path": "kv/" });
    server.post("sys/quotas/rate-limit/hour", &quota(5, "1h")).is(204);
    server.post("sys/quotas/rate-limit/day", &quota(3, "24h")).is(204);
    let statuses: Vec<u16> = (0..5).map(|_| put(&server, "kv/a").status).collect();
    assert_eq!(statuses, [204, 204, 204, 429, 429]);
    assert!(seconds(&put(&server, "kv/a")) > 3600 * 20, "the day's wait");
}

#[test]
fn a_blocked_client_is_told_only_when_it_may_come_back() {
    let server = Running::dev();
    server
        .post("sys/quotas/config", &json!({ "enable_rate_limit_response_headers": true }))
        .is(204);
    let quota = json!({ "rate": 1, "path": "sys/mounts", "block_interval": "2h" });
    limit(&server, "strict", quota);
    server.get("sys/mounts").is(200);
    let first = server.get("sys/mounts").is(429);
    assert_eq!(first.header("x-ratelimit-remaining"), Some("0"));
    let blocked = server.get("sys/mounts").is(429);
    assert!(blocked.header("x-ratelimit-remaining").is_none());
    assert!((7100..=7300).contains(&seconds(&blocked)));
}

#[test]
fn leases_are_counted_in_the_commit_that_makes_them() {
    let server = Running::dev();
    let role_id = server.mount_role(&json!({ "token_ttl": "1h" }));
    let body = json!({ "role_id": role_id, "secret_id": server.secret_id() });
    server
        .post("sys/quotas/lease-count/logins", &json!({ "max_leases": 5, "path": "auth/approle" }))
        .is(204);
    // Leases that were there before the quota are counted in the background.
    eventually("all leases are counted", || {
        let quota = server.get("sys/quotas/lease-count/logins").is(200).json();
        quota["data"]["counting"].is_null().then_some(())
    });
    let login = || server.call("POST", "auth/approle/login").json(&body).send();
    // Whom another gate refuses asks again, as a client would.
    let told = || {
        let mut status = 503;
        while status == 503 {
            status = login().status;
        }
        status
    };
    let statuses = std::thread::scope(|scope| {
        let logins: Vec<_> = (0..32).map(|_| scope.spawn(told)).collect();
        logins.into_iter().map(|login| login.join().unwrap()).collect::<Vec<u16>>()
    });
    let count = |status| statuses.iter().filter(|s| **s == status).count();
    assert_eq!((count(200), count(429)), (5, 27), "{statuses:?}");
    let refused = login().refuses(429, "lease count quota exceeded");
    assert!(seconds(&refused) >= 1);
    let metrics = server.get("sys/metrics?format=prometheus").is(200);
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in
        ["violation{name=\"logins\"} 28", "counter{name=\"logins\"} 5", "max{name=\"logins\"} 5"]
    {
        assert!(metrics.contains(&format!("vault_quota_lease_count_{line}")), "{line}: {metrics}");
    }
}

#[test]
fn key_vaults_limits_apply_to_the_mounts_that_the_configuration_names() {
    let text = r#"
        storage "plimsoll" { path = "/nowhere" }
        key_vault_throttling "payments" {
          mounts = ["secret"]
          interval = "1h"
          class "secret_create" {
            methods = ["post", "PUT"]
            paths = ["data/*"]
          }
          class "rare" {
            paths = ["data/keys/"]
            limit = 2
          }
        }
    "#;
    let config = Config::parse(text).unwrap();
    let server = Running::dev_with(|options| options.config.key_vaults = config.key_vaults);
    let read = |path: &str| server.get(path).status;
    assert_eq!((read("secret/data/keys/a"), read("secret/data/keys/a")), (404, 404));
    let refused = server.get("secret/data/keys/a").is(429);
    assert_eq!(refused.text("/error/code"), "Throttled");
    assert!(refused.text("/error/message").contains("VaultRequestTypeLimitReached"));
    assert!(seconds(&refused) >= 1);
    // Two of two are the whole sum.
    assert_eq!((read("secret/data/a"), read("sys/mounts")), (429, 200));
}

#[test]
fn a_throttling_block_that_makes_no_sense_is_named() {
    for (block, why) in [
        ("mounts = []", "mounts: at least one is needed"),
        ("mounts = [\"s\"]\n class \"mine\" {}", "class \"mine\" has no limit"),
        ("mounts = [\"s\"]\n class \"mine\" { limit = 0 }", "a limit is from 1 to"),
        ("mounts = [\"s\"]\n interval = \"0s\"", "an interval is from"),
        ("mounts = [\"s\"]\n default_class = \"x\"", "class \"x\" has no limit"),
        ("mounts = [\"s\"]\n nonsense = 1", "nonsense"),
    ] {
        let text = format!(
            "storage \"plimsoll\" {{ path = \"/x\" }}\nkey_vault_throttling \"kv\" {{\n{block}\n}}"
        );
        let error = Config::parse(&text).unwrap_err();
        assert!(error.contains(why) && error.contains("kv"), "{block}: {error}");
    }
}
