//! Why there is no answer, in the server's own words where it has said any.

use core::error::Error;
use std::io;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::answer::RESPONSE_BYTES_MAX;
use crate::retry::{Attempts, RetryError};

/// The longest part of a server's message that is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why a request failed for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused, and went on refusing.
    #[error("the server answered {status}: {message} ({attempts})")]
    Refused {
        /// The last answer's status.
        status: StatusCode,
        /// What the server said, shortened.
        message: String,
        /// What it took.
        attempts: Attempts,
        /// The last answer.
        response: Box<Response<Bytes>>,
    },
    /// The server could not be reached, or the connection broke.
    #[error("{} ({attempts})", chain(source))]
    Unreachable {
        /// What the system said.
        source: hyper_util::client::legacy::Error,
        /// What it took.
        attempts: Attempts,
    },
    /// The server did not answer in time.
    #[error("no answer ({attempts})")]
    NoAnswer {
        /// What it took.
        attempts: Attempts,
    },
    /// The answer broke off.
    #[error("the answer broke off: {source}")]
    BrokeOff {
        /// How.
        source: Box<dyn Error + Send + Sync>,
        /// What it took until then.
        attempts: Option<Attempts>,
    },
    /// The answer is larger than [`RESPONSE_BYTES_MAX`].
    #[error("the answer is larger than {RESPONSE_BYTES_MAX} bytes")]
    TooLarge {
        /// What it took until then.
        attempts: Option<Attempts>,
    },
    /// The system's trusted certificates could not be read.
    #[error("the system's certificates: {0}")]
    Certificates(#[source] io::Error),
}

impl ClientError {
    /// What the request took, if it was sent.
    pub const fn attempts(&self) -> Option<&Attempts> {
        match self {
            Self::Refused { attempts, .. }
            | Self::Unreachable { attempts, .. }
            | Self::NoAnswer { attempts } => Some(attempts),
            Self::BrokeOff { attempts, .. } | Self::TooLarge { attempts } => attempts.as_ref(),
            Self::Certificates(_) => None,
        }
    }

    pub(super) fn refused(response: Response<Bytes>, attempts: Attempts) -> Self {
        let message = message(response.body());
        let (status, response) = (response.status(), Box::new(response));
        Self::Refused { status, message, attempts, response }
    }
}

impl From<RetryError<hyper_util::client::legacy::Error>> for ClientError {
    fn from(error: RetryError<hyper_util::client::legacy::Error>) -> Self {
        match error {
            RetryError::Failed { source, attempts } => Self::Unreachable { source, attempts },
            RetryError::NoAnswer { attempts } => Self::NoAnswer { attempts },
        }
    }
}

/// hyper says "client error (Connect)" and leaves the reason to its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// What a server says in Vault's, Azure's or RFC 9457's form, or else its text;
/// one line, shortened: it will be in somebody's log.
fn message(body: &[u8]) -> String {
    let said = serde_json::from_slice(body).ok().and_then(|json: Value| said(&json));
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let line = text.split(|c: char| c.is_whitespace() || c.is_control());
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "nothing more".to_owned();
    }
    line.chars().take(MESSAGE_CHARS_MAX).collect()
}

fn said(json: &Value) -> Option<String> {
    let vault = || {
        let errors = json["errors"].as_array()?.iter().filter_map(Value::as_str);
        Some(errors.collect::<Vec<_>>().join("; "))
    };
    let others = [&json["error"]["message"], &json["detail"], &json["title"]];
    vault().or_else(|| others.into_iter().find_map(Value::as_str).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_servers_own_words_are_found() {
        let said = |body: &str| message(body.as_bytes());
        assert_eq!(said(r#"{"errors":["overloaded","later"]}"#), "overloaded; later");
        assert_eq!(said(r#"{"error":{"code":"Throttled","message":"too many"}}"#), "too many");
        assert_eq!(said(r#"{"title":"Quota","detail":"too often"}"#), "too often");
        assert_eq!(said("<h1>Bad\r\n\u{1b}[31mgateway</h1>"), "<h1>Bad [31mgateway</h1>");
        assert_eq!(said(""), "nothing more");
        assert_eq!(said(&"x".repeat(10_000)).len(), MESSAGE_CHARS_MAX);
        assert_eq!(message(&[0xff, 0xfe]), "\u{fffd}\u{fffd}");
    }
}
