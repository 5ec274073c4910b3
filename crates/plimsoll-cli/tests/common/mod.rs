//! The command as an operator runs it, and a server beside it.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

pub(crate) fn plimsoll(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("VAULT_ADDR");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    plimsoll(arguments).output().unwrap()
}

/// What it printed; fails if it did not end well.
#[track_caller]
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that it failed with.
#[track_caller]
pub(crate) fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// Killed when it is dropped: what is on disk is what counts.
pub(crate) struct Dev(Child, pub(crate) String);

impl Dev {
    pub(crate) fn start(dir: &Path) -> Self {
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
