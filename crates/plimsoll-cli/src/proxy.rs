//! `plimsoll proxy`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use plimsoll::Mode;
use plimsoll_proxy::config::{Config, ListenerOptions};
use plimsoll_proxy::{ConfiguredKind, ProxyServer, Source, UpstreamUrl};

use crate::log;

/// What to protect. Either `--upstream` or `--config`, or the one over the other.
#[derive(Args, Debug)]
pub(crate) struct ProxyArgs {
    /// The server to protect, as http://host:port or https://host:port.
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    upstream: Option<UpstreamUrl>,
    /// Listen here, without TLS, instead of where the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The proxy's configuration, in HCL or JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the upstream is: auto asks it.
    #[arg(long, value_name = "auto|vault|http")]
    upstream_kind: Option<ConfiguredKind>,
    /// Answer health and metrics here, on a thread of their own.
    #[arg(long, value_name = "ADDRESS")]
    health_listen: Option<SocketAddr>,
    /// What the gates do with their verdicts: off, monitor, enforce.
    #[arg(long, value_name = "MODE")]
    protection: Option<Mode>,
}

pub(crate) fn run(args: ProxyArgs) -> anyhow::Result<()> {
    let source = Source {
        file: args.config,
        upstream: args.upstream,
        kind: args.upstream_kind,
        protection: args.protection,
    };
    let mut config = source.read()?;
    log::start(config.log_level.as_deref());
    if let Some(address) = args.listen {
        config.listeners = vec![ListenerOptions::plain(address)];
    }
    config.health_listen = args.health_listen.or(config.health_listen);
    let proxy = ProxyServer::start(&config)?;
    announce(&proxy, &config);
    proxy.run(&source);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the person at the terminal is told where to connect")]
fn announce(proxy: &ProxyServer, config: &Config) {
    for (address, listener) in proxy.addresses().iter().zip(&config.listeners) {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        println!("listening on {scheme}://{address}");
    }
    if let Some(address) = proxy.health_address() {
        println!("health on http://{address}/health, metrics on http://{address}/metrics");
    }
    println!("in front of {}", config.upstream.url);
    println!("protection: {}", config.protection.name());
}
