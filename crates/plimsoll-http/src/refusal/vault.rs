//! Refusals as Vault's clients expect them.

use http::HeaderMap;
use plimsoll::Rejection;
use serde_json::{Value, json};

use crate::refusal::{Face, Refusal, Rendered, Told, overload_sentence};

/// Room for the body of an overload with a status page.
const OVERLOAD_BYTES: usize = 320;

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

/// [`Told::details`] of an overload, and its sentence: made for every request that is
/// too many, so put together from what needs no escaping. The page alone is not ours.
fn overload(told: &Told, rejection: &Rejection) -> String {
    let mut body = String::with_capacity(OVERLOAD_BYTES);
    let mut push = |parts: &[&str]| parts.iter().for_each(|part| body.push_str(part));
    push(&["{\"code\":\"", told.refusal.code(), "\",\"errors\":[\""]);
    push(&overload_sentence(rejection));
    push(&["\"],\"executed\":false,\"gate\":\"", rejection.gate.name()]);
    push(&["\",\"reason\":\"", rejection.reason.name(), "\""]);
    if let Some(ms) = told.retry_after_ms() {
        push(&[",\"retry_after_ms\":", itoa::Buffer::new().format(ms)]);
    }
    if let Some(page) = &told.status_page {
        let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'"' | b'\\');
        match page.bytes().all(is_plain) {
            true => push(&[",\"status_page\":\"", page, "\""]),
            false => push(&[",\"status_page\":", &Value::from(page.as_str()).to_string()]),
        }
    }
    push(&["}\n"]);
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
