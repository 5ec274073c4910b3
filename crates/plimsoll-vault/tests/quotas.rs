//! Quotas as operators set them, and leases as they are counted.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use plimsoll_vault::quota::GroupBy;
use plimsoll_vault::{Operation, Vault, VaultError};
use serde_json::{Value, json};

use crate::common::{Server, data, refusal, request, server};

const RATE: &str = "sys/quotas/rate-limit";
const LEASES: &str = "sys/quotas/lease-count";

impl Server {
    async fn quota(&self, name: &str, body: Value) {
        self.write(&format!("{RATE}/{name}"), body).await.unwrap();
    }

    /// Which quotas apply.
    fn matching(&self, path: &str, role: Option<&str>) -> Vec<String> {
        let rules = self.vault.quota_rules();
        rules.matching(path, role).iter().map(|rule| rule.name.to_string()).collect()
    }

    fn id(&self, name: &str) -> u64 {
        let rules = self.vault.quota_rules();
        let id = rules.iter().find(|rule| &*rule.name == name).map(|rule| rule.id);
        id.unwrap()
    }

    /// A role of approle and a login's body.
    async fn approle(&self, role: &str, parameters: Value) -> Value {
        if self.read("sys/auth/approle").await.is_err() {
            self.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
        }
        let path = format!("auth/approle/role/{role}");
        self.write(&path, parameters).await.unwrap();
        let role_id = data(&self.read(&format!("{path}/role-id")).await.unwrap());
        let secret_id = self.write(&format!("{path}/secret-id"), json!({})).await.unwrap();
        json!({ "role_id": role_id["role_id"], "secret_id": data(&secret_id)["secret_id"] })
    }

    async fn login(&self, body: &Value) -> Result<String, VaultError> {
        let request = request(Operation::Write, "auth/approle/login", body.clone(), "");
        Ok(self.vault.handle(request, None).await?.auth.unwrap().client_token)
    }

    async fn leases(&self, name: &str) -> u64 {
        let read = self.read(&format!("{LEASES}/{name}")).await.unwrap();
        data(&read)["counter"].as_u64().unwrap()
    }

    async fn work(&self) {
        while self.vault.background_step().await.unwrap() > 0 {}
    }
}

#[tokio::test]
async fn a_rate_limit_is_written_read_listed_and_deleted() {
    let server = server().await;
    assert_eq!(refusal(server.list(RATE).await), (404, String::new()));
    // As the command line sends it: everything is text.
    let body =
        json!({ "rate": "897.3", "interval": "2m", "block_interval": "1h", "path": "secret" });
    server.quota("first.one", body).await;
    server.quota("second", json!({ "rate": 5 })).await;
    let read = server.read(&format!("{RATE}/first.one")).await.unwrap();
    let expected = json!({
        "type": "rate-limit", "name": "first.one", "path": "secret/", "role": "", "rate": 897.3,
        "interval": 120, "block_interval": 3600, "inheritable": false, "group_by": "ip",
        "secondary_rate": 0,
    });
    assert_eq!(data(&read), expected);
    let read = data(&server.read(&format!("{RATE}/second")).await.unwrap());
    assert_eq!(
        (&read["path"], &read["rate"], &read["interval"]),
        (&json!(""), &json!(5), &json!(1))
    );
    assert_eq!(read["inheritable"], true);
    let listed = data(&server.list(RATE).await.unwrap());
    assert_eq!(listed["keys"], json!(["first.one", "second"]));
    server.delete(&format!("{RATE}/second")).await.unwrap();
    server.delete(&format!("{RATE}/second")).await.unwrap();
    assert_eq!(refusal(server.read(&format!("{RATE}/second")).await), (404, String::new()));
    assert_eq!(server.matching("secret/data/a", None), ["first.one"]);
    assert!(server.matching("sys/mounts", None).is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_vaults_words() {
    let server = server().await;
    server.write("sys/auth/approle", json!({ "type": "approle" })).await.unwrap();
    server.quota("taken", json!({ "rate": 1, "path": "secret/" })).await;
    let long = "x".repeat(10_000);
    for (body, why) in [
        (json!({}), "'rate' is invalid"),
        (json!({ "rate": 0 }), "'rate' is invalid"),
        (json!({ "rate": -1 }), "'rate' is invalid"),
        (json!({ "rate": 1e300 }), "'rate' is invalid"),
        (json!({ "rate": "many" }), "strconv.ParseFloat"),
        (json!({ "rate": "NaN" }), "strconv.ParseFloat"),
        (json!({ "rate": 1, "interval": -5 }), "'interval' is invalid"),
        (json!({ "rate": 1, "interval": "90000h" }), "'interval' is invalid"),
        (json!({ "rate": 1, "block_interval": "-5s" }), "'block' is invalid"),
        (json!({ "rate": 1, "path": "nowhere/" }), "invalid mount path \"nowhere/\""),
        (json!({ "rate": 1, "path": "*" }), "invalid mount path \"*\""),
        (json!({ "rate": 1, "path": "secret/../sys" }), "invalid mount path"),
        (json!({ "rate": 1, "path": "secret//a" }), "invalid mount path"),
        (json!({ "rate": 1, "path": format!("secret/{long}") }), "invalid mount path"),
        (json!({ "rate": 1, "path": "secret/a*b" }), "only stand at the end"),
        (json!({ "rate": 1, "path": "secret/a**" }), "only stand at the end"),
        (
            json!({ "rate": 1, "path": "secret" }),
            "quota rule with similar properties exists under the name \"taken\"",
        ),
        (
            json!({ "rate": 1, "path": "secret/a", "inheritable": true }),
            "only namespace quotas can be configured as inheritable",
        ),
        (json!({ "rate": 1, "inheritable": false }), "all global quotas must be inheritable"),
        (json!({ "rate": 1, "group_by": "shoe_size" }), "invalid grouping mode \"shoe_size\""),
        (
            json!({ "rate": 1, "secondary_rate": 1 }),
            "secondary rate is only valid when using entity-based grouping",
        ),
        (
            json!({ "rate": 1, "secondary_rate": -1, "group_by": "entity_then_ip" }),
            "secondary rate must be greater than or equal to 0",
        ),
        (json!({ "rate": 1, "path": "secret", "role": "r" }), "not a valid auth method"),
        (json!({ "rate": 1, "path": "auth/token", "role": "r" }), "not a valid auth method"),
        (json!({ "rate": 1, "role": "r" }), "not a valid auth method"),
        (json!({ "rate": 1, "path": "auth/approle/login", "role": "r" }), "both a role and a path"),
        (json!({ "rate": [1] }), "field \"rate\""),
    ] {
        let (status, said) = refusal(server.write(&format!("{RATE}/q"), body.clone()).await);
        assert!(status == 400 && said.contains(why), "{body}: {status} {said}");
        assert!(said.len() < 1000, "{} bytes", said.len());
    }
    for body in [json!({}), json!({ "max_leases": 0 }), json!({ "max_leases": -1 })] {
        let (status, said) = refusal(server.write(&format!("{LEASES}/q"), body).await);
        assert_eq!((status, said.as_str()), (400, "'max_leases' is invalid"));
    }
    for name in ["a b", "-a", "a/b", "a*", long.as_str(), "\u{e4}"] {
        let refused = server.write(&format!("{RATE}/{name}"), json!({ "rate": 1 })).await;
        assert!(matches!(refusal(refused).0, 400 | 404), "{name}");
    }
    assert_eq!(data(&server.list(RATE).await.unwrap())["keys"], json!(["taken"]));
}

#[tokio::test]
async fn the_most_specific_quota_applies_and_no_other() {
    let server = server().await;
    server.approle("deploy", json!({})).await;
    for (name, path, role) in [
        ("global", "", ""),
        ("mount", "auth/approle/", ""),
        ("short", "auth/approle/l*", ""),
        ("long", "auth/approle/log*", ""),
        ("path", "auth/approle/login", ""),
        ("role", "auth/approle/", "deploy"),
    ] {
        server.quota(name, json!({ "rate": 1, "path": path, "role": role })).await;
    }
    let path = "auth/approle/login";
    assert!(server.vault.quota_rules().needs_role(path));
    assert!(!server.vault.quota_rules().needs_role("secret/data/a"));
    assert_eq!(server.matching(path, Some("deploy")), ["role"]);
    assert_eq!(server.matching("auth/approle/role/deploy", None), ["mount"]);
    assert_eq!(server.matching("secret/data/a", None), ["global"]);
    for name in ["path", "long", "short", "mount", "global"] {
        assert_eq!(server.matching(path, Some("other")), [name]);
        server.delete(&format!("{RATE}/{name}")).await.unwrap();
    }
    assert!(server.matching(path, Some("other")).is_empty());
}

#[tokio::test]
async fn a_login_is_known_by_its_role_before_it_is_let_in() {
    let server = server().await;
    let mut body = server.approle("deploy", json!({})).await;
    body["secret_id"] = json!("wrong");
    let role =
        |path, body: &Value| server.vault.login_role(path, body.as_object().unwrap().clone());
    assert_eq!(role("auth/approle/login", &body), Some("deploy".to_owned()));
    assert_eq!(role("auth/approle/login", &json!({ "role_id": "unknown" })), None);
    assert_eq!(role("auth/approle/login", &json!({ "role_id": [1] })), None);
    server.write("sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    assert_eq!(role("auth/userpass/login/Ann", &json!({})), Some("ann".to_owned()));
    assert_eq!(role("secret/data/a", &json!({})), None);
}

#[tokio::test]
async fn quotas_of_different_intervals_share_a_path() {
    let server = server().await;
    for (name, interval) in [("second", "1s"), ("minute", "1m"), ("hour", "1h"), ("day", "24h")] {
        let body = json!({ "rate": 1, "interval": interval, "path": "secret/data/*" });
        server.quota(name, body).await;
    }
    assert_eq!(server.matching("secret/data/a", None), ["day", "hour", "minute", "second"]);
    let body = json!({ "rate": 1, "interval": "2s", "path": "secret/data/*" });
    let refused = refusal(server.write(&format!("{RATE}/fifth"), body).await);
    assert_eq!(refused, (400, "no more than 4 quotas for the same path and role".to_owned()));
}

#[tokio::test]
async fn another_rate_keeps_what_was_counted_and_another_meaning_does_not() {
    let server = server().await;
    server.quota("a", json!({ "rate": 1 })).await;
    server.quota("b", json!({ "rate": 1, "path": "secret" })).await;
    let (a, b) = (server.id("a"), server.id("b"));
    server.quota("a", json!({ "rate": 2 })).await;
    assert_eq!((server.id("a"), server.id("b")), (a, b));
    server.quota("a", json!({ "rate": 2, "interval": "5s" })).await;
    assert_ne!(server.id("a"), a);
    assert_eq!(server.id("b"), b);
    server.delete(&format!("{RATE}/b")).await.unwrap();
    server.quota("b", json!({ "rate": 1, "path": "secret" })).await;
    assert_ne!(server.id("b"), b, "a new quota begins anew");
}

#[tokio::test]
async fn callers_can_be_told_apart_in_four_ways() {
    let server = server().await;
    for (mode, secondary, expected) in [
        ("ip", json!(null), 0),
        ("none", json!(null), 0),
        ("entity_then_ip", json!(null), 10),
        ("entity_then_none", json!(3), 3),
    ] {
        let body = json!({ "rate": 10, "group_by": mode, "secondary_rate": secondary });
        server.quota("q", body).await;
        let read = data(&server.read(&format!("{RATE}/q")).await.unwrap());
        assert_eq!((&read["group_by"], &read["secondary_rate"]), (&json!(mode), &json!(expected)));
        let rules = server.vault.quota_rules();
        let rule = rules.iter().next().unwrap();
        assert_eq!(rule.group_by.name(), mode);
        assert_eq!(rule.limit.units_max(), 10);
        if rule.group_by != GroupBy::Ip && rule.group_by != GroupBy::None {
            assert_eq!(rule.secondary.units_max(), expected);
        }
    }
}

#[tokio::test]
async fn what_is_exempt_is_vaults_until_somebody_says_otherwise() {
    let server = server().await;
    let exempt = |path: &str| server.vault.quota_rules().is_exempt(path);
    for path in ["sys/health", "sys/seal-status", "sys/unseal", "sys/metrics", "sys/unseal/"] {
        assert!(exempt(path), "{path}");
    }
    assert!(!exempt("sys/mounts"));
    let config = json!({
        "rate_limit_exempt_paths": ["sys/mounts", "secret/data/open/*"],
        "absolute_rate_limit_exempt_paths": "sys/auth",
        "enable_rate_limit_response_headers": "true",
    });
    server.write("sys/quotas/config", config).await.unwrap();
    let read = data(&server.read("sys/quotas/config").await.unwrap());
    let expected = json!({
        "rate_limit_exempt_paths": ["sys/mounts", "secret/data/open/*"],
        "absolute_rate_limit_exempt_paths": ["sys/auth"],
        "enable_rate_limit_audit_logging": false,
        "enable_rate_limit_response_headers": true,
    });
    assert_eq!(read, expected);
    assert!(exempt("sys/mounts") && exempt("sys/auth") && exempt("secret/data/open/a"));
    assert!(!exempt("sys/health") && !exempt("secret/data/opened"));
    // What is left out is at its default again.
    server.write("sys/quotas/config", json!({})).await.unwrap();
    let read = data(&server.read("sys/quotas/config").await.unwrap());
    assert_eq!(read["rate_limit_exempt_paths"], json!([]));
    assert_eq!(read["enable_rate_limit_response_headers"], false);
}

#[tokio::test]
async fn quotas_survive_a_restart_and_go_with_their_mount() {
    let first = server().await;
    first.write("sys/mounts/kv", json!({ "type": "kv" })).await.unwrap();
    first.quota("kv", json!({ "rate": 1, "path": "kv/" })).await;
    first.quota("global", json!({ "rate": 1 })).await;
    first.write(&format!("{LEASES}/kv"), json!({ "max_leases": 1, "path": "kv" })).await.unwrap();
    let id = first.id("kv");
    let vault = Vault::open(Arc::clone(&first.store), first.clock.options()).unwrap();
    assert!(vault.quota_rules().is_empty(), "sealed");
    let unseal = json!({ "key": first.unseal_key });
    vault.handle(request(Operation::Write, "sys/unseal", unseal, ""), None).await.unwrap();
    let second = Server { vault, ..first };
    assert_eq!((second.matching("kv/a", None), second.id("kv")), (vec!["kv".to_owned()], id));
    second.delete("sys/mounts/kv").await.unwrap();
    assert_eq!(second.matching("kv/a", None), ["global"]);
    assert_eq!(refusal(second.list(LEASES).await).0, 404);
}

#[tokio::test]
async fn of_many_logins_at_once_exactly_as_many_get_through_as_there_may_be_leases() {
    let server = server().await;
    let body = server.approle("r", json!({ "token_ttl": "1h" })).await;
    let quota = json!({ "max_leases": 10, "path": "auth/approle/" });
    server.write(&format!("{LEASES}/logins"), quota).await.unwrap();
    server.work().await;
    let server = Arc::new(server);
    let logins: Vec<_> = (0..64)
        .map(|_| {
            let (server, body) = (Arc::clone(&server), body.clone());
            tokio::spawn(async move { server.login(&body).await })
        })
        .collect();
    let (mut tokens, mut refused) = (Vec::new(), 0);
    for login in logins {
        match login.await.unwrap() {
            Ok(token) => tokens.push(token),
            Err(error) => {
                let said = "1 error occurred:\n\t* request path \"auth/approle/login\": lease count \
                            quota exceeded\n\n";
                assert_eq!((error.status(), error.to_string().as_str()), (429, said));
                refused += 1;
            }
        }
    }
    assert_eq!((tokens.len(), refused, server.leases("logins").await), (10, 54, 10));
    let violations = server.vault.lease_quotas().unwrap();
    assert_eq!((violations[0].violations, violations[0].count, violations[0].max), (54, 10, 10));
    // One that ends makes room for one.
    let revoke = json!({ "token": tokens[0] });
    server.write("auth/token/revoke", revoke).await.unwrap();
    assert!(server.login(&body).await.is_ok() && server.login(&body).await.is_err());
    server.clock.advance(3601);
    server.work().await;
    assert_eq!(server.leases("logins").await, 0);
    assert!(server.login(&body).await.is_ok());
}

#[tokio::test]
async fn leases_that_were_there_before_their_quota_are_counted_too() {
    let server = server().await;
    let body = server.approle("r", json!({ "token_ttl": "1h" })).await;
    let other = server.approle("other", json!({ "token_ttl": "1h" })).await;
    for _ in 0..600 {
        server.login(&body).await.unwrap();
    }
    let token = server.login(&other).await.unwrap();
    for (name, parameters) in [
        ("global", json!({ "max_leases": 1_000_000 })),
        ("mount", json!({ "max_leases": 602, "path": "auth/approle" })),
        ("role", json!({ "max_leases": 602, "path": "auth/approle", "role": "r" })),
    ] {
        server.write(&format!("{LEASES}/{name}"), parameters).await.unwrap();
    }
    let counting = async |name: &str| {
        let quota = server.read(&format!("{LEASES}/{name}")).await.unwrap().data.unwrap();
        quota.get("counting").cloned()
    };
    assert_eq!(counting("role").await, Some(json!(true)));
    // While pages are counted, leases come and go on both sides of that.
    let mut page = 0;
    while server.vault.background_step().await.unwrap() > 0 {
        page += 1;
        server.login(&body).await.unwrap();
        let gone = server.login(&body).await.unwrap();
        server.write("auth/token/revoke", json!({ "token": gone })).await.unwrap();
        if page == 1 {
            server.write("auth/token/revoke", json!({ "token": token })).await.unwrap();
        }
        if page == 2 {
            break;
        }
    }
    server.work().await;
    assert_eq!(counting("role").await, None);
    let counts = (server.leases("global").await, server.leases("mount").await);
    assert_eq!((counts, server.leases("role").await), ((602, 602), 602));
    assert!(server.login(&body).await.is_err());
}

#[tokio::test]
async fn batch_tokens_are_no_way_around_it_and_root_is_exempt() {
    let server = server().await;
    server.write(&format!("{LEASES}/all"), json!({ "max_leases": 2 })).await.unwrap();
    server.work().await;
    let policy = json!({ "policy": "path \"auth/token/create\" { capabilities = [\"update\"] }" });
    server.write("sys/policies/acl/maker", policy).await.unwrap();
    let maker = server.token(&["maker"]).await;
    let create = |kind: &str| json!({ "type": kind, "policies": ["maker"], "ttl": "1h" });
    let ask = |body| server.ask(Operation::Write, "auth/token/create", body, &maker);
    assert!(ask(create("batch")).await.is_ok(), "it does not count");
    assert!(ask(create("service")).await.is_ok());
    for kind in ["service", "batch"] {
        let (status, said) = refusal(ask(create(kind)).await);
        assert!(status == 429 && said.contains("lease count quota exceeded"), "{kind}: {said}");
    }
    server.token(&["default"]).await;
    assert_eq!(server.leases("all").await, 3);
}
