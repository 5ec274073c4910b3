//! The command `plimsoll`: thin.

mod log;
mod maintenance;
mod operator;
mod proxy;
mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Requests are many small allocations that are freed on other threads, which is
/// what the C library's allocator does worst. Built without huge pages (`no_thp`): a table
/// that is sparse on purpose would be resident as a whole.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After which the allocator gives back to the system what is free, in milliseconds. It
/// keeps it for a second by itself, in which large bodies come and go several times over.
const PURGE_DELAY_MS: core::ffi::c_long = 100;
/// The option's place in `mi_option_t`; the bindings do not name it.
const OPTION_PURGE_DELAY: core::ffi::c_int = 15;

/// Holds a server at exactly the load it can carry.
#[derive(Parser)]
#[command(name = "plimsoll", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the secrets server, with Vault's HTTP API.
    Server(server::ServerArgs),
    /// Snapshots: save, restore, verify.
    Operator(operator::OperatorArgs),
    /// Protect a server that cannot be changed: a reverse proxy with a load line.
    Proxy(proxy::ProxyArgs),
    /// Close a running server on purpose, now or later.
    Maintenance(maintenance::MaintenanceArgs),
    /// Load a Vault-compatible server, open loop, and report what it did.
    Load(plimsoll_lab::load::LoadOptions),
    /// Watch a login storm with the protection off and on, in under two minutes.
    Demo(plimsoll_lab::demo::DemoOptions),
    /// Run the admission law against the oracle and its rivals, in virtual time.
    Lab(plimsoll_lab::lab::LabOptions),
}

fn main() -> ExitCode {
    purge_soon();
    let result = match Cli::parse().command {
        Command::Server(args) => server::run(args),
        Command::Operator(args) => operator::run(args),
        Command::Proxy(args) => proxy::run(args),
        Command::Maintenance(args) => maintenance::run(args),
        Command::Load(options) => plimsoll_lab::load::run(&options).map(drop),
        Command::Demo(options) => plimsoll_lab::demo::run(&options),
        Command::Lab(options) => plimsoll_lab::lab::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plimsoll: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, but for those that it has quoted itself.
fn one_line(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    causes.fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        line if line.ends_with(&cause) => line.to_owned(),
        line => format!("{line}: {cause}"),
    })
}

/// What the environment says (`MIMALLOC_PURGE_DELAY`) counts more.
#[expect(unsafe_code, reason = "the allocator has no other way to be told")]
fn purge_soon() {
    // SAFETY: it stores an integer in an option that exists in this version of the library.
    unsafe { libmimalloc_sys::mi_option_set_default(OPTION_PURGE_DELAY, PURGE_DELAY_MS) };
}
