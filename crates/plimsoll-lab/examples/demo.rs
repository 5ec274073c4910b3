//! The demo on its own: `cargo run --release -p plimsoll-lab --example demo -- --server-binary FILE`

use clap::Parser;
use plimsoll_lab::demo::{DemoOptions, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: DemoOptions,
}

fn main() -> anyhow::Result<()> {
    run(&Cli::parse().options)
}
