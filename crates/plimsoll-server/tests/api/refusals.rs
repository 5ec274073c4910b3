//! Refused means not executed, and admitted means counted exactly once.

use std::io::Write as _;
use std::sync::{Arc, Barrier};
use std::thread;

use plimsoll::{Gate, Mode};
use serde_json::{Value, json};

use crate::support::{Answer, Call, ROOT, Running, connect, eventually};

fn forced(call: Call) -> Answer {
    let answer = call.header("X-Vault-AOP-Force-Reject", "true").send();
    let answer = answer.refuses(503, "overloaded, try again later");
    let body = answer.json();
    assert_eq!(body["executed"], false);
    assert_eq!((&body["code"], &body["gate"]), (&json!("overloaded"), &json!("write")));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    let ms: u64 = answer.header("retry-after-ms").unwrap().parse().unwrap();
    assert_eq!(body["retry_after_ms"], ms);
    assert!(ms <= seconds * 1000);
    answer
}

/// Everything that a client can see of what is stored.
fn seen(server: &Running) -> Vec<(u16, Value)> {
    let mut seen = Vec::new();
    for path in [
        "kv/a",
        "kv/new",
        "secret/data/a",
        "secret/metadata/a",
        "secret/metadata/new",
        "secret/config",
        "cubbyhole/a",
        "auth/approle/role/r",
        "auth/approle/role/r/role-id",
        "auth/userpass/users/u",
        "auth/userpass/users/new",
        "sys/mounts",
        "sys/auth",
        "sys/audit",
        "sys/policies/acl/p",
        "auth/token/lookup-self",
    ] {
        let answer = server.get(path);
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request_id");
        seen.push((answer.status, body));
    }
    for path in [
        "kv",
        "secret/metadata",
        "auth/approle/role",
        "auth/approle/role/r/secret-id",
        "auth/userpass/users",
        "auth/token/accessors",
        "sys/policies/acl",
        "sys/leases/lookup/auth/approle/login",
    ] {
        let answer = server.list(path);
        seen.push((answer.status, answer.json()["data"].clone()));
    }
    seen
}

#[test]
fn a_forced_refusal_of_any_write_leaves_nothing() {
    let server = Running::dev();
    server.mount_kv1();
    let role_id = server.mount_role(&json!({ "secret_id_num_uses": 1 }));
    let secret_id = server.secret_id();
    let destroyed = server.secret_id();
    server.post("sys/auth/userpass", &json!({ "type": "userpass" })).is(204);
    server.post("auth/userpass/users/u", &json!({ "password": "p" })).is(204);
    server.post("kv/a", &json!({ "k": 1 })).is(204);
    server.post("secret/data/a", &json!({ "data": { "k": 1 } })).is(200);
    server.post("cubbyhole/a", &json!({ "k": 1 })).is(204);
    server.post("sys/policies/acl/p", &json!({ "policy": "path \"b\" {}" })).is(204);
    let counted = server.token(&json!({ "policies": ["root"], "num_uses": 2 }));
    let victim = server.token(&json!({ "policies": ["default"], "ttl": "1h" }));
    let before = seen(&server);

    let data = json!({ "data": { "k": 2 } });
    let login = json!({ "role_id": role_id, "secret_id": secret_id });
    for (method, path, body) in [
        ("POST", "kv/a", json!({ "k": 2 })),
        ("PUT", "kv/new", json!({ "k": 2 })),
        ("DELETE", "kv/a", json!(null)),
        ("POST", "secret/data/a", data.clone()),
        ("POST", "secret/data/new", data.clone()),
        ("PATCH", "secret/data/a", data),
        ("DELETE", "secret/data/a", json!(null)),
        ("POST", "secret/delete/a", json!({ "versions": [1] })),
        ("POST", "secret/undelete/a", json!({ "versions": [1] })),
        ("POST", "secret/destroy/a", json!({ "versions": [1] })),
        ("POST", "secret/metadata/a", json!({ "max_versions": 1 })),
        ("DELETE", "secret/metadata/a", json!(null)),
        ("POST", "secret/config", json!({ "max_versions": 1 })),
        ("POST", "cubbyhole/a", json!({ "k": 2 })),
        ("DELETE", "cubbyhole/a", json!(null)),
        ("POST", "auth/approle/role/r", json!({ "token_policies": "x" })),
        ("POST", "auth/approle/role/new", json!({})),
        ("DELETE", "auth/approle/role/r", json!(null)),
        ("POST", "auth/approle/role/r/role-id", json!({ "role_id": "x" })),
        ("POST", "auth/approle/role/r/secret-id", json!({})),
        ("POST", "auth/approle/role/r/secret-id/destroy", json!({ "secret_id": destroyed })),
        ("POST", "auth/approle/login", login.clone()),
        ("POST", "auth/userpass/users/new", json!({ "password": "p" })),
        ("DELETE", "auth/userpass/users/u", json!(null)),
        ("POST", "auth/userpass/login/u", json!({ "password": "p" })),
        ("POST", "auth/token/create", json!({})),
        ("POST", "auth/token/revoke", json!({ "token": victim })),
        ("POST", "auth/token/revoke-self", json!({})),
        ("POST", "auth/token/renew", json!({ "token": victim })),
        ("POST", "sys/mounts/new", json!({ "type": "kv" })),
        ("DELETE", "sys/mounts/kv", json!(null)),
        ("POST", "sys/mounts/kv/tune", json!({ "description": "x" })),
        ("POST", "sys/auth/new", json!({ "type": "userpass" })),
        ("DELETE", "sys/auth/userpass", json!(null)),
        ("POST", "sys/policies/acl/p", json!({ "policy": "path \"a\" {}" })),
        ("DELETE", "sys/policies/acl/p", json!(null)),
        ("POST", "sys/audit/new", json!({ "type": "file", "options": { "file_path": "discard" } })),
        ("POST", "sys/leases/revoke-prefix/auth/approle", json!({})),
        ("POST", "sys/rotate", json!({})),
    ] {
        forced(server.call(method, path).token(ROOT).json(&body));
    }
    assert_eq!(seen(&server), before);

    // What would have been used up can still be used, and exactly as often.
    server.call("POST", "auth/approle/login").json(&login).send().is(200);
    server.call("POST", "auth/approle/login").json(&login).send().is(400);
    for _ in 0..3 {
        forced(server.call("POST", "kv/new").token(&counted).json(&json!({ "k": 1 })));
    }
    for status in [200, 200, 403] {
        server.call("GET", "sys/mounts").token(&counted).send().is(status);
    }
    server.call("GET", "auth/token/lookup-self").token(&victim).send().is(200);
}

#[test]
fn what_writes_nothing_is_not_refused() {
    let server = Running::dev();
    let (nothing, fast) = (json!({}), json!({ "spec": "sync=0" }));
    for (method, path, body) in [
        ("GET", "sys/health", &nothing),
        ("GET", "sys/mounts", &nothing),
        ("GET", "sys/seal-status", &nothing),
        ("GET", "auth/token/lookup-self", &nothing),
        ("POST", "auth/token/lookup-self", &nothing),
        ("POST", "sys/capabilities-self", &json!({ "paths": ["a"] })),
        // Whoever made the disk too slow must be able to make it fast again.
        ("POST", "sys/internal/dev/slow-disk", &fast),
    ] {
        let call = server.call(method, path).token(ROOT).json(body);
        call.header("X-Vault-AOP-Force-Reject", "true").send().is(200);
    }
    let header = |value| {
        let call = server.call("POST", "secret/data/a").token(ROOT).json(&json!({ "data": {} }));
        call.header("X-Vault-AOP-Force-Reject", value).send()
    };
    header("false").is(200);
    header("").is(200);
}

#[test]
fn a_forced_refusal_is_counted_apart() {
    let server = Running::dev();
    forced(server.call("POST", "secret/data/a").token(ROOT).json(&json!({ "data": {} })));
    let text = String::from_utf8(server.get("sys/metrics?format=prometheus").body).unwrap();
    assert!(text.contains("vault_wal_write_controller_reject_fraction 0\n"), "{text}");
    let line = "plimsoll_gate_refused{gate=\"write\",class=\"normal\",reason=\"forced\"} 1";
    assert!(text.contains(line), "{text}");
}

/// All of them at once, each on its own connection.
fn at_once(calls: Vec<Call>) -> Vec<Answer> {
    let start = Arc::new(Barrier::new(calls.len()));
    let threads: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                call.send()
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn sixty_four_clients_with_one_secret_id_get_exactly_its_uses() {
    let server = Running::dev();
    let uses = 40;
    let role_id = server.mount_role(&json!({ "secret_id_num_uses": uses }));
    let login = json!({ "role_id": role_id, "secret_id": server.secret_id() });
    let call = || server.call("POST", "auth/approle/login").json(&login);
    let answers = at_once((0..64).map(|_| call()).collect());
    // Whoever was refused may ask again, as a client would.
    let mut granted = answers.iter().filter(|answer| answer.status == 200).count();
    let mut refused = answers.iter().filter(|answer| answer.status == 503).count();
    while refused > 0 {
        match call().send().status {
            200 => (granted, refused) = (granted + 1, refused - 1),
            400 => refused -= 1,
            status => assert_eq!(status, 503),
        }
    }
    assert_eq!(granted, uses);
    call().send().refuses(400, "invalid role or secret ID");
}

#[test]
fn a_refused_login_leaves_the_secret_id_unspent() {
    let server = Running::dev();
    let role_id = server.mount_role(&json!({ "secret_id_num_uses": 1 }));
    let logins: Vec<Value> =
        (0..64).map(|_| json!({ "role_id": role_id, "secret_id": server.secret_id() })).collect();
    // A third of the 5 s that clients wait holds 17 logins at most, whatever the machine's
    // own disk adds. So many are a batch, as many wait, and as many again for the burst: the
    // others are refused if all come within seconds, as where there is much else to do.
    let server = server.again_with(|options| {
        options.slow_disk = Some("sync=10ms,item=100ms".parse().unwrap());
        // It has its own reasons to refuse.
        options.config.protection.set(Gate::Cpu, Mode::Off);
    });
    let call = |login: &Value| server.call("POST", "auth/approle/login").json(login);
    let answers = at_once(logins.iter().map(call).collect());
    server.slow_disk("sync=0,item=0");
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    let granted = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(refused > 0 && granted > 0, "{granted} granted, {refused} refused");
    assert_eq!(refused + granted, answers.len());
    for (login, answer) in logins.iter().zip(&answers) {
        if answer.status == 503 {
            assert_eq!(answer.json()["executed"], false);
            assert_eq!(answer.json()["gate"], "write");
            while call(login).send().status == 503 {}
        }
        // Spent by now, by the first login or by the second.
        call(login).send().refuses(400, "invalid role or secret ID");
    }
    let leases = server.list("sys/leases/lookup/auth/approle/login").is(200).json();
    assert_eq!(leases["data"]["keys"].as_array().unwrap().len(), logins.len());
}

#[test]
fn clients_that_go_away_give_their_places_back() {
    let server = Running::dev_with(|options| {
        options.slow_disk = Some("sync=20ms,item=0".parse().unwrap());
    });
    let held = || {
        let text = String::from_utf8(server.get("sys/metrics?format=prometheus").body).unwrap();
        let held = text.lines().filter_map(|line| {
            let (name, value) = line.split_once("{gate=\"write\"} ")?;
            let is_place = name.ends_with("_reserved") || name.ends_with("_waiting");
            is_place.then(|| value.parse::<f64>().unwrap())
        });
        held.sum::<f64>()
    };
    for i in 0..200 {
        let mut socket = connect(server.address);
        let body = "{\"data\":{}}";
        // Some leave in the middle of their body, the others before the answer.
        let sent = if i % 4 == 0 { &body[..5] } else { body };
        let request = format!(
            "POST /v1/secret/data/{i} HTTP/1.1\r\nhost: x\r\nx-vault-token: {ROOT}\r\n\
             content-length: {}\r\n\r\n{sent}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
    }
    eventually("every place is given back", || (held() == 0.0).then_some(()));
    server.post("secret/data/a", &json!({ "data": {} })).is(200);
}

#[test]
fn with_the_protection_off_nobody_is_refused() {
    let server = Running::dev_with(|options| {
        options.config.protection.mode = Mode::Off;
        options.slow_disk = Some("sync=10ms,item=10ms".parse().unwrap());
    });
    let call = |i| {
        let path = format!("secret/data/{i}");
        server.call("POST", &path).token(ROOT).json(&json!({ "data": {} }))
    };
    let answers = at_once((0..64).map(call).collect());
    server.slow_disk("sync=0,item=0");
    assert!(answers.iter().all(|answer| answer.status == 200));
}
