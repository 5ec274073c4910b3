//! Where policies are kept.

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;

/// Policies by name.
pub(crate) const POLICIES: &str = "sys/policy/";

/// A policy as it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// HCL or JSON.
    pub text: String,
}

/// Whether a policy of this name exists; the built-in ones always do.
pub(crate) fn exists(cx: &mut Context<'_>, name: &str) -> Result<bool, VaultError> {
    Ok(matches!(name, "root" | "default") || cx.revision(&format!("{POLICIES}{name}"))? != 0)
}
