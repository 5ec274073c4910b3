use plimsoll::{Gate, Mode};

use super::*;

const VAULTS: &str = r#"
# A file as Vault's own documentation shows it.
storage "raft" {
  path    = "/opt/vault/data"
  node_id = "node1"
}

listener "tcp" {
  address         = "127.0.0.1:8200"
  cluster_address = "127.0.0.1:8201"
  tls_disable     = "true"
  telemetry {
    unauthenticated_metrics_access = true
  }
}

listener "tcp" {
  address     = "127.0.0.1:8300"
  tls_disable = 1
}

api_addr      = "http://127.0.0.1:8200"
cluster_addr  = "https://127.0.0.1:8201"
ui            = true
disable_mlock = true
max_lease_ttl = "48h"
default_lease_ttl = "1h"

telemetry {
  prometheus_retention_time = "24h"
  disable_hostname          = true
}

adaptive_overload_protection {
  disable_write_controller = false
}
"#;

const MINIMAL: &str = "storage \"plimsoll\" {\n  path = \"data\"\n}\n";

fn refused(text: &str) -> String {
    let error = Config::parse(text).expect_err("refused");
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

#[test]
fn vaults_own_file_works() {
    let config = Config::parse(VAULTS).expect("valid");
    assert_eq!(config.data_dir, PathBuf::from("/opt/vault/data"));
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[0].address.port(), 8200);
    assert!(config.listeners[0].unauthenticated_metrics);
    assert!(!config.listeners[1].unauthenticated_metrics);
    assert_eq!(config.protection, Protection::default());
    assert_eq!(config.max_lease_ttl, Duration::from_secs(48 * 3600));
}

#[test]
fn the_same_in_json() {
    let config = Config::parse(
        r#"{"storage": {"file": {"path": "data"}},
            "listener": [{"tcp": {"address": "127.0.0.1:1", "tls_disable": true}}],
            "adaptive_overload_protection": {"mode": "monitor"}}"#,
    )
    .expect("valid");
    assert_eq!(config.listeners[0].address.port(), 1);
    assert_eq!(config.protection.of(Gate::Write), Mode::Monitor);
}

#[test]
fn a_gate_may_have_a_mode_of_its_own_but_does_no_more_than_all() {
    let modes = |text: &str| {
        let text = format!("{MINIMAL}adaptive_overload_protection {{\n{text}\n}}\n");
        let protection = Config::parse(&text).expect("valid").protection;
        [Gate::Write, Gate::Cpu, Gate::Connections].map(|gate| protection.of(gate))
    };
    let (off, monitor, enforce) = (Mode::Off, Mode::Monitor, Mode::Enforce);
    let gates = "gates = { cpu = \"enforce\", connections = \"off\" }";
    assert_eq!(modes(gates), [enforce, enforce, off]);
    assert_eq!(modes(&format!("mode = \"monitor\"\n{gates}")), [monitor, monitor, off]);
    assert_eq!(modes("gates {\nwrite = \"monitor\"\n}"), [monitor, enforce, enforce]);
}

#[test]
fn vaults_switch_turns_the_protection_off() {
    let text = format!(
        "{MINIMAL}adaptive_overload_protection {{\n  disable_write_controller = true\n}}\n"
    );
    assert_eq!(Config::parse(&text).expect("valid").protection.mode, Mode::Off);
}

#[test]
fn a_window_may_stand_in_the_file_even_when_it_is_over() {
    let window = |end: &str| {
        let text = format!(
            "{MINIMAL}maintenance {{\n  mode = \"writes\"\n  begin = \"2026-01-01T00:00:00Z\"\n  \
             end = \"{end}\"\n}}\n"
        );
        let window = Config::parse(&text).expect("valid").maintenance.expect("a window");
        window.record.plan().expect("valid")
    };
    assert!(window("2026-01-01T01:00:00Z").end < window("2026-12-01T00:00:00Z").end);
}

#[test]
fn what_nobody_knows_is_named() {
    for (text, named) in [
        ("colour = \"red\"\n", "colour"),
        ("listener \"tcp\" {\n  tls_disable = true\n  colour = 1\n}\n", "colour"),
        ("listener \"unix\" {\n}\n", "unix"),
        ("listener \"tcp\" {\n  address = \"nowhere\"\n  tls_disable = true\n}\n", "nowhere"),
        ("listener \"tcp\" {\n  address = \"127.0.0.1:1\"\n}\n", "tls_cert_file"),
        ("listener \"tcp\" {\n  tls_disable = true\n  max_request_size = \"big\"\n}\n", "big"),
        (
            "listener \"tcp\" {\n  tls_cert_file = \"c\"\n  tls_key_file = \"k\"\n  \
             tls_require_and_verify_client_cert = true\n}\n",
            "tls_client_ca_file",
        ),
        ("adaptive_overload_protection {\n  mode = \"on\"\n}\n", "on"),
        ("adaptive_overload_protection {\n  gain = 1\n}\n", "gain"),
        ("adaptive_overload_protection {\n  gates = { door = \"off\" }\n}\n", "connections"),
        ("max_lease_ttl = \"soon\"\n", "soon"),
        (
            "listener \"tcp\" {\n  tls_disable = true\n  \
             x_forwarded_for_authorized_addrs = [\"10.0.0.0/8\", \"proxy\"]\n}\n",
            "proxy",
        ),
        ("listener \"tcp\" {\n  tls_disable = true\n  x_forwarded_for_hop_skips = -1\n}\n", "-1"),
        ("maintenance {\n  mode = \"off\"\n}\n", "mode must be"),
        (
            "maintenance {\n  begin = \"2026-01-02T00:00:00Z\"\n  end = \"2026-01-01T00:00:00Z\"\n}\n",
            "ends",
        ),
        ("maintenance {\n  colour = \"red\"\n}\n", "colour"),
        ("seal \"awskms\" {\n}\n", "awskms"),
        ("default_lease_ttl = \"2h\"\nmax_lease_ttl = \"1h\"\n", "default_lease_ttl"),
    ] {
        let error = refused(&format!("{MINIMAL}{text}"));
        assert!(error.contains(named), "{error:?} should name {named:?}");
    }
}

#[test]
fn storage_is_needed_once_and_must_be_ours() {
    assert!(refused("").contains("storage"));
    assert!(refused(&MINIMAL.repeat(2)).contains("storage"));
    assert!(refused("storage \"consul\" {\n  path = \"x\"\n}\n").contains("consul"));
    assert!(refused("storage \"raft\" {\n}\n").contains("path"));
}

#[test]
fn neither_hcl_nor_json_is_one_line() {
    refused("storage \"raft\" {");
    refused("{\"storage\": }");
    refused("[]");
}
