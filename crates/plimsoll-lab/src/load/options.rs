//! What the generator is told.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{Client, Flow, Operation};
use crate::schedule::{Schedule, Spacing, parse_duration};

/// Drive a load against a Vault-compatible server, or any HTTP server.
#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    /// approle-login, userpass-login, kv1-put, kv2-put, kv1-get, or METHOD:/path
    /// with {n} for a key number
    #[arg(value_name = "OPERATION")]
    pub operation: Operation,

    /// The server, as http://host:port
    #[arg(long, env = "VAULT_ADDR", default_value = "http://127.0.0.1:8200")]
    pub address: String,

    /// A token that may prepare the server; sent with every kv and custom request
    #[arg(long, env = "VAULT_TOKEN", default_value = "", hide_env_values = true)]
    pub token: String,

    /// When requests are due: duration:requests-per-second, separated by commas
    #[arg(long, default_value = "10s:300,20s:2000,10s:300")]
    pub phases: Schedule,

    /// Several clients instead of one; takes the place of `phases`.
    #[arg(
        long = "flow",
        value_name = "FLOW",
        conflicts_with = "closed_loop",
        help = "Several clients instead of one: NAME[@SOURCE][*COUNT]=SCHEDULE, repeatable; \
                takes the place of --phases"
    )]
    pub flows: Vec<Flow>,

    /// Poisson arrivals instead of evenly spaced ones
    #[arg(long)]
    pub poisson: bool,

    /// The seed of the Poisson arrivals
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Closed loop: this many connections, each as fast as it can
    #[arg(long, value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub closed_loop: Option<u32>,

    /// How long the closed loop lasts
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,

    /// After this long without an answer a client gives up and closes its connection
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Send each request again until it succeeds, as such a client does
    #[arg(long, value_enum, conflicts_with = "closed_loop")]
    pub client: Option<Client>,

    /// How long a client goes on with one request; given up counts as this long
    #[arg(long, default_value = "30s", requires = "client", value_parser = parse_duration)]
    pub patience: Duration,

    /// Attempts of the polite client, instead of those that it ships with
    #[arg(long, value_name = "ATTEMPTS", requires = "client")]
    pub attempts_max: Option<u32>,

    /// Requests in flight; those due beyond it are counted as dropped, not sent
    #[arg(long, default_value_t = 10_000, value_name = "REQUESTS")]
    pub in_flight_max: usize,

    /// How many keys the kv operations spread over
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub keys: u64,

    /// Bytes of each value that the kv operations write
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    pub value_bytes: usize,

    /// How many SecretIDs approle logins take turns with
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub secret_ids: u32,

    /// How often each SecretID may be used; 0 is without limit
    #[arg(long, default_value_t = 0)]
    pub secret_id_num_uses: u64,

    /// The body of METHOD:/path requests, with {n} for a key number
    #[arg(long, default_value = "")]
    pub body: String,

    /// A header for every request, as name:value, repeatable
    #[arg(long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,

    /// Do not prepare the server; for METHOD:/path and prepared kv mounts
    #[arg(long)]
    pub no_setup: bool,

    /// Write the report as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// No progress bar
    #[arg(long)]
    pub quiet: bool,
}

impl LoadOptions {
    /// The options of an operation against an address, everything else as by default.
    pub fn new(operation: Operation, address: String, token: String, phases: Schedule) -> Self {
        Self {
            operation,
            address,
            token,
            phases,
            flows: Vec::new(),
            poisson: false,
            seed: 1,
            closed_loop: None,
            duration: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            client: None,
            patience: Duration::from_secs(30),
            attempts_max: None,
            in_flight_max: 10_000,
            keys: 1_000,
            value_bytes: 100,
            secret_ids: 1,
            secret_id_num_uses: 0,
            body: String::new(),
            headers: Vec::new(),
            no_setup: false,
            json: None,
            quiet: true,
        }
    }

    /// The flows one by one, the single one included.
    pub(crate) fn expanded_flows(&self) -> Vec<Flow> {
        if self.flows.is_empty() {
            return vec![Flow::single(self.phases.clone())];
        }
        self.flows.iter().flat_map(Flow::expand).collect()
    }

    /// The spacing of a flow's arrivals; each flow has a seed of its own.
    pub(crate) fn spacing(&self, flow: usize) -> Spacing {
        if self.poisson {
            Spacing::Poisson(self.seed.wrapping_add(flow as u64))
        } else {
            Spacing::Constant
        }
    }

    /// How long the load lasts, without the wait for the last answers.
    pub(crate) fn load_duration(&self) -> Duration {
        if self.closed_loop.is_some() {
            return self.duration;
        }
        let flows = self.expanded_flows();
        flows.iter().map(|flow| flow.schedule.duration()).max().unwrap_or_default()
    }
}
