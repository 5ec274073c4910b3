//! A primary and a secondary: two real servers that talk over their cluster ports.

use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Running, any_port, eventually, plain_options};

const PRIMARY: &str = "sys/replication/performance/primary";
const SECONDARY: &str = "sys/replication/performance/secondary";
const STATUS: &str = "sys/replication/performance/status";

fn server() -> Running {
    Running::dev_with(|options| options.config.cluster_address = Some(any_port()))
}

fn primary() -> Running {
    let primary = server();
    primary.mount_kv1();
    primary.post(&format!("{PRIMARY}/enable"), &json!({})).is(200);
    primary
}

fn token(primary: &Running, id: &str) -> String {
    let asked = primary.post(&format!("{PRIMARY}/secondary-token"), &json!({ "id": id }));
    asked.is(200).text("/wrap_info/token")
}

fn enable(server: &Running, token: &str) -> Answer {
    server.post(&format!("{SECONDARY}/enable"), &json!({ "token": token }))
}

fn status(server: &Running) -> Value {
    server.get(STATUS).is(200).json()["data"].clone()
}

/// Until the secondary holds what the primary holds now.
fn caught_up(primary: &Running, secondary: &Running) {
    let wanted = status(primary);
    eventually("the secondary catches up", || {
        let found = status(secondary);
        let streams = found["state"] == "stream-wals";
        let there = found["last_wal"].as_u64() >= wanted["last_wal"].as_u64();
        (streams && there).then_some(())
    });
}

fn pair() -> (Running, Running) {
    let (primary, secondary) = (primary(), server());
    put(&primary, "before", "1");
    enable(&secondary, &token(&primary, "east")).is(200);
    caught_up(&primary, &secondary);
    (primary, secondary)
}

fn put(server: &Running, key: &str, value: &str) -> Answer {
    server.post(&format!("kv/{key}"), &json!({ "value": value })).is(204)
}

fn value(server: &Running, key: &str) -> String {
    server.get(&format!("kv/{key}")).is(200).text("/data/value")
}

#[test]
fn a_secondary_serves_what_the_primary_holds_and_passes_writes_on() {
    let (primary, secondary) = pair();
    assert_eq!(value(&secondary, "before"), "1");
    put(&secondary, "forwarded", "2");
    assert_eq!(value(&primary, "forwarded"), "2");
    caught_up(&primary, &secondary);
    assert_eq!(value(&secondary, "forwarded"), "2");
    let (here, there) = (status(&primary), status(&secondary));
    assert_eq!(here["history"], there["history"]);
    // A login and a token with a limited number of uses write on the primary.
    let token = secondary.token(&json!({ "policies": ["root"], "num_uses": 2 }));
    caught_up(&primary, &secondary);
    let read = |server: &Running| server.call("GET", "kv/before").token(&token).send().status;
    assert_eq!((read(&secondary), read(&primary), read(&primary)), (200, 200, 403));
    caught_up(&primary, &secondary);
    assert_eq!(read(&secondary), 403);
}

#[test]
fn a_client_reads_on_the_secondary_what_it_has_written_on_the_primary() {
    let (primary, secondary) = pair();
    for n in 0..20 {
        let written = put(&primary, "own", &n.to_string());
        let index = written.header("x-vault-index").unwrap().to_owned();
        let read = || secondary.call("GET", "kv/own").token(ROOT).header("X-Vault-Index", &index);
        // Who does not have it in time says so, and never answers with an older one.
        let read = eventually("the secondary has it", || {
            Some(read().send()).filter(|answer| answer.status != 412)
        });
        assert_eq!(read.is(200).text("/data/value"), n.to_string());
    }
    // base64 of v1:c:999999:999999:00
    let late = "djE6Yzo5OTk5OTk6OTk5OTk5OjAw";
    let read = || secondary.call("GET", "kv/own").token(ROOT).header("X-Vault-Index", late);
    read().send().refuses(412, "required index state not present");
    // The primary has it no more than the secondary.
    read().header("X-Vault-Inconsistent", "forward-active-node").send().is(412);
}

#[test]
fn a_token_revoked_on_the_primary_is_dead_on_the_secondary() {
    let (primary, secondary) = pair();
    let token = primary.token(&json!({ "policies": ["default"] }));
    caught_up(&primary, &secondary);
    let lookup = || secondary.call("GET", "auth/token/lookup-self").token(&token).send().status;
    assert_eq!(lookup(), 200);
    primary.post("auth/token/revoke", &json!({ "token": token })).is(204);
    caught_up(&primary, &secondary);
    assert_eq!(lookup(), 403);
}

#[test]
fn keys_rotated_on_the_primary_open_on_the_secondary() {
    let (primary, secondary) = pair();
    for n in 0..3 {
        primary.post("sys/rotate", &json!({})).is(204);
        put(&primary, "rotated", &n.to_string());
        caught_up(&primary, &secondary);
        assert_eq!(value(&secondary, "rotated"), n.to_string());
    }
}

#[test]
fn a_secondary_goes_on_after_a_restart_with_its_own_unseal_key() {
    let (primary, secondary) = pair();
    let own = secondary.server().dev_keys().unwrap().unseal_key.clone();
    let other = primary.server().dev_keys().unwrap().unseal_key.clone();
    let secondary = Running::in_dir(secondary.stop(), plain_options);
    put(&primary, "meanwhile", "1");
    secondary.post("sys/unseal", &json!({ "key": other })).is(400);
    secondary.post("sys/unseal", &json!({ "key": own })).is(200);
    caught_up(&primary, &secondary);
    assert_eq!(value(&secondary, "meanwhile"), "1");
}

#[test]
fn a_promoted_secondary_takes_writes_and_keeps_its_own_seal() {
    let (primary, secondary) = pair();
    let last = status(&secondary)["last_wal"].clone();
    let own = secondary.server().dev_keys().unwrap().unseal_key.clone();
    primary.stop();
    let unknown = secondary.post("kv/a", &json!({ "value": "1" }));
    assert!(unknown.status == 503 || unknown.status == 500, "{unknown:?}");
    let promoted = secondary.post(&format!("{SECONDARY}/promote"), &json!({})).is(200);
    assert_eq!(promoted.json()["data"]["last_remote_wal"], last);
    put(&secondary, "own", "2");
    let server = Running::in_dir(secondary.stop(), plain_options);
    server.post("sys/unseal", &json!({ "key": own })).is(200);
    assert_eq!(value(&server, "own"), "2");
    assert_eq!(value(&server, "before"), "1");
}

#[test]
fn a_token_that_is_not_good_changes_nothing() {
    let (primary, secondary, third) = (primary(), server(), server());
    let good = token(&primary, "east");
    let mut altered = good.clone();
    altered.replace_range(40..41, if &altered[40..41] == "A" { "B" } else { "A" });
    enable(&secondary, &altered).refuses(400, "the secondary token is altered or cut short");
    enable(&secondary, "").refuses(400, "missing token");
    enable(&primary, &good).refuses(400, "a secondary cannot follow itself");
    let late = json!({ "id": "late", "ttl": 0 });
    let late = primary.post(&format!("{PRIMARY}/secondary-token"), &late).is(200);
    enable(&secondary, &late.text("/wrap_info/token")).refuses(400, "has expired");
    enable(&secondary, &good).is(200);
    enable(&third, &good).refuses(400, "was used already, by another cluster");
    caught_up(&primary, &secondary);
    enable(&secondary, &good).refuses(400, "a secondary already");
    third.post(&format!("{PRIMARY}/enable"), &json!({})).is(200);
    third.post(&format!("{PRIMARY}/enable"), &json!({})).refuses(400, "a primary already");
    let other = token(&primary, "west");
    enable(&third, &other).refuses(400, "this cluster is a primary: disable that first");
    let again = primary.post(&format!("{PRIMARY}/secondary-token"), &json!({ "id": "east" }));
    again.refuses(400, "known already");
    third.get("sys/mounts").is(200);
}

/// A port that is free now, for a primary that must come back at the same address.
fn free_address() -> SocketAddr {
    TcpListener::bind(any_port()).unwrap().local_addr().unwrap()
}

#[test]
fn a_token_of_an_authority_that_is_gone_changes_nothing() {
    let address = free_address();
    let primary = Running::dev_with(|options| options.config.cluster_address = Some(address));
    let secondary = server();
    primary.post(&format!("{PRIMARY}/enable"), &json!({})).is(200);
    let old = token(&primary, "east");
    primary.post(&format!("{PRIMARY}/disable"), &json!({})).is(204);
    primary.post(&format!("{PRIMARY}/enable"), &json!({})).is(200);
    enable(&secondary, &old).refuses(400, "invalid peer certificate");
    assert_eq!(status(&secondary)["mode"], "disabled");
    secondary.post("sys/mounts/own", &json!({ "type": "kv" })).is(204);
    enable(&secondary, &token(&primary, "east")).is(200);
    caught_up(&primary, &secondary);
}

#[test]
fn a_primary_that_goes_back_in_time_is_not_followed() {
    let (primary, secondary) = pair();
    let saved = crate::backup::save(&primary);
    put(&primary, "since", "1");
    caught_up(&primary, &secondary);
    crate::backup::restore_own(&primary, &saved).is(204);
    put(&primary, "since", "2");
    let failed = eventually("it ends", || {
        let status = status(&secondary);
        (status["state"] == "failed").then_some(status)
    });
    assert!(failed["reason"].as_str().unwrap().starts_with("diverged: "), "{failed}");
    assert_eq!(value(&secondary, "since"), "1");
}

#[test]
fn a_primary_that_was_replaced_follows_its_successor() {
    let (old, new) = pair();
    new.post(&format!("{SECONDARY}/promote"), &json!({})).is(200);
    put(&new, "since", "1");
    // Written to where nobody follows any more.
    put(&old, "lost", "1");
    old.post(&format!("{PRIMARY}/disable"), &json!({})).is(204);
    enable(&old, &token(&new, "west")).is(200);
    caught_up(&new, &old);
    assert_eq!(value(&old, "since"), "1");
    old.get("kv/lost").is(404);
    assert_eq!(status(&old)["history"], status(&new)["history"]);
}

#[test]
fn another_secondary_is_told_where_the_promoted_one_is() {
    let (primary, promoted) = pair();
    let other = server();
    enable(&other, &token(&primary, "west")).is(200);
    caught_up(&primary, &other);
    caught_up(&primary, &promoted);
    primary.stop();
    promoted.post(&format!("{SECONDARY}/promote"), &json!({})).is(200);
    let update = |addresses: &str| {
        let body = json!({ "update_primary_addrs": addresses });
        other.post(&format!("{SECONDARY}/update-primary"), &body)
    };
    let nobody = free_address().to_string();
    update(&nobody).refuses(400, &format!("cannot reach the primary at {nobody}"));
    update("").refuses(400, "expected one host:port");
    update(status(&promoted)["primary_cluster_addr"].as_str().unwrap()).is(204);
    put(&promoted, "since", "1");
    caught_up(&promoted, &other);
    assert_eq!(value(&other, "since"), "1");
}

#[test]
fn a_revoked_secondary_is_told_so_and_says_so() {
    let (primary, secondary) = pair();
    primary.post(&format!("{PRIMARY}/revoke-secondary"), &json!({ "id": "east" })).is(204);
    eventually("it ends", || (status(&secondary)["state"] == "failed").then_some(()));
    assert_eq!(value(&secondary, "before"), "1");
}

/// What the log keeps for secondaries, once the server has found out what it is.
fn keeps_of_its_log(server: &Running, mode: &str, bytes: u64) {
    eventually(&format!("a {mode} keeps {bytes} bytes"), || {
        let status = status(server);
        (status["mode"] == mode && status["log_retain_bytes"] == bytes).then_some(())
    });
}

#[test]
fn only_a_primary_keeps_its_log_for_others() {
    let (primary, secondary) = pair();
    keeps_of_its_log(&primary, "primary", 1 << 30);
    keeps_of_its_log(&secondary, "secondary", 0);
    let primary = primary.again_with(|options| options.config.cluster_address = Some(any_port()));
    keeps_of_its_log(&primary, "primary", 1 << 30);
    primary.post(&format!("{PRIMARY}/disable"), &json!({})).is(204);
    keeps_of_its_log(&primary, "disabled", 0);
    keeps_of_its_log(&server().again_with(|_| ()), "disabled", 0);
}

#[test]
fn health_tells_a_secondary_from_its_primary() {
    let (primary, secondary) = pair();
    primary.get("sys/health").is(200);
    let health = secondary.get("sys/health").is(473).json();
    assert_eq!(health["replication_performance_mode"], "secondary");
    assert_eq!(health["replication"]["state"], "stream-wals");
    secondary.get("sys/health?perfstandbyok=true").is(200);
    secondary.get("sys/health?performancestandbycode=299").is(299);
    let denied = secondary.call("POST", &format!("{SECONDARY}/promote")).send();
    denied.is(403);
}

#[test]
fn what_an_operator_does_here_is_audited_under_its_own_path() {
    let server = server();
    let log = server.dir.path().join("audit.log");
    let device = json!({ "type": "file", "options": { "file_path": log } });
    server.post("sys/audit/file", &device).is(204);
    // Nothing else is needed, and nothing else is enough.
    let policy = "path \"sys/replication/*\" { capabilities = [\"update\"] }";
    server.post("sys/policies/acl/operator", &json!({ "policy": policy })).is(204);
    let token = server
        .token(&json!({ "policies": ["operator"], "no_default_policy": true, "no_parent": true }));
    let ask = |method: &str, path: &str| server.call(method, path).token(&token).json(&json!({}));
    ask("POST", &format!("{PRIMARY}/enable")).send().is(200);
    ask("GET", "sys/storage/raft/snapshot").send().refuses(403, "permission denied");
    server.get("sys/storage/raft/snapshot").is(200);
    let audited = std::fs::read_to_string(log).unwrap();
    let answers = audited.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let answers = answers.filter(|entry| entry["type"] == "response").map(|entry| {
        let of = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        format!("{} {} {}", of("/request/operation"), of("/request/path"), of("/error").trim())
    });
    let denied = "1 error occurred:\n\t* permission denied";
    let wanted = [
        format!("update {PRIMARY}/enable "),
        format!("read sys/storage/raft/snapshot {denied}"),
        "read sys/storage/raft/snapshot ".to_owned(),
    ];
    assert_eq!(answers.skip(3).collect::<Vec<_>>(), wanted);
}

/// Until the secondary has taken over the quota.
fn knows_quota(server: &Running, name: &str) {
    let label = format!("name=\"{name}\"");
    eventually("the quota is taken over", || {
        let metrics = server.get("sys/metrics?format=prometheus").is(200);
        String::from_utf8(metrics.body).unwrap().contains(&label).then_some(())
    });
}

#[test]
fn a_rate_limit_holds_on_each_server_and_a_write_that_is_passed_on_is_charged_once() {
    let (primary, secondary) = pair();
    let quota = json!({ "rate": 2, "interval": "1h", "path": "kv/" });
    primary.post("sys/quotas/rate-limit/kv", &quota).is(204);
    knows_quota(&secondary, "kv");
    let write = |server: &Running| server.post("kv/a", &json!({ "value": "x" })).status;
    assert_eq!([(); 3].map(|()| write(&secondary)), [204, 204, 429]);
    assert_eq!([(); 3].map(|()| write(&primary)), [204, 204, 429]);
}

#[test]
fn leases_are_counted_over_both_servers() {
    let (primary, secondary) = pair();
    let role_id = primary.mount_role(&json!({ "token_ttl": "1h" }));
    let body = json!({ "role_id": role_id, "secret_id": primary.secret_id() });
    let quota = json!({ "max_leases": 2, "path": "auth/approle" });
    primary.post("sys/quotas/lease-count/logins", &quota).is(204);
    let login =
        |server: &Running| server.call("POST", "auth/approle/login").json(&body).send().status;
    assert_eq!([&secondary, &primary, &secondary, &primary].map(login), [200, 200, 429, 429]);
}

#[test]
fn a_key_stands_for_one_write_whichever_server_is_asked() {
    let (primary, secondary) = pair();
    let create = |server: &Running| {
        let call = server.call("POST", "auth/token/create").token(ROOT).json(&json!({}));
        call.header("Idempotency-Key", "\"k\"").send().is(200)
    };
    let (first, again) = (create(&secondary), create(&primary));
    assert_eq!(first.body, again.body);
    let replayed = [&first, &again, &create(&secondary)]
        .map(|a| a.header("idempotency-replayed").map(str::to_owned));
    assert_eq!(replayed, [None, Some("true".to_owned()), Some("true".to_owned())]);
}

#[test]
fn a_window_closes_both_servers_and_ends_on_both() {
    const WINDOW: &str = "sys/maintenance";
    let (primary, secondary) = pair();
    let write = |server: &Running| server.post("kv/a", &json!({ "value": "x" })).status;
    // Announced through either.
    secondary.post(WINDOW, &json!({ "mode": "writes", "reason": "disks" })).is(200);
    eventually("it is in force", || {
        (secondary.get(WINDOW).is(200).text("/data/state") == "in_force").then_some(())
    });
    assert_eq!([&primary, &secondary].map(write), [503, 503]);
    assert_eq!(value(&secondary, "before"), "1");
    secondary.call("DELETE", WINDOW).token(ROOT).send().is(204);
    eventually("it is over", || (write(&secondary) == 204).then_some(()));
    assert_eq!(write(&primary), 204);
}
