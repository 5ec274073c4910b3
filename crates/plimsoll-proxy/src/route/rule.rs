//! Rules of the configuration: which requests go where.

use http::Method;
use http::request::Parts;
use plimsoll::Class;

/// Sends the requests that it matches to a gate. The first rule that matches counts.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which paths.
    pub path: Matcher,
    /// Which methods; empty for all.
    pub methods: Vec<Method>,
    /// The gate's name; `None` for none.
    pub gate: Option<String>,
    /// How much they matter.
    pub class: Class,
}

/// Paths as they stand in the request, byte by byte.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// This one.
    Exact(String),
    /// Those that begin so.
    Prefix(String),
}

impl Rule {
    pub(super) fn matches(&self, parts: &Parts) -> bool {
        let path = parts.uri.path();
        let here = match &self.path {
            Matcher::Exact(exact) => path == exact,
            Matcher::Prefix(prefix) => path.starts_with(prefix.as_str()),
        };
        here && (self.methods.is_empty() || self.methods.contains(&parts.method))
    }
}
