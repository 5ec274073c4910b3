//! Windows: announced through the API, in force at once, there after a restart.

use serde_json::{Value, json};

use crate::support::{Answer, ROOT, Running, plain_options};

const PATH: &str = "sys/maintenance";
const BYPASS: &str = "Plimsoll-Maintenance-Bypass";

fn write(server: &Running) -> Answer {
    server.post("secret/data/a", &json!({ "data": {} }))
}

fn load(server: &Running) -> Value {
    server.get("sys/health").is(200).json()["load"].clone()
}

#[test]
fn a_window_closes_what_it_says_and_never_health_or_its_own_end() {
    let server = Running::dev();
    assert_eq!(server.get(PATH).is(200).text("/data/state"), "none");
    for (body, get, post) in [
        (json!({ "reason": "new disks" }), 503, 503),
        (json!({ "mode": "writes", "duration": "2h" }), 200, 503),
        (json!({ "mode": "percentage", "percentage": 100 }), 503, 503),
        (json!({ "mode": "retired" }), 410, 410),
    ] {
        server.post(PATH, &body).is(200);
        assert_eq!(server.get("sys/mounts").status, get, "{body}");
        let refused = write(&server);
        assert_eq!(refused.status, post, "{body}");
        assert_eq!(refused.header("retry-after").is_some(), post == 503, "{body}");
        assert_eq!(refused.header("link"), Some("</status>; rel=\"status\""));
        assert_eq!(refused.json()["executed"], false);
        assert_eq!(server.get(PATH).is(200).text("/data/state"), "in_force");
        assert_eq!(load(&server), "maintenance");
        server.call("GET", "sys/seal-status").send().is(200);
        let status = server.call("GET", "/status").send().is(200);
        assert_eq!(status.text("/status/indicator"), "maintenance");
    }
    server.call("DELETE", PATH).token(ROOT).send().is(204);
    write(&server).is(200);
    assert_eq!(load(&server), "ok");
}

#[test]
fn a_scheduled_window_is_announced_on_every_answer() {
    let server = Running::dev();
    let body = json!({ "begin": "2099-01-01T00:00:00Z" });
    server.post(PATH, &body).refuses(400, "366 days");
    let now = server.get("sys/health").json()["server_time_utc"].as_u64().unwrap();
    let soon = now + 3600;
    server.post(PATH, &json!({ "begin": soon, "duration": 600, "reason": "x" })).is(200);
    let answer = write(&server).is(200);
    let notice = format!("@{soon};until=@{};mode=full", soon + 600);
    assert_eq!(answer.header("scheduled-maintenance"), Some(notice.as_str()));
    assert_eq!(load(&server), "ok");
}

#[test]
fn the_bypass_token_is_told_once_and_opens_the_door() {
    let server = Running::dev();
    let token = server.post(PATH, &json!({})).is(200).text("/data/bypass_token");
    assert_eq!(server.get(PATH).json()["data"].get("bypass_token"), None);
    let call = || server.call("POST", "secret/data/a").token(ROOT).json(&json!({ "data": {} }));
    call().header(BYPASS, &token).send().is(200);
    call().header(BYPASS, "guessed-guessed-guessed").send().is(503);
    call().send().is(503);
}

#[test]
fn a_window_survives_a_restart() {
    let server = Running::dev();
    server.post(PATH, &json!({ "mode": "writes", "reason": "new disks" })).is(200);
    let key = server.server().dev_keys().unwrap().unseal_key.clone();
    let server = Running::in_dir(server.stop(), plain_options);
    server.post("sys/unseal", &json!({ "key": key })).is(200);
    write(&server).refuses(503, "writes are closed for maintenance");
    assert_eq!(server.get(PATH).is(200).text("/data/reason"), "new disks");
}

#[test]
fn only_who_may_write_the_path_announces_anything() {
    let server = Running::dev();
    let token = server.token(&json!({ "policies": ["default"] }));
    let answer = server.call("POST", PATH).token(&token).json(&json!({})).send();
    answer.refuses(403, "permission denied");
    write(&server).is(200);
}

#[test]
fn windows_that_make_no_sense_are_400_and_change_nothing() {
    let server = Running::dev();
    for (body, why) in [
        (json!({ "begin": 4_000_000_000_u64 }), "366 days"),
        (json!({ "begin": 1_700_000_000, "end": 1_600_000_000 }), "ends before it begins"),
        (json!({ "begin": 1_699_999_000, "end": 1_700_000_000 }), "over already"),
        (json!({ "duration": 0 }), "ends before it begins"),
        (json!({ "duration": "100000h" }), "366 days"),
        (json!({ "duration": -1 }), "duration"),
        (json!({ "duration": "1h", "end": 4_000_000_000_u64 }), "not both"),
        (json!({ "begin": "tomorrow" }), "begin must be a time"),
        (json!({ "begin": "0000-00-00T00:00:00Z" }), "begin must be a time"),
        (json!({ "end": u64::MAX }), "366 days"),
        (json!({ "mode": "off" }), "mode must be"),
        (json!({ "mode": ["full"] }), "mode must be"),
        (json!({ "mode": "percentage", "percentage": 101 }), "1 to 100"),
        (json!({ "mode": "percentage", "percentage": "1.5" }), "1 to 100"),
        (json!({ "percentage": 50 }), "1 to 100"),
        (json!({ "mode": "retired", "duration": "1h" }), "has no end"),
        (json!({ "reason": "x".repeat(600) }), "reason"),
        (json!({ "reason": "a\r\nb: c" }), "reason"),
        (json!({ "status_page": "javascript:alert(1)" }), "status page"),
        (json!({ "bypass_token": "short" }), "bypass_token"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        server.post(PATH, &body).refuses(400, why);
    }
    assert_eq!(server.get(PATH).is(200).text("/data/state"), "none");
    write(&server).is(200);
}
