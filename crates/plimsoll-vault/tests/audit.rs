//! The audit log.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Server, data, refusal, server};
use plimsoll_vault::Operation;
use serde_json::{Value, json};

fn entries(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn audited() -> (Server, tempfile::TempDir, std::path::PathBuf) {
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let body = json!({ "type": "file", "options": { "file_path": file } });
    server.write("sys/audit/file", body).await.unwrap();
    (server, folder, file)
}

#[tokio::test]
async fn a_request_and_its_response_are_recorded_without_their_secrets() {
    let (server, _folder, file) = audited().await;
    let before = entries(&file).len();
    let body = json!({ "data": { "k": "a-secret-value" }, "options": { "cas": 0 } });
    server.write("secret/data/a", body).await.unwrap();
    server.read("secret/data/a").await.unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("a-secret-value") && !text.contains("\"root\",\"client_token\""));
    let entries = entries(&file).split_off(before);
    let kinds: Vec<_> = entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["request", "response", "request", "response"]);

    let request = &entries[0]["request"];
    assert_eq!(request["operation"], "update");
    assert_eq!(request["path"], "secret/data/a");
    assert_eq!(request["mount_type"], "kv");
    assert_eq!(request["remote_address"], "127.0.0.1");
    assert_eq!(request["data"]["options"]["cas"], 0);
    assert_eq!(entries[0]["auth"]["policies"], json!(["root"]));
    let hash = async |input: &str| {
        let response = server.write("sys/audit-hash/file", json!({ "input": input })).await;
        data(&response.unwrap())["hash"].clone()
    };
    assert_eq!(request["data"]["data"]["k"], hash("a-secret-value").await);
    assert_eq!(request["client_token"], hash("root").await);
    assert_eq!(entries[3]["response"]["data"]["data"]["k"], hash("a-secret-value").await);
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_reason() {
    let (server, _folder, file) = audited().await;
    let denied = server.ask(Operation::Read, "secret/data/a", Value::Null, "bad").await;
    assert_eq!(denied.unwrap_err().status(), 403);
    let last = entries(&file).pop().unwrap();
    assert_eq!(
        (last["type"].clone(), last["error"].clone()),
        (json!("response"), json!("permission denied"))
    );
}

#[tokio::test]
async fn a_login_is_recorded_with_the_hash_of_its_token() {
    let (server, _folder, file) = audited().await;
    server.write("sys/auth/userpass", json!({ "type": "userpass" })).await.unwrap();
    server.write("auth/userpass/users/u", json!({ "password": "p" })).await.unwrap();
    let body = json!({ "password": "p" });
    let login = server.ask(Operation::Write, "auth/userpass/login/u", body, "").await.unwrap();
    let token = login.auth.unwrap().client_token;
    let last = entries(&file).pop().unwrap();
    let hash = server.write("sys/audit-hash/file", json!({ "input": token })).await.unwrap();
    assert_eq!(last["response"]["auth"]["client_token"], data(&hash)["hash"]);
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&token));
}

#[tokio::test]
async fn a_device_that_cannot_write_fails_the_request_before_anything_is_written() {
    let server = server().await;
    let body = json!({ "type": "file", "options": { "file_path": "/dev/full" } });
    server.write("sys/audit/full", body).await.unwrap_err();
    // It is enabled: what failed was the record of the answer.
    let before = server.store.view().revision();
    let refused = server.write("secret/data/a", json!({ "data": {} })).await;
    assert_eq!(refusal(refused), (500, "internal error".to_owned()));
    assert_eq!(server.store.view().revision(), before);
}

#[tokio::test]
async fn one_device_that_writes_is_enough() {
    let (server, _folder, file) = audited().await;
    let body = json!({ "type": "file", "options": { "file_path": "/dev/full" } });
    server.write("sys/audit/full", body).await.unwrap();
    let before = entries(&file).len();
    server.write("secret/data/a", json!({ "data": {} })).await.unwrap();
    assert_eq!(entries(&file).len(), before + 2);
}

#[tokio::test]
async fn a_device_that_cannot_be_opened_is_not_enabled() {
    let server = server().await;
    for options in [json!({ "file_path": "/nonexistent/audit.log" }), json!({})] {
        let body = json!({ "type": "file", "options": options });
        assert_eq!(server.write("sys/audit/file", body).await.unwrap_err().status(), 400);
    }
    let body = json!({ "type": "socket", "options": {} });
    assert_eq!(server.write("sys/audit/socket", body).await.unwrap_err().status(), 400);
    assert_eq!(data(&server.read("sys/audit").await.unwrap()), json!({}));
}

#[tokio::test]
async fn a_disabled_device_writes_no_more_and_needs_sudo() {
    let (server, _folder, file) = audited().await;
    let listed = data(&server.read("sys/audit").await.unwrap());
    assert_eq!(listed["file/"]["type"], "file");
    let token = server.token(&["default"]).await;
    let denied = server.ask(Operation::Delete, "sys/audit/file", Value::Null, &token).await;
    assert_eq!(denied.unwrap_err().status(), 403);
    server.delete("sys/audit/file").await.unwrap();
    let before = entries(&file).len();
    server.read("sys/mounts").await.unwrap();
    assert_eq!(entries(&file).len(), before);
    let body = json!({ "input": "x" });
    let unknown = refusal(server.write("sys/audit-hash/file", body).await);
    assert_eq!(unknown, (400, "unknown audit backend \"file/\"".to_owned()));
}
