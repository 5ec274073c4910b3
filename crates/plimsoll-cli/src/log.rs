//! The log, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub(crate) fn start(level: Option<&str>) {
    let filter = EnvFilter::try_from_default_env().ok();
    let filter = filter.or_else(|| EnvFilter::try_new(directives(level)?).ok());
    let is_known = filter.is_some();
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info"));
    // A journal shows a line with colours in it as a blob.
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(std::io::stderr).init();
    if !is_known {
        tracing::warn!(level, "unknown log level, info instead: trace, debug, info, warn, error");
    }
}

/// What the filter is to be told; `None` for a level that there is none of. It would take
/// that for the name of a module, and be silent about all others.
fn directives(level: Option<&str>) -> Option<&str> {
    match level {
        None | Some("") => Some("info"),
        // Vault's level names are tracing's, but for these.
        Some("err") => Some("error"),
        Some("warning") => Some("warn"),
        Some(level) if level.contains('=') => Some(level),
        Some(level) => level.parse::<LevelFilter>().is_ok().then_some(level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_that_there_is_or_says_more() {
        for level in ["trace", "Debug", "info", "warn", "error", "info,hyper=debug"] {
            assert_eq!(directives(Some(level)), Some(level));
        }
        assert_eq!(directives(None), Some("info"));
        assert_eq!(directives(Some("err")), Some("error"));
        assert_eq!(directives(Some("warning")), Some("warn"));
        assert_eq!(directives(Some("loud")), None);
    }
}
