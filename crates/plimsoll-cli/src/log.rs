//! The log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Vault's level names are tracing's, but for `err`.
pub(crate) fn start(level: Option<&str>) {
    let default = match level {
        None | Some("") => "info",
        Some("err") => "error",
        Some(level) => level,
    };
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(default));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    // A journal shows a line with colours in it as a blob.
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(std::io::stderr).init();
}
