//! The load generator on its own: `cargo run --release -p plimsoll-lab --example load -- --help`

use clap::Parser;
use plimsoll_lab::load::{LoadOptions, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: LoadOptions,
}

fn main() -> anyhow::Result<()> {
    run(&Cli::parse().options).map(drop)
}
