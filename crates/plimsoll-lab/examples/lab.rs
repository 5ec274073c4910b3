//! The lab on its own: `cargo run --release -p plimsoll-lab --example lab -- run --all`

use std::process::ExitCode;

use clap::Parser;
use plimsoll_lab::lab::{LabOptions, run};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: LabOptions,
}

fn main() -> ExitCode {
    match run(&Cli::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}
