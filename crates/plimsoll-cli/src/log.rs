//! The log, on standard error.

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
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
