//! What balancers, scrapers and operators ask.

use std::thread;

use serde_json::{Value, json};

use crate::support::{Call, ROOT, Running, any_port};

#[test]
fn health_has_vaults_fields_and_the_load() {
    let server = Running::dev();
    let health = server.call("GET", "sys/health").send().is(200);
    assert_eq!(health.header("cache-control"), Some("no-store"));
    let health = health.json();
    for field in [
        "initialized",
        "sealed",
        "standby",
        "performance_standby",
        "replication_performance_mode",
        "replication_dr_mode",
        "server_time_utc",
        "version",
        "enterprise",
        "cluster_name",
        "cluster_id",
        "echo_duration_ms",
        "clock_skew_ms",
        "replication_primary_canary_age_ms",
    ] {
        assert!(!health[field].is_null(), "{field} in {health}");
    }
    assert_eq!(health["load"], "ok");
}

#[test]
fn each_state_answers_with_the_code_that_was_asked_for() {
    // As Go's client asks, so that it can read the body whatever the state is.
    let all = "uninitcode=299&sealedcode=298&standbycode=297&drsecondarycode=296\
               &performancestandbycode=295&removedcode=294&haunhealthycode=293&activecode=292";
    let codes = |server: &Running| {
        let status = |query: &str| {
            let path = format!("sys/health?{query}");
            let answer = server.call("GET", &path).send();
            assert_eq!(server.call("HEAD", &path).send().status, answer.status, "{path}");
            answer.status
        };
        (status(""), status(all), status("standbyok=true&perfstandbyok=true"))
    };
    let fresh = Running::fresh();
    assert_eq!(codes(&fresh), (501, 299, 501));
    let server = Running::dev();
    assert_eq!(codes(&server), (200, 292, 200));
    server.post("sys/seal", &json!({})).is(204);
    assert_eq!(codes(&server), (503, 298, 503));
}

#[test]
fn a_code_that_is_none_is_400() {
    let server = Running::dev();
    for code in ["ok", "", "99", "1000", "-200", "2e2", "100", "%00", "20%ff"] {
        for method in ["GET", "HEAD"] {
            let answer = server.call(method, &format!("sys/health?activecode={code}")).send();
            assert_eq!(answer.status, 400, "{method} {code}");
        }
    }
    let answer = server.call("GET", "sys/health?activecode=no").send();
    assert_eq!(answer.json(), json!({ "errors": [] }));
}

#[test]
fn a_head_request_has_no_body() {
    let server = Running::dev();
    let answer = server.call("HEAD", "sys/health").send().is(200);
    assert!(answer.body.is_empty());
}

#[test]
fn metrics_come_in_both_formats_and_no_other() {
    let server = Running::dev();
    server.post("secret/data/a", &json!({ "data": {} })).is(200);
    let dump = server.get("sys/metrics").is(200).json();
    for list in ["Gauges", "Points", "Counters", "Samples"] {
        assert!(dump[list].is_array(), "{list}");
    }
    assert!(dump["Timestamp"].is_string());
    let gauges = dump["Gauges"].as_array().unwrap();
    let gauge = |name: &str| gauges.iter().find(|gauge| gauge["Name"] == name).cloned();
    let rejected = gauge("vault.wal.write_controller.reject_fraction").expect("Vault's name");
    assert_eq!(rejected["Value"].as_f64(), Some(0.0));

    let text = server.get("sys/metrics?format=prometheus").is(200);
    assert!(text.header("content-type").unwrap().starts_with("text/plain"));
    let text = String::from_utf8(text.body).unwrap();
    for line in [
        "# TYPE vault_wal_write_controller_reject_fraction gauge",
        "vault_wal_write_controller_reject_fraction 0",
        "vault_core_unsealed 1",
        "plimsoll_gate_saturation{gate=\"write\"} ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let accepted = server.call("GET", "sys/metrics").token(ROOT);
    let accepted = accepted.header("accept", "application/openmetrics-text; version=1.0.0").send();
    assert!(accepted.is(200).header("content-type").unwrap().starts_with("text/plain"));

    server.get("sys/metrics?format=xml").refuses(400, "metric response format \"xml\" unknown");
}

#[test]
fn every_line_of_the_metrics_is_prometheus() {
    let server = Running::dev();
    let text = String::from_utf8(server.get("sys/metrics?format=prometheus").body).unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
    }
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let twice = text.matches(&format!("# TYPE {name}\n")).count();
        assert_eq!(twice, 1, "{name}");
    }
}

#[test]
fn a_policy_opens_the_metrics_and_what_is_in_flight() {
    let server = Running::dev();
    let policy = "path \"sys/metrics\" { capabilities = [\"read\"] }
                  path \"sys/in-flight-req\" { capabilities = [\"read\"] }";
    server.post("sys/policies/acl/scrape", &json!({ "policy": policy })).is(204);
    let token = server.token(&json!({ "policies": ["scrape"], "no_default_policy": false }));
    for path in ["sys/metrics", "sys/in-flight-req"] {
        server.call("GET", path).token(&token).send().is(200);
    }
}

#[test]
fn a_listener_may_open_them_to_everyone() {
    let server = Running::dev_with(|options| {
        options.config.listeners[0].unauthenticated_metrics = true;
        options.config.listeners[0].unauthenticated_in_flight = true;
    });
    server.call("GET", "sys/metrics").send().is(200);
    let flying = server.call("GET", "sys/in-flight-req").send().is(200).json();
    let flying: Vec<&Value> = flying.as_object().unwrap().values().collect();
    assert_eq!(flying.len(), 1, "the question itself");
    assert_eq!(flying[0]["request_path"], "/v1/sys/in-flight-req");
    assert_eq!(flying[0]["request_method"], "GET");
    assert_eq!(flying[0]["client_remote_address"], "127.0.0.1");
    assert!(flying[0]["start_time"].is_string());
}

#[test]
fn a_request_that_waits_for_the_disk_is_in_flight_while_health_answers() {
    let server = Running::dev_with(|options| options.config.health_listen = Some(any_port()));
    let own_door = server.server().health_address().unwrap();
    let is_flying = || {
        let flying = server.get("sys/in-flight-req").is(200).json();
        let mut flying = flying.as_object().unwrap().values();
        flying.any(|request| request["request_path"] == "/v1/secret/data/slow")
    };
    // Whether all of it was answered while a write waited for such a disk.
    let answered_meanwhile = |sync: &str| {
        server.slow_disk(&format!("sync={sync}"));
        let write = server.call("POST", "secret/data/slow").token(ROOT);
        let write = write.json(&json!({ "data": {} }));
        let write = thread::spawn(move || write.send());
        let mut seen = false;
        while !seen && !write.is_finished() {
            seen = is_flying();
        }
        for path in ["sys/health", "sys/metrics", "/metrics", "sys/metrics?format=prometheus"] {
            Call::new(own_door, "GET", path).send().is(200);
        }
        Call::new(own_door, "HEAD", "sys/health").send().is(200);
        Call::new(own_door, "POST", "sys/health").send().refuses(405, "");
        Call::new(own_door, "GET", "sys/health?activecode=x").send().refuses(400, "");
        // Nothing else is behind that door.
        for path in ["secret/data/slow", "sys/mounts", "sys/seal-status", "/", "/v1/sys/health/.."]
        {
            Call::new(own_door, "GET", path).token(ROOT).send().refuses(404, "");
        }
        let meanwhile = seen && !write.is_finished();
        server.slow_disk("sync=0");
        write.join().unwrap().is(200);
        meanwhile
    };
    // A slow machine takes longer for the same questions. No client waits longer than 30 s.
    let answered = ["2s", "6s", "18s"].into_iter().any(answered_meanwhile);
    assert!(answered, "never seen in flight, or health waited for the disk");
}
