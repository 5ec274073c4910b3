//! From the file's text to a [`Config`].

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method};
use plimsoll::{Class, Mode};
use plimsoll_daemon::config::values::{address, boolean, list};
use plimsoll_daemon::config::{Block, syntax, take_labelled, take_single, typed};
use plimsoll_http::identity::Forwarding;
use plimsoll_listener::{ClientAuth, ClientTls, TlsConfig};
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;

use crate::config::{Config, DEFAULT_ADDRESS, ListenerOptions};
use crate::gates::GATES_MAX;
use crate::route::{LOGINS, Matcher, READS, Rule, WRITES};
use crate::upstream::{UpstreamOptions, UpstreamUrl};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopLevel {
    health_listen: Option<String>,
    #[serde(default, deserialize_with = "list")]
    trusted_proxies: Vec<String>,
    flow_header: Option<String>,
    status_page: Option<String>,
    log_level: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {
    address: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    tls_disable: bool,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    tls_client_ca_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "boolean")]
    tls_require_and_verify_client_cert: bool,
    http_read_timeout: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upstream {
    address: Option<String>,
    kind: Option<String>,
    host: Option<String>,
    tls_ca_file: Option<PathBuf>,
    tls_cert_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
    tls_server_name: Option<String>,
    connect_timeout: Option<String>,
    timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Protection {
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleBlock {
    path: Option<String>,
    path_prefix: Option<String>,
    #[serde(default, deserialize_with = "list")]
    methods: Vec<String>,
    gate: Option<String>,
    class: Option<String>,
}

pub(super) fn parse(text: &str, upstream_url: Option<&UpstreamUrl>) -> Result<Config, String> {
    let mut file = syntax(text)?;
    let listeners = take_labelled(&mut file, "listener")?;
    let rules = take_labelled(&mut file, "rule")?;
    let upstream = take_single(&mut file, "upstream")?;
    let protection = take_single(&mut file, "adaptive_overload_protection")?;
    let top: TopLevel = typed("", Value::Object(file))?;

    let upstream: Upstream =
        upstream.map(|block| typed("upstream", block)).transpose()?.unwrap_or_default();
    let url = match (upstream_url, &upstream.address) {
        (Some(url), _) => url.clone(),
        (None, Some(address)) => parsed("upstream: address", address)?,
        (None, None) => return Err("upstream: address is required".to_owned()),
    };
    let mut config = Config::new(url.clone());
    config.upstream = upstream_options(url, upstream)?;
    if !listeners.is_empty() {
        config.listeners = listeners.into_iter().map(listener).collect::<Result<_, _>>()?;
    }
    config.rules = rules.into_iter().map(rule).collect::<Result<_, _>>()?;
    let gates: HashSet<_> = config.rules.iter().filter_map(|rule| rule.gate.as_ref()).collect();
    if gates.len() > GATES_MAX {
        return Err(format!("rule: more than {GATES_MAX} gates"));
    }
    config.protection = mode(protection)?;
    config.health_listen =
        top.health_listen.map(|text| address("health_listen", &text)).transpose()?;
    config.forwarding = Forwarding::by_proxies(top.trusted_proxies.iter().map(String::as_str))
        .map_err(|error| format!("trusted_proxies: {error}"))?;
    config.flow_header =
        top.flow_header.map(|name| parsed::<HeaderName>("flow_header", &name)).transpose()?;
    config.status_page = top.status_page;
    config.log_level = top.log_level;
    Ok(config)
}

fn upstream_options(url: UpstreamUrl, block: Upstream) -> Result<UpstreamOptions, String> {
    let mut options = UpstreamOptions::new(url);
    if let Some(kind) = &block.kind {
        options.kind = parsed("upstream: kind", kind)?;
    }
    if let Some(host) = &block.host {
        parsed::<Authority>("upstream: host", host)?;
        options.host = Some(parsed::<HeaderValue>("upstream: host", host)?);
    }
    let tls = [&block.tls_ca_file, &block.tls_cert_file, &block.tls_key_file];
    if !options.url.is_https()
        && (tls.iter().any(|file| file.is_some()) || block.tls_server_name.is_some())
    {
        return Err("upstream: what begins with tls_ is for an https address".to_owned());
    }
    options.tls = ClientTls {
        ca: block.tls_ca_file,
        identity: match (block.tls_cert_file, block.tls_key_file) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err("upstream: tls_cert_file and tls_key_file go together".to_owned()),
        },
    };
    if let Some(name) = block.tls_server_name {
        let name =
            ServerName::try_from(name).map_err(|e| format!("upstream: tls_server_name: {e}"))?;
        options.tls_server_name = Some(name);
    }
    if let Some(text) = block.connect_timeout {
        options.connect_time_max = duration("upstream: connect_timeout", &text)?;
    }
    if let Some(text) = block.timeout {
        options.answer_time_max = duration("upstream: timeout", &text)?;
    }
    Ok(options)
}

fn duration(what: &str, text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(format!("{what}: \"{text}\" is not a time like \"5s\"")),
    }
}

fn listener(Block { label, body }: Block) -> Result<ListenerOptions, String> {
    let what = format!("listener \"{label}\"");
    if label != "tcp" {
        return Err(format!("{what}: only \"tcp\" is known"));
    }
    let tcp: Tcp = typed(&what, body)?;
    let address = match &tcp.address {
        Some(text) => address(&format!("{what}: address"), text)?,
        None => DEFAULT_ADDRESS,
    };
    let tls = match (tcp.tls_disable, tcp.tls_cert_file, tcp.tls_key_file) {
        (true, _, _) => None,
        (false, Some(certificate), Some(key)) => Some(TlsConfig::new(certificate, key)),
        _ => {
            return Err(format!(
                "{what}: tls_cert_file and tls_key_file are required unless tls_disable = true"
            ));
        }
    };
    let mut options = ListenerOptions::plain(address);
    options.tls = match (tls, tcp.tls_client_ca_file, tcp.tls_require_and_verify_client_cert) {
        (Some(tls), Some(ca), true) => Some(tls.with_client_ca(ca, ClientAuth::Required)),
        (Some(tls), Some(ca), false) => Some(tls.with_client_ca(ca, ClientAuth::Optional)),
        // Nobody must believe that clients are checked who are not.
        (_, _, true) => {
            return Err(format!(
                "{what}: tls_require_and_verify_client_cert needs TLS and a tls_client_ca_file"
            ));
        }
        (tls, ..) => tls,
    };
    if let Some(text) = &tcp.http_read_timeout {
        options.body_time_max = duration(&format!("{what}: http_read_timeout"), text)?;
    }
    Ok(options)
}

fn rule(Block { label, body }: Block) -> Result<Rule, String> {
    let what = format!("rule \"{label}\"");
    let block: RuleBlock = typed(&what, body)?;
    let path = match (block.path, block.path_prefix) {
        (Some(path), None) => Matcher::Exact(path),
        (None, Some(prefix)) => Matcher::Prefix(prefix),
        _ => return Err(format!("{what}: expected either path or path_prefix")),
    };
    let (Matcher::Exact(text) | Matcher::Prefix(text)) = &path;
    if !text.starts_with('/') {
        return Err(format!("{what}: \"{text}\" matches nothing: a path begins with /"));
    }
    // A method in small letters is another one, which nobody means.
    let methods = block.methods.iter().map(|text| text.to_ascii_uppercase());
    let methods = methods.map(|text| parsed(&format!("{what}: methods"), &text));
    Ok(Rule {
        path,
        methods: methods.collect::<Result<Vec<Method>, _>>()?,
        // The rule's own name is as good a name for its gate as any.
        gate: match block.gate.unwrap_or(label).as_str() {
            "none" => None,
            "logins" => Some(LOGINS.to_owned()),
            "writes" => Some(WRITES.to_owned()),
            "reads" => Some(READS.to_owned()),
            gate => Some(gate_name(&what, gate)?),
        },
        class: class(&what, block.class.as_deref())?,
    })
}

/// The name stands in metrics and in refusals.
fn gate_name(what: &str, gate: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if gate.is_empty() || gate.len() > 64 || !gate.bytes().all(plain) {
        return Err(format!("{what}: a gate is named by up to 64 letters, digits, - and _"));
    }
    Ok(format!("upstream.{gate}"))
}

fn class(what: &str, name: Option<&str>) -> Result<Class, String> {
    let Some(name) = name else { return Ok(Class::Normal) };
    let found = Class::ALL.into_iter().find(|class| class.name() == name);
    found.ok_or_else(|| format!("{what}: class: expected low, normal, high or critical"))
}

fn mode(block: Option<Value>) -> Result<Mode, String> {
    let Some(block) = block else { return Ok(Mode::Enforce) };
    let name = "adaptive_overload_protection";
    let protection: Protection = typed(name, block)?;
    protection.mode.map_or(Ok(Mode::Enforce), |mode| parsed(name, &mode))
}

fn parsed<T: FromStr<Err: core::fmt::Display>>(what: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{what}: {error}"))
}
