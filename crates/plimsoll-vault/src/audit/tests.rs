#![allow(clippy::unwrap_used)]

use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::*;
use crate::error::VaultError;

fn file_device(path: &Path) -> DeviceEntry {
    let options = [("file_path".to_owned(), path.display().to_string())].into();
    DeviceEntry::new("file".to_owned(), String::new(), options, false).unwrap()
}

fn devices(paths: &[&Path]) -> Devices {
    let mut devices = Devices::default();
    for (number, path) in paths.iter().enumerate() {
        devices.enable(&format!("{number}/"), file_device(path)).unwrap();
    }
    devices
}

async fn record(broker: &Broker, data: Value) -> Result<(), VaultError> {
    let data = Map::from_iter([("data".to_owned(), data)]);
    let record = Record {
        id: "id",
        operation: "update",
        path: "secret/a",
        data: &data,
        remote: Ipv4Addr::LOCALHOST.into(),
        token: None,
        auth: None,
        mount_point: "secret/",
        mount_type: "kv",
        mount_accessor: "kv_1",
    };
    broker.request(&record, "1970-01-01T00:00:00Z", None).await
}

/// A pipe that is open, and that nobody reads.
fn hanging(folder: &Path) -> (std::path::PathBuf, File) {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (path, pipe)
}

/// More than fits into a pipe, and kept readable: numbers are not hashed.
fn big() -> Value {
    vec![json!(1_000_000); 100_000].into()
}

#[tokio::test]
async fn a_device_that_hangs_fails_requests_and_freezes_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _pipe) = hanging(folder.path());
    let broker = Broker::new(Duration::from_millis(20));
    broker.reconcile(&devices(&[&path]));
    for _ in 0..3 {
        assert_eq!(record(&broker, big()).await.unwrap_err().status(), 500);
    }
}

#[tokio::test]
async fn a_device_that_hangs_beside_a_good_one_is_no_reason_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _pipe) = hanging(folder.path());
    let file = folder.path().join("file");
    // Nobody waits that long.
    let broker = Broker::new(Duration::from_secs(3600));
    broker.reconcile(&devices(&[&path, &file]));
    for _ in 0..3 {
        record(&broker, big()).await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_replaced_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (file, moved) = (folder.path().join("file"), folder.path().join("moved"));
    let broker = Broker::default();
    broker.reconcile(&devices(&[&file]));
    record(&broker, json!(1)).await.unwrap();
    std::fs::rename(&file, &moved).unwrap();
    broker.reopen();
    record(&broker, json!(2)).await.unwrap();
    assert!(std::fs::read_to_string(moved).unwrap().contains("\"data\":1"));
    assert!(std::fs::read_to_string(file).unwrap().contains("\"data\":2"));
}

#[tokio::test]
async fn strings_are_hashed_however_deep_they_are_and_keys_stay_readable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let broker = Broker::default();
    broker.reconcile(&devices(&[&file]));
    let mut deep = json!("well-known");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    record(&broker, json!({ "a": ["well-known", { "b": "well-known" }], "c": deep, "n": 7 }))
        .await
        .unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("well-known"));
    let entry: Value = serde_json::from_str(&text).unwrap();
    let data = &entry["request"]["data"]["data"];
    assert_eq!(data["n"], 7);
    assert_eq!(data["a"][1]["b"], json!(broker.hash("0/", "well-known").unwrap()));
}

#[test]
fn devices_have_a_number_and_do_not_nest() {
    let mut devices = Devices::default();
    let device = || file_device(Path::new("discard"));
    devices.enable("a/", device()).unwrap();
    assert_eq!(devices.enable("a/b/", device()).unwrap_err().status(), 400);
    for number in 1..16 {
        devices.enable(&format!("{number}/"), device()).unwrap();
    }
    assert_eq!(devices.enable("b/", device()).unwrap_err().status(), 400);
}
