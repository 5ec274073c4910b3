//! Refusals as Vault's clients expect them.

use bytes::Bytes;
use serde_json::json;

use crate::refusal::{Face, Refusal, Told};

/// `{"errors": [...]}`, with the machine-readable part beside it. The sentence
/// contains Vault's own `overloaded, try again later`, which clients match.
#[derive(Clone, Debug, Default)]
pub struct VaultFace {
    /// Where people find out more.
    pub status_page: Option<String>,
}

impl Face for VaultFace {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn body(&self, told: &Told) -> Bytes {
        let mut body = json!({ "errors": [told.refusal.message()], "executed": false });
        if let Refusal::Overloaded(rejection) | Refusal::NoSpace(rejection) = &told.refusal {
            body["gate"] = rejection.gate.name().into();
            body["reason"] = rejection.reason.name().into();
        }
        match &told.refusal {
            Refusal::Overloaded(_) => {
                body["code"] = "overloaded".into();
                body["retry_after_ms"] = told.retry_after_ms().into();
            }
            Refusal::NoSpace(_) => body["code"] = "insufficient_storage".into(),
            _ => {}
        }
        if let Some(page) = &self.status_page {
            body["status_page"] = page.as_str().into();
        }
        let mut text = body.to_string();
        text.push('\n');
        text.into()
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}
