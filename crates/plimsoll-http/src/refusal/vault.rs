//! Refusals as Vault's clients expect them.

use http::HeaderMap;
use plimsoll::Rejection;
use serde::Serialize;
use serde_json::{Value, json};

use crate::refusal::{Face, Refusal, Rendered, Told};

/// Room for the body of an overload with a status page.
const OVERLOAD_BYTES: usize = 320;

/// [`Told::details`] of an overload, and its sentence: made for every request that is
/// too many, so without a tree in between.
#[derive(Serialize)]
struct Overload<'t> {
    code: &'static str,
    errors: [&'t str; 1],
    executed: bool,
    gate: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_page: Option<&'t str>,
}

/// `{"errors": [...]}`, with the machine-readable part beside it. The sentence of
/// an overload contains Vault's own `overloaded, try again later`, which clients
/// match.
#[derive(Clone, Debug, Default)]
pub struct VaultFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for VaultFace {
    fn render(&self, told: &Told, _: &HeaderMap) -> Rendered {
        let content_type = "application/json";
        if let Refusal::Overloaded(rejection) = &told.refusal {
            return Rendered { content_type, body: overload(told, rejection).into() };
        }
        let mut body = told.details();
        body.insert("errors".to_owned(), json!([told.refusal.message()]));
        Rendered { content_type, body: format!("{}\n", Value::Object(body)).into() }
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}

fn overload(told: &Told, rejection: &Rejection) -> Vec<u8> {
    let overload = Overload {
        code: told.refusal.code(),
        errors: [&told.refusal.message()],
        executed: false,
        gate: rejection.gate.name(),
        reason: rejection.reason.name(),
        retry_after_ms: told.retry_after_ms(),
        status_page: told.status_page.as_deref(),
    };
    let mut body = Vec::with_capacity(OVERLOAD_BYTES);
    // Writing to memory cannot fail, and every key is a string.
    let _ = serde_json::to_writer(&mut body, &overload);
    body.push(b'\n');
    body
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use plimsoll::{Gate, Reason};

    use super::*;

    #[test]
    fn an_overload_says_the_same_as_every_other_refusal() {
        let retry_after = Duration::from_secs(1);
        let rejection = Rejection { gate: Gate::Write, reason: Reason::Full, retry_after };
        for page in [None, Some("/a \"page\"")] {
            let mut told = Told::exactly(rejection.into(), Some(Duration::from_millis(1234)));
            told.status_page = page.map(str::to_owned);
            let mut whole = told.details();
            whole.insert("errors".to_owned(), json!([told.refusal.message()]));
            let rendered = VaultFace::default().render(&told, &HeaderMap::new());
            assert_eq!(rendered.body, format!("{}\n", Value::Object(whole)));
        }
    }
}
