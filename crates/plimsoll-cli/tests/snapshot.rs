//! Backups as an operator makes them: from a running server, into a fresh directory.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("VAULT_ADDR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    plimsoll(arguments).output().unwrap()
}

/// What it printed; fails if it did not end well.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that it failed with.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// Killed when it is dropped: what is on disk is what counts.
struct Dev(Child, String);

impl Dev {
    fn start(dir: &Path) -> Self {
        let dir = dir.to_str().unwrap();
        let arguments = ["server", "--dev", "--listen", "127.0.0.1:0", "--data-dir", dir];
        let mut command = plimsoll(&arguments);
        command.args(["--dev-root-token", "root"]);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .find_map(|line| line.unwrap().strip_prefix("listening on ").map(str::to_owned));
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, address.expect("it starts"))
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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
