//! The lab on its own: `cargo run --release -p plimsoll-lab --example lab -- run --all`

use clap::Parser;
use plimsoll_lab::lab::{LabOptions, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: LabOptions,
}

fn main() -> anyhow::Result<()> {
    run(&Cli::parse().options)
}
