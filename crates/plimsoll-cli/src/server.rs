//! `plimsoll server`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use plimsoll::Mode;
use plimsoll_server::config::{Config, DEFAULT_ADDRESS, ListenerOptions};
use plimsoll_server::{DevOptions, Server, ServerOptions, SlowDiskSpec};

use crate::log;

/// What to run. Either `--dev` or `--config`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["dev", "config"])))]
pub(crate) struct ServerArgs {
    /// Initialised, unsealed, its root token printed; real log, real fsync, in a
    /// fresh directory unless --data-dir names one.
    #[arg(long)]
    dev: bool,
    /// Vault's server configuration, in HCL or JSON.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here, without TLS, instead of where the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Keep the data here.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Answer health, readiness and metrics here, on a thread of their own.
    #[arg(long, value_name = "ADDRESS")]
    health_listen: Option<SocketAddr>,
    /// Accept secondaries here, once this server is a primary.
    #[arg(long, value_name = "ADDRESS")]
    cluster_listen: Option<SocketAddr>,
    /// What the gates do with their verdicts: off, monitor, enforce.
    #[arg(long, value_name = "MODE")]
    protection: Option<Mode>,
    /// The root token of dev mode, instead of a random one.
    #[arg(long, value_name = "TOKEN", requires = "dev")]
    dev_root_token: Option<String>,
    /// A disk made slow on purpose, e.g. sync=10ms,item=2ms.
    #[arg(long, value_name = "SPEC", requires = "dev")]
    dev_slow_disk: Option<SlowDiskSpec>,
    /// Processor time that each request takes besides, e.g. 400us.
    #[arg(long, value_name = "DURATION", requires = "dev", value_parser = humantime::parse_duration)]
    dev_cpu_cost: Option<Duration>,
    /// Keep so many bytes of the disk free instead of 100 MB or a twentieth of it.
    #[arg(long, value_name = "BYTES", requires = "dev")]
    dev_disk_floor: Option<u64>,
}

pub(crate) fn run(args: ServerArgs) -> anyhow::Result<()> {
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config::new(PathBuf::new()),
    };
    log::start(config.log_level.as_deref());
    if let Some(address) = args.listen {
        config.listeners = vec![ListenerOptions::plain(address)];
    }
    config.health_listen = args.health_listen.or(config.health_listen);
    config.cluster_address = args.cluster_listen.or(config.cluster_address);
    config.protection.mode = args.protection.unwrap_or(config.protection.mode);
    // Removed when the server ends.
    let mut fresh_dir = None;
    match args.data_dir {
        Some(directory) => config.data_dir = directory,
        None if args.dev => {
            let directory = tempfile::Builder::new().prefix("plimsoll-dev-").tempdir();
            let directory = directory.context("a fresh data directory")?;
            config.data_dir = directory.path().to_owned();
            fresh_dir = Some(directory);
        }
        None => {}
    }
    let options = ServerOptions {
        config,
        config_file: args.config.clone(),
        dev: args.dev.then_some(DevOptions { root_token: args.dev_root_token }),
        cpu_cost: args.dev_cpu_cost,
        disk_floor_bytes: args.dev_disk_floor,
        slow_disk: args.dev_slow_disk,
    };
    let server = Server::start(&options)?;
    announce(&server, &options);
    server.run(options.config_file);
    drop(fresh_dir);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the person at the terminal is told where to connect")]
fn announce(server: &Server, options: &ServerOptions) {
    let ServerOptions { config, .. } = options;
    let scheme = if config.listeners.iter().any(|l| l.tls.is_some()) { "https" } else { "http" };
    for address in server.addresses() {
        println!("listening on {scheme}://{address}");
    }
    if let Some(address) = server.health_address() {
        println!("health on http://{address}/v1/sys/health");
    }
    println!("data in {}", config.data_dir.display());
    println!("protection: {}", config.protection.mode.name());
    let Some(keys) = server.dev_keys() else { return };
    let address = server.addresses().first().copied().unwrap_or(DEFAULT_ADDRESS);
    println!();
    println!("Dev mode: initialised and unsealed with one key. Not for production.");
    println!();
    println!("    export VAULT_ADDR='http://{address}' BAO_ADDR='http://{address}'");
    println!("    export VAULT_TOKEN='{0}' BAO_TOKEN='{0}'", keys.root_token);
    println!();
    println!("Unseal key: {}", keys.unseal_key);
    println!("Root token: {}", keys.root_token);
}
