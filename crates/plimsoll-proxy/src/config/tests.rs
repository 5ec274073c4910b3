use super::*;
use crate::upstream::UpstreamKind;

const MINIMAL: &str = "upstream {\n  address = \"http://127.0.0.1:8200\"\n}\n";

fn config(text: &str) -> Config {
    file::parse(&format!("{MINIMAL}{text}"), None).expect("valid")
}

fn refused(text: &str) -> String {
    let error = file::parse(text, None).expect_err("refused");
    assert!(!error.contains('\n'), "{error:?}");
    error
}

#[test]
fn nothing_is_needed_but_an_upstream() {
    let config = config("");
    assert_eq!(config.upstream.url.to_string(), "http://127.0.0.1:8200");
    assert_eq!(config.upstream.kind.0, None);
    assert_eq!(config.protection, Mode::Enforce);
    assert_eq!(config.listeners[0].address, DEFAULT_ADDRESS);
    assert!(refused("").contains("upstream"));
    let url = "https://bao:8200".parse().expect("a URL");
    let named = file::parse("", Some(&url)).expect("the command line names it");
    assert_eq!(named.upstream.url, url);
}

#[test]
fn everything_can_be_said() {
    let text = r#"
upstream {
  address         = "https://bao.internal:8200"
  kind            = "vault"
  host            = "bao.internal"
  tls_ca_file     = "/etc/ca.pem"
  tls_cert_file   = "/etc/client.pem"
  tls_key_file    = "/etc/client.key"
  tls_server_name = "bao"
  connect_timeout = "2s"
  timeout         = "1m 30s"
}
listener "tcp" {
  address       = "0.0.0.0:8100"
  tls_cert_file = "/etc/tls.crt"
  tls_key_file  = "/etc/tls.key"
}
listener "tcp" {
  address           = "127.0.0.1:8101"
  tls_disable       = true
  http_read_timeout = "5s"
}
health_listen   = "127.0.0.1:8102"
trusted_proxies = ["10.0.0.0/8"]
flow_header     = "X-Team"
status_page     = "https://status.example"
adaptive_overload_protection {
  mode = "monitor"
}
rule "creds" {
  path_prefix = "/v1/database/creds/"
  gate        = "writes"
}
rule "export" {
  path    = "/v1/export"
  methods = ["GET", "list"]
  class   = "low"
}
"#;
    let config = file::parse(text, None).expect("valid");
    assert_eq!(config.upstream.kind.0, Some(UpstreamKind::Vault));
    assert_eq!(config.upstream.answer_time_max.as_secs(), 90);
    assert!(config.upstream.tls.identity.is_some());
    let times: Vec<_> = config.listeners.iter().map(|l| l.body_time_max.as_secs()).collect();
    assert_eq!(times, [30, 5]);
    assert_eq!(config.protection, Mode::Monitor);
    assert!(config.forwarding.is_proxy("10.1.2.3".parse().expect("valid")));
    let gates: Vec<_> = config.rules.iter().map(|rule| rule.gate.as_deref()).collect();
    assert_eq!(gates, [Some("upstream.writes"), Some("upstream.export")]);
    assert_eq!(config.rules[1].methods[1].as_str(), "LIST");
}

#[test]
fn what_makes_no_sense_is_named() {
    for (text, named) in [
        ("colour = \"red\"\n", "colour"),
        ("listener \"unix\" {\n}\n", "unix"),
        ("listener \"tcp\" {\n  address = \"127.0.0.1:1\"\n}\n", "tls_cert_file"),
        ("rule \"a\" {\n}\n", "path"),
        ("rule \"a\" {\n  path = \"/\"\n  path_prefix = \"/\"\n}\n", "path"),
        ("rule \"a\" {\n  path = \"/\"\n  class = \"vip\"\n}\n", "class"),
        ("rule \"a\" {\n  path_prefix = \"v1/\"\n}\n", "v1/"),
        ("rule \"a b\" {\n  path = \"/\"\n}\n", "a b"),
        ("rule \"a\" {\n  path = \"/\"\n  methods = [\"G T\"]\n}\n", "methods"),
        (
            "listener \"tcp\" {\n  tls_cert_file = \"c\"\n  tls_key_file = \"k\"\n  \
             tls_require_and_verify_client_cert = true\n}\n",
            "tls_client_ca_file",
        ),
        ("trusted_proxies = [\"proxy\"]\n", "proxy"),
        ("flow_header = \"a b\"\n", "flow_header"),
        ("adaptive_overload_protection {\n  mode = \"on\"\n}\n", "on"),
    ] {
        let error = refused(&format!("{MINIMAL}{text}"));
        assert!(error.contains(named), "{error:?} should name {named:?}");
    }
    for upstream in [
        "address = \"127.0.0.1:8200\"",
        "address = \"http://a/base\"",
        "address = \"ftp://a\"",
        "address = \"http://a:82000\"",
        "address = \"http://a:\"",
        "address = \"http://a:0\"",
        "address = \"http://user@a\"",
        "address = \"http://a\"\n  host = \"a b\"",
        "address = \"http://a\"\n  tls_ca_file = \"ca.pem\"",
        "address = \"http://a\"\n  kind = \"consul\"",
        "address = \"http://a\"\n  timeout = \"soon\"",
        "address = \"http://a\"\n  timeout = \"0s\"",
        "address = \"http://a\"\n  tls_cert_file = \"x\"",
    ] {
        assert!(refused(&format!("upstream {{\n  {upstream}\n}}\n")).contains("upstream"));
    }
}

#[test]
fn what_is_documented_and_deployed_is_valid() {
    let page = include_str!("../../../../docs/proxy.md");
    let (_, example) = page.split_once("```hcl\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let config = file::parse(example, None).expect("valid");
    assert_eq!(config.rules.len(), 2);
    file::parse(include_str!("../../../../deploy/proxy.hcl"), None).expect("valid");
}
