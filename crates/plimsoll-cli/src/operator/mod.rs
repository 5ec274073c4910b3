//! `plimsoll operator`: what operators do by hand or by cron.

pub(crate) mod api;
mod progress;
mod snapshot;

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to operate.
#[derive(Args, Debug)]
pub(crate) struct OperatorArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Save, restore and verify all data.
    Snapshot {
        #[command(subcommand)]
        action: snapshot::Action,
    },
}

/// Which server, and who asks.
#[derive(Args, Debug)]
pub(crate) struct ServerAddress {
    /// The server's address.
    #[arg(long, value_name = "URL", env = "VAULT_ADDR", default_value = "http://127.0.0.1:8200")]
    address: String,
    /// A token that may do it.
    #[arg(long, value_name = "TOKEN", env = "VAULT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The authority that has signed the server's certificate, for https.
    #[arg(long, value_name = "FILE", env = "VAULT_CACERT")]
    ca_cert: Option<PathBuf>,
}

pub(crate) fn run(args: OperatorArgs) -> anyhow::Result<()> {
    match args.what {
        What::Snapshot { action } => snapshot::run(action),
    }
}
