//! Backups as an operator makes them: from a running server, into a fresh directory.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use crate::common::{Dev, printed, refusal};

fn digest(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("digest ")).unwrap()
}

#[test]
fn a_backup_is_saved_verified_restored_elsewhere_and_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (file, again, data) = (at("backup"), at("again"), at("elsewhere/data"));
    let server = Dev::start(&dir.path().join("data"));
    let snapshot = |rest: &[&str]| {
        let mut arguments = vec!["operator", "snapshot"];
        arguments.extend_from_slice(rest);
        arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>()
    };
    let call = |rest: &[&str]| {
        let arguments = snapshot(rest);
        printed(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let fail = |rest: &[&str]| {
        let arguments = snapshot(rest);
        refusal(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let saved = call(&["save", &file, "--address", &server.1, "--token", "root"]);
    assert_eq!(digest(&call(&["verify", &file])), digest(&saved));
    let denied = fail(&["save", &again, "--address", &server.1, "--token", "wrong"]);
    assert!(denied.contains("permission denied"), "{denied}");
    assert!(!Path::new(&again).exists());

    let restored = call(&["restore", &file, "--data-dir", &data]);
    assert_eq!(digest(&restored), digest(&saved));
    let twice = fail(&["restore", &file, "--data-dir", &data]);
    assert!(twice.contains("holds data already"), "{twice}");

    let bytes = fs::read(&file).unwrap();
    fs::write(&again, &bytes[..bytes.len() / 2]).unwrap();
    let cut = fail(&["restore", &again, "--data-dir", &at("new")]);
    assert!(cut.contains("cut short"), "{cut}");
    assert!(!dir.path().join("new").exists());
    call(&["restore", &file, "--address", &server.1, "--token", "root"]);
}
