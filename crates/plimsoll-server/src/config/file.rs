//! From the file's text to a [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_daemon::clock;
use plimsoll_daemon::config::values::{address, boolean, list, size};
use plimsoll_daemon::config::{Block, syntax, take_labelled, take_single, typed};
use plimsoll_http::identity::Forwarding;
use plimsoll_listener::{ClientAuth, TlsConfig};
use plimsoll_vault::MaintenanceRecord;
use serde::Deserialize;
use serde_json::Value;

use crate::config::{Config, DEFAULT_ADDRESS, FileWindow, ListenerOptions, StaticSeal, values};
use crate::config::{key_vault, protection};

/// What Vault's files hold and this server has no use for.
const IGNORED: [&str; 22] = [
    "cluster_addr",
    "ui",
    "disable_mlock",
    "disable_cache",
    "cache_size",
    "disable_clustering",
    "disable_sealwrap",
    "disable_performance_standby",
    "disable_printable_check",
    "enable_response_header_hostname",
    "enable_response_header_raft_node_id",
    "log_format",
    "log_file",
    "log_requests_level",
    "log_rotate_bytes",
    "log_rotate_duration",
    "log_rotate_max_files",
    "pid_file",
    "plugin_directory",
    "raw_storage_endpoint",
    "telemetry",
    "user_lockout",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopLevel {
    api_addr: Option<String>,
    cluster_name: Option<String>,
    #[serde(default, deserialize_with = "values::duration")]
    default_lease_ttl: Option<Duration>,
    #[serde(default, deserialize_with = "values::duration")]
    max_lease_ttl: Option<Duration>,
    log_level: Option<String>,
    status_page: Option<String>,
    health_listen: Option<String>,
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
    #[serde(default, deserialize_with = "size")]
    max_request_size: Option<u64>,
    #[serde(default, deserialize_with = "values::duration")]
    http_read_timeout: Option<Duration>,
    #[serde(default)]
    telemetry: ListenerTelemetry,
    #[serde(default)]
    inflight_requests_logging: InFlight,
    #[serde(default, deserialize_with = "list")]
    x_forwarded_for_authorized_addrs: Vec<String>,
    #[serde(default, deserialize_with = "size")]
    x_forwarded_for_hop_skips: Option<u64>,
    #[serde(default = "yes", deserialize_with = "boolean")]
    x_forwarded_for_reject_not_authorized: bool,
    #[serde(default = "yes", deserialize_with = "boolean")]
    x_forwarded_for_reject_not_present: bool,
    // Read before the rest of its listener.
    #[serde(rename = "cluster_address")]
    _cluster_address: Option<Value>,
    // Vault's, without a use here.
    #[serde(rename = "http_idle_timeout")]
    _http_idle_timeout: Option<Value>,
    #[serde(rename = "http_read_header_timeout")]
    _http_read_header_timeout: Option<Value>,
    #[serde(rename = "http_write_timeout")]
    _http_write_timeout: Option<Value>,
    #[serde(rename = "max_request_duration")]
    _max_request_duration: Option<Value>,
    #[serde(rename = "tls_min_version")]
    _tls_min_version: Option<Value>,
    #[serde(rename = "tls_disable_client_certs")]
    _tls_disable_client_certs: Option<Value>,
}

const fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerTelemetry {
    #[serde(default, deserialize_with = "boolean")]
    unauthenticated_metrics_access: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct InFlight {
    #[serde(default, deserialize_with = "boolean")]
    unauthenticated_in_flight_requests_access: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Storage {
    path: PathBuf,
    #[serde(rename = "node_id")]
    _node_id: Option<Value>,
    #[serde(rename = "performance_multiplier")]
    _performance_multiplier: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Static {
    current_key_id: String,
    current_key: String,
}

const PROTECTION: &str = "adaptive_overload_protection";

pub(super) fn parse(text: &str) -> Result<Config, String> {
    let mut file = syntax(text)?;
    let listeners = take_labelled(&mut file, "listener")?;
    let storage = take_labelled(&mut file, "storage")?;
    let seals = take_labelled(&mut file, "seal")?;
    let key_vaults = take_labelled(&mut file, "key_vault_throttling")?;
    let protection = take_single(&mut file, PROTECTION)?;
    for key in IGNORED {
        file.remove(key);
    }
    let maintenance = take_single(&mut file, "maintenance")?;
    let top: TopLevel = typed("", Value::Object(file))?;

    let mut config = Config::new(data_dir(storage)?);
    config.cluster_address = listeners.first().map(cluster_address).transpose()?.flatten();
    if !listeners.is_empty() {
        config.listeners = listeners.into_iter().map(listener).collect::<Result<_, _>>()?;
    }
    config.static_seal = static_seal(seals)?;
    config.key_vaults = key_vaults.into_iter().map(key_vault::parse).collect::<Result<_, _>>()?;
    if let Some(block) = protection {
        let block: protection::Block = typed(PROTECTION, block)?;
        config.protection = block.try_into().map_err(|error| format!("{PROTECTION}: {error}"))?;
    }
    config.api_addr = top.api_addr;
    config.status_page = top.status_page;
    config.maintenance = maintenance.map(window).transpose()?;
    config.log_level = top.log_level;
    config.health_listen =
        top.health_listen.map(|text| address("health_listen", &text)).transpose()?;
    config.cluster_name = top.cluster_name.unwrap_or(config.cluster_name);
    config.default_lease_ttl = top.default_lease_ttl.unwrap_or(config.default_lease_ttl);
    config.max_lease_ttl = top.max_lease_ttl.unwrap_or(config.max_lease_ttl);
    if config.default_lease_ttl > config.max_lease_ttl {
        return Err("default_lease_ttl exceeds max_lease_ttl".to_owned());
    }
    Ok(config)
}

fn listener(Block { label, body }: Block) -> Result<ListenerOptions, String> {
    if label != "tcp" {
        return Err(format!("listener \"{label}\": only \"tcp\" is known"));
    }
    let tcp: Tcp = typed("listener \"tcp\"", body)?;
    let address = match &tcp.address {
        Some(text) => address("listener \"tcp\": address", text)?,
        None => DEFAULT_ADDRESS,
    };
    let mut options = ListenerOptions::plain(address);
    options.tls = tls(&tcp)?;
    options.request_bytes_max = tcp.max_request_size.unwrap_or(options.request_bytes_max);
    options.body_time_max = tcp.http_read_timeout.unwrap_or(options.body_time_max);
    options.unauthenticated_metrics = tcp.telemetry.unauthenticated_metrics_access;
    options.unauthenticated_in_flight =
        tcp.inflight_requests_logging.unauthenticated_in_flight_requests_access;
    options.forwarding = forwarding(&tcp)?;
    Ok(options)
}

/// Vault's rule: the hop that many from the right, and whatever does not fit is
/// refused unless the file says otherwise.
fn forwarding(tcp: &Tcp) -> Result<Forwarding, String> {
    let skips = usize::try_from(tcp.x_forwarded_for_hop_skips.unwrap_or(0)).unwrap_or(usize::MAX);
    Forwarding::by_proxies(tcp.x_forwarded_for_authorized_addrs.iter().map(String::as_str))
        .map(|forwarding| {
            forwarding
                .skipping(skips)
                .reject_not_authorized(tcp.x_forwarded_for_reject_not_authorized)
                .reject_not_present(tcp.x_forwarded_for_reject_not_present)
        })
        .map_err(|error| format!("listener \"tcp\": x_forwarded_for_authorized_addrs: {error}"))
}

/// Where the first listener of the file says that the cluster's is.
fn cluster_address(block: &Block) -> Result<Option<SocketAddr>, String> {
    let text = block.body.get("cluster_address").and_then(Value::as_str);
    text.map(|text| address("listener \"tcp\": cluster_address", text)).transpose()
}

fn tls(tcp: &Tcp) -> Result<Option<TlsConfig>, String> {
    if tcp.tls_disable {
        return Ok(None);
    }
    let (Some(certificate), Some(key)) = (&tcp.tls_cert_file, &tcp.tls_key_file) else {
        return Err("listener \"tcp\": tls_cert_file and tls_key_file are required unless \
                    tls_disable = true"
            .to_owned());
    };
    let tls = TlsConfig::new(certificate, key);
    Ok(Some(match &tcp.tls_client_ca_file {
        // Nobody must believe that clients are checked who are not.
        None if tcp.tls_require_and_verify_client_cert => {
            return Err("listener \"tcp\": tls_require_and_verify_client_cert needs a \
                        tls_client_ca_file"
                .to_owned());
        }
        None => tls,
        Some(ca) if tcp.tls_require_and_verify_client_cert => {
            tls.with_client_ca(ca, ClientAuth::Required)
        }
        Some(ca) => tls.with_client_ca(ca, ClientAuth::Optional),
    }))
}

/// A window whose time has passed is as good as none: files stay as they are.
fn window(block: Value) -> Result<FileWindow, String> {
    let Value::Object(block) = block else {
        return Err("maintenance: expected a block".to_owned());
    };
    let record = MaintenanceRecord::parse_file(&block, clock::wall())
        .map_err(|error| format!("maintenance: {error}"))?;
    Ok(FileWindow { block, record })
}

fn data_dir(storage: Vec<Block>) -> Result<PathBuf, String> {
    let mut storage = storage.into_iter();
    let (Some(Block { label, body }), None) = (storage.next(), storage.next()) else {
        return Err("expected exactly one storage block, with a path".to_owned());
    };
    // Whatever the file calls it, what is kept there is this server's own log.
    if !["plimsoll", "raft", "file"].contains(&label.as_str()) {
        return Err(format!(
            "storage \"{label}\": only \"plimsoll\", \"raft\" and \"file\" are known, and all \
             three mean the directory at their path"
        ));
    }
    let storage: Storage = typed(&format!("storage \"{label}\""), body)?;
    Ok(storage.path)
}

fn static_seal(seals: Vec<Block>) -> Result<Option<StaticSeal>, String> {
    let mut found = None;
    for Block { label, body } in seals {
        match label.as_str() {
            "shamir" => {}
            "static" => {
                let Static { current_key_id, current_key } = typed("seal \"static\"", body)?;
                found = Some(StaticSeal { key_id: current_key_id, key: current_key });
            }
            _ => {
                return Err(format!("seal \"{label}\": only \"shamir\" and \"static\" are known"));
            }
        }
    }
    Ok(found)
}
