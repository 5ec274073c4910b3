//! What does not start says why in one line and changes nothing.

use std::fs;
use std::path::Path;

use plimsoll_listener::TlsConfig;
use plimsoll_server::config::{Config, StaticSeal};

use crate::support::{Running, dev_options, eventually, plain_options, refused_start};

/// Names and sizes of everything in a directory.
/// What a segment of the log has when it is ready.
const SEGMENT_BYTES: u64 = 64 << 20;

fn contents(dir: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut contents: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .collect();
    contents.sort();
    contents
}

#[track_caller]
fn says(error: &plimsoll_server::ServerError, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} not in {text:?}");
    }
}

#[test]
fn a_port_in_use_touches_no_directory() {
    let running = Running::dev();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut options = dev_options(data.clone());
    options.config.listeners[0].address = running.address;
    says(&refused_start(&options), &["in use", &running.address.to_string()]);
    let mut options = dev_options(data.clone());
    options.config.health_listen = Some(running.address);
    says(&refused_start(&options), &["in use", &running.address.to_string()]);
    assert!(!data.exists());
}

#[test]
fn a_second_server_on_a_directory_is_refused_and_the_first_goes_on() {
    let running = Running::dev();
    // The first goes on preparing its next segment: what is there must stand still.
    let before = eventually("the next segment of the log", || {
        let contents = contents(running.dir.path());
        let ready = contents.iter().filter(|(_, bytes)| *bytes == SEGMENT_BYTES).count();
        (ready == 2).then_some(contents)
    });
    for options in [dev_options, plain_options] {
        let error = refused_start(&options(running.dir.path().to_owned()));
        says(&error, &["in use by another process", &running.dir.path().display().to_string()]);
    }
    assert_eq!(contents(running.dir.path()), before);
    running.get("sys/mounts").is(200);
}

#[test]
fn a_directory_that_is_a_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "mine").unwrap();
    for data in [file.clone(), file.join("below")] {
        says(&refused_start(&dev_options(data.clone())), &[&data.display().to_string()]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_directory_of_another_version_is_left_alone() {
    let running = Running::dev();
    let dir = running.stop();
    let format = dir.path().join("format");
    fs::write(&format, "plimsoll-store 9999 0000000000000000\n").unwrap();
    let before = contents(dir.path());
    let error = refused_start(&plain_options(dir.path().to_owned()));
    says(&error, &["format", "plimsoll-store 9999"]);
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("format"), "vault\n").unwrap();
    let error = refused_start(&plain_options(dir.path().to_owned()));
    says(&error, &["format", "vault"]);
    assert_eq!(fs::read_to_string(dir.path().join("format")).unwrap(), "vault\n");
}

#[test]
fn an_unreadable_certificate_is_named_and_touches_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (missing, garbage) = (dir.path().join("missing.pem"), dir.path().join("garbage.pem"));
    fs::write(&garbage, "not a certificate").unwrap();
    for certificate in [missing, garbage] {
        let mut options = dev_options(data.clone());
        options.config.listeners[0].tls = Some(TlsConfig::new(&certificate, &certificate));
        says(&refused_start(&options), &[&certificate.display().to_string()]);
    }
    assert!(!data.exists());
}

#[test]
fn a_static_key_that_is_none_touches_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    for key in ["", "short", "file:///nowhere/at/all", &"00".repeat(31)] {
        let mut options = plain_options(data.clone());
        options.config.static_seal =
            Some(StaticSeal { key_id: "k".to_owned(), key: key.to_owned() });
        says(&refused_start(&options), &["seal"]);
    }
    assert!(!data.exists());
}

#[test]
fn the_wrong_static_key_is_refused_and_changes_nothing() {
    let with_key = |key: &str, id: &str| {
        let (id, key) = (id.to_owned(), key.to_owned());
        move |dir: std::path::PathBuf| {
            let mut options = plain_options(dir);
            options.config.static_seal = Some(StaticSeal { key_id: id, key });
            options
        }
    };
    let (right, wrong) = ("ab".repeat(32), "cd".repeat(32));
    let dir = tempfile::tempdir().unwrap();
    let server = Running::in_dir(dir, with_key(&right, "one"));
    let body = serde_json::json!({ "recovery_shares": 1, "recovery_threshold": 1 });
    let root = server.post("sys/init", &body).is(200).text("/root_token");
    let dir = server.stop();
    for options in [
        with_key(&wrong, "one")(dir.path().to_owned()),
        with_key(&right, "two")(dir.path().to_owned()),
    ] {
        let error = refused_start(&options);
        says(&error, &[]);
        assert!(!error.to_string().contains(&wrong) && !error.to_string().contains(&right));
    }
    let server = Running::in_dir(dir, with_key(&right, "one"));
    server.call("GET", "sys/mounts").token(&root).send().is(200);
}

#[test]
fn what_nobody_knows_in_a_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.hcl");
    let good = "storage \"raft\" { path = \"data\" }\n";
    for (more, parts) in [
        ("colour = \"red\"", ["colour"].as_slice()),
        ("listener \"tcp\" {\n tls_disable = true\n colour = 1\n}", &["listener", "colour"]),
        ("listener \"unix\" {}", &["listener", "unix"]),
        ("listener \"tcp\" { tls_disable = \"maybe\" }", &["listener", "maybe"]),
        (
            "listener \"tcp\" {\n tls_disable = 1\n address = \"nowhere\"\n}",
            &["address", "nowhere"],
        ),
        ("listener \"tcp\" {\n tls_disable = 1\n max_request_size = \"1 parsec\"\n}", &["parsec"]),
        ("listener \"tcp\" {}", &["tls_cert_file"]),
        ("default_lease_ttl = \"soon\"", &["soon"]),
        ("seal \"awskms\" {}", &["awskms"]),
        ("seal \"static\" {}", &["static", "current_key"]),
        ("adaptive_overload_protection { mode = \"maybe\" }", &["maybe"]),
        ("adaptive_overload_protection { gain = 1 }", &["gain"]),
        ("storage \"raft\" { path = \"twice\" }", &["storage"]),
        ("cluster_name = [", &[]),
        ("}{", &[]),
        ("health_listen = 8201", &[]),
    ] {
        fs::write(&file, format!("{good}{more}\n")).unwrap();
        let error = plimsoll_server::ServerError::from(Config::load(&file).expect_err(more));
        says(&error, parts);
        says(&error, &["server.hcl"]);
    }
    fs::write(&file, good).unwrap();
    Config::load(&file).unwrap();
    for text in ["", "[]", "{", "{\"storage\": 1}", "{\"storage\": {\"raft\": 1}}", "\u{0}"] {
        fs::write(&file, text).unwrap();
        let error = Config::load(&file).expect_err(text);
        says(&error.into(), &["server.hcl"]);
    }
    fs::write(&file, b"\xff\xfe").unwrap();
    says(&Config::load(&file).unwrap_err().into(), &["server.hcl"]);
    says(&Config::load(dir.path()).unwrap_err().into(), &[]);
    says(&Config::load(&dir.path().join("missing.hcl")).unwrap_err().into(), &["missing.hcl"]);
}
