//! How long clients wait.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// How long the client says that it waits: RFC 7240, `Prefer: wait=10`, in seconds.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).iter();
    preferences
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let seconds = value.trim().trim_matches('"').parse().ok()?;
            name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds))
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wait(prefer: &'static str) -> Option<Duration> {
        preferred_wait(&HeaderMap::from_iter([(PREFER, HeaderValue::from_static(prefer))]))
    }

    #[test]
    fn a_client_says_itself_how_long_it_waits() {
        assert_eq!(wait("wait=10"), Some(Duration::from_secs(10)));
        assert_eq!(wait("respond-async, Wait = \"3\""), Some(Duration::from_secs(3)));
        assert_eq!(wait("return=minimal; wait=0"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_says_nothing() {
        for prefer in ["wait=-1", "wait=soon", "respond-async", "", "wait"] {
            assert_eq!(wait(prefer), None, "{prefer:?}");
        }
    }
}
