//! Refusals as Vault's clients expect them.

use http::HeaderMap;
use serde_json::{Value, json};

use crate::refusal::{Face, Rendered, Told};

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
        let mut body = told.details();
        body.insert("errors".to_owned(), json!([told.refusal.message()]));
        Rendered {
            content_type: "application/json",
            body: format!("{}\n", Value::Object(body)).into(),
        }
    }

    fn status_page(&self) -> Option<&str> {
        self.status_page.as_deref()
    }
}
