//! The binary as an operator meets it: it runs, or says in one line why not.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tempfile::TempDir;

/// Fails a test that hangs; no test waits for it to pass.
const NEVER: Duration = Duration::from_secs(30);

fn plimsoll(arguments: &[&str]) -> Command {
    command("server", arguments)
}

fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg(name).args(arguments).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a server that does not start says. Nothing goes to standard output.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let output = plimsoll(arguments).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.status.code().is_some(), "{arguments:?}: ended by a signal");
    assert!(output.stdout.is_empty(), "{:?}", String::from_utf8_lossy(&output.stdout));
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[track_caller]
fn refuses_in_one_line(arguments: &[&str], parts: &[&str]) {
    let error = refusal(arguments);
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} not in {error:?}");
    }
    let clauses: Vec<_> = error.trim_end().split(": ").collect();
    let twice = |clause| clauses.iter().filter(|other| *other == clause).count() > 1;
    assert!(!clauses.iter().any(twice), "said twice: {error:?}");
}

/// A process that serves, ended when it is dropped.
struct Serving {
    child: Child,
    address: String,
    /// What it says on standard error.
    errors: Receiver<String>,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        Self::of(plimsoll(arguments))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .find_map(|line| line.unwrap().strip_prefix("listening on http://").map(str::to_owned));
        let address = address.expect("it starts");
        // Whoever prints must not be stopped by a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        let (sender, errors) = mpsc::channel();
        std::thread::spawn(move || {
            said.map_while(Result::ok).for_each(|line| drop(sender.send(line)))
        });
        Self { child, address, errors }
    }

    fn dev(dir: &Path) -> Self {
        let dir = dir.to_str().unwrap();
        let token = ["--dev", "--dev-root-token", "root"];
        Self::start(&[&token[..], &["--listen", "127.0.0.1:0", "--data-dir", dir]].concat())
    }

    /// The next line of its log with this in it.
    fn says(&self, text: &str) -> String {
        let lines = std::iter::from_fn(|| self.errors.recv_timeout(NEVER).ok());
        lines.into_iter().find(|line| line.contains(text)).unwrap()
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(NEVER)).unwrap();
        write!(
            socket,
            "{method} /v1/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             x-vault-token: root\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    fn end(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a configuration whose data directory lies in it.
fn configuration(more: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("server.hcl");
    let text = format!("storage \"plimsoll\" {{ path = {data:?} }}\n{more}\n");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (dir, file)
}

#[test]
fn it_serves_until_it_is_told_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::dev(dir.path());
    assert!(server.request("GET", "sys/health", "").starts_with("HTTP/1.1 200"));
    let written = server.request("POST", "secret/data/a", "{\"data\":{\"k\":\"v\"}}");
    assert!(written.starts_with("HTTP/1.1 200"), "{written}");
    assert!(server.end().success());
}

#[test]
fn a_proxy_that_is_told_twice_to_end_cuts_what_it_has_not_finished() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    let more = ["--upstream-kind", "http", "--listen", "127.0.0.1:0"];
    let mut proxy = Serving::of(command("proxy", &[&["--upstream", &url][..], &more].concat()));
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    write!(client, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // It is at the upstream, which says nothing.
    let _silent = upstream.accept().unwrap();
    proxy.signal("TERM");
    proxy.says("finishing what was accepted");
    proxy.signal("TERM");
    proxy.says("cut what was not finished");
    assert!(proxy.child.wait().unwrap().success());
}

#[test]
fn a_bad_configuration_is_one_line_and_touches_no_directory() {
    let plain = "listener \"tcp\" {\n address = \"127.0.0.1:0\"\n tls_disable = true\n";
    let with = |more: &str| format!("{plain}{more}\n}}");
    for (more, parts) in [
        ("colour = \"red\"".to_owned(), ["server.hcl", "colour"]),
        (with("colour = 1"), ["server.hcl", "colour"]),
        (with("max_request_size = \"1 parsec\""), ["server.hcl", "parsec"]),
        (with("max_request_size = -1"), ["server.hcl", "-1"]),
        ("adaptive_overload_protection { gain = 1 }".to_owned(), ["server.hcl", "gain"]),
        (
            "listener \"tcp\" {\n address = \"127.0.0.1:0\"\n tls_cert_file = \"/nowhere.pem\"\n \
             tls_key_file = \"/nowhere.key\"\n}"
                .to_owned(),
            ["/nowhere.", "cannot read"],
        ),
    ] {
        let (dir, file) = configuration(&more);
        refuses_in_one_line(&["--config", &file], &parts);
        assert!(!dir.path().join("data").exists(), "{more}");
    }
    refuses_in_one_line(&["--config", "/nowhere/server.hcl"], &["/nowhere/server.hcl"]);
}

#[test]
fn a_port_in_use_is_one_line_and_touches_no_directory() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data_dir = data.to_str().unwrap();
    let listen = ["--dev", "--data-dir", data_dir, "--listen", &address];
    refuses_in_one_line(&listen, &["in use", &address]);
    let health = ["--listen", "127.0.0.1:0", "--health-listen", &address];
    refuses_in_one_line(&[&listen[..3], &health].concat(), &["in use", &address]);
    assert!(!data.exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    // Nobody may make a directory there, whoever runs this.
    for data in [file.to_str().unwrap(), "/proc/plimsoll"] {
        let arguments = ["--dev", "--listen", "127.0.0.1:0", "--data-dir", data];
        refuses_in_one_line(&arguments, &[data]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_second_process_on_a_directory_is_one_line_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let first = Serving::dev(dir.path());
    let path = dir.path().to_str().unwrap();
    let arguments = ["--dev", "--listen", "127.0.0.1:0", "--data-dir", path];
    refuses_in_one_line(&arguments, &["in use by another process", path]);
    assert!(first.request("GET", "sys/mounts", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_directory_of_another_version_is_one_line_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let format = dir.path().join("format");
    fs::write(&format, "plimsoll-store 9999 0000000000000000\n").unwrap();
    let path = dir.path().to_str().unwrap();
    let arguments = ["--dev", "--listen", "127.0.0.1:0", "--data-dir", path];
    refuses_in_one_line(&arguments, &[path, "99"]);
    assert_eq!(fs::read_to_string(&format).unwrap(), "plimsoll-store 9999 0000000000000000\n");
}

#[test]
fn a_used_directory_is_not_taken_over_by_dev_mode() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Serving::dev(dir.path()).end().success());
    let path = dir.path().to_str().unwrap();
    let arguments = ["--dev", "--listen", "127.0.0.1:0", "--data-dir", path];
    refuses_in_one_line(&arguments, &["already initialized"]);
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for arguments in [
        [].as_slice(),
        &["--dev", "--config", "x"],
        &["--dev", "--listen", "nowhere"],
        &["--dev", "--listen", "127.0.0.1:99999"],
        &["--dev", "--protection", "maybe"],
        &["--dev", "--dev-slow-disk", "sync=ten"],
        &["--config", "x", "--dev-root-token", "t"],
        &["--dev", "--colour"],
    ] {
        refusal(arguments);
    }
}

const LISTENER: &str = "listener \"tcp\" {\n address = \"127.0.0.1:0\"\n tls_disable = true\n}\n";

#[test]
fn a_hangup_takes_over_the_mode_of_the_configuration() {
    let (_dir, file) = configuration(LISTENER);
    let server = Serving::start(&["--config", &file]);
    let before = fs::read_to_string(&file).unwrap();
    for mode in ["off", "monitor", "enforce"] {
        let block = format!("adaptive_overload_protection {{\n mode = \"{mode}\"\n}}\n");
        fs::write(&file, format!("{before}{block}")).unwrap();
        server.signal("HUP");
        assert!(server.says("configuration reloaded").contains(mode));
    }
    assert!(server.end().success());
}

#[test]
fn a_hangup_takes_over_the_window_of_the_configuration() {
    let (_dir, file) = configuration(LISTENER);
    let server = Serving::start(&["--config", &file]);
    let before = fs::read_to_string(&file).unwrap();
    let window = "maintenance {\n reason = \"new disks\"\n}\n";
    for (block, closed) in [(window, true), ("", false)] {
        fs::write(&file, format!("{before}{block}")).unwrap();
        server.signal("HUP");
        server.says("configuration reloaded");
        let answer = server.request("GET", "sys/mounts", "");
        assert_eq!(answer.contains("new disks"), closed, "{answer}");
    }
    assert!(server.end().success());
}

#[test]
fn a_hangup_lets_go_of_an_audit_file_that_was_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::dev(&dir.path().join("data"));
    let (file, moved) = (dir.path().join("audit"), dir.path().join("audit.1"));
    let device = format!(r#"{{"type":"file","options":{{"file_path":{file:?}}}}}"#);
    assert!(server.request("PUT", "sys/audit/file", &device).starts_with("HTTP/1.1 204"));
    fs::rename(&file, &moved).unwrap();
    server.signal("HUP");
    // The signal arrives when it does.
    while !file.exists() {
        assert!(server.request("GET", "sys/mounts", "").starts_with("HTTP/1.1 200"));
    }
    assert!(server.end().success());
}

#[test]
fn a_hangup_with_a_bad_configuration_changes_nothing() {
    let (_dir, file) = configuration(LISTENER);
    let server = Serving::start(&["--config", &file]);
    fs::write(&file, "colour = 1").unwrap();
    server.signal("HUP");
    assert!(server.says("configuration not reloaded").contains("colour"));
    assert!(server.request("GET", "sys/health", "").starts_with("HTTP/1.1 501"));
    assert!(server.end().success());
}
