//! Where policies are kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::policy::parse::Policy;
use crate::token::entry::millis;

/// The longest policy.
pub const POLICY_BYTES_MAX: usize = 512 * 1024;
const NAME_BYTES_MAX: usize = 256;
const NAMES_MAX: usize = 100_000;

const POLICIES: &str = "sys/policy/";

/// What every token may do unless it was made without. In force until it is
/// written over.
const DEFAULT_POLICY: &str = include_str!("default.hcl");

/// A policy as it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredPolicy {
    /// HCL or JSON.
    pub text: String,
    /// Milliseconds since the Unix epoch; 0 if it is the one that came with the
    /// server.
    #[serde(default)]
    pub modified_ms: u64,
}

/// A policy's text; that of `root` is empty.
///
/// # Errors
/// The store failed.
pub fn get(cx: &mut Context<'_>, name: &str) -> Result<Option<StoredPolicy>, VaultError> {
    let name = name.to_lowercase();
    let stored = cx.get(&policy_key(&name))?;
    let built_in = |text: &str| Some(StoredPolicy { text: text.to_owned(), modified_ms: 0 });
    Ok(stored.or_else(|| match name.as_str() {
        "root" => built_in(""),
        "default" => built_in(DEFAULT_POLICY),
        _ => None,
    }))
}

/// Writes a policy, if it can be parsed.
///
/// # Errors
/// It cannot, it is `root`, or the store failed.
pub fn put(cx: &mut Context<'_>, name: &str, text: &str) -> Result<(), VaultError> {
    let name = checked_name(name)?;
    if name == "root" {
        return Err(VaultError::invalid("cannot update \"root\" policy"));
    }
    if text.len() > POLICY_BYTES_MAX {
        return Err(VaultError::TooLarge(format!(
            "policy of {} bytes exceeds {POLICY_BYTES_MAX}",
            text.len()
        )));
    }
    let text = decoded(text);
    if text.is_empty() {
        return Err(VaultError::invalid("'policy' parameter not supplied or empty"));
    }
    Policy::parse(&text)
        .map_err(|error| VaultError::invalid(format!("failed to parse policy: {error}")))?;
    cx.put(&policy_key(&name), &StoredPolicy { text, modified_ms: millis(cx.now()) })
}

/// Removes a policy. Nothing happens if there is none.
///
/// # Errors
/// It is `root` or `default`.
pub fn delete(cx: &mut Context<'_>, name: &str) -> Result<(), VaultError> {
    match checked_name(name)?.as_str() {
        "root" => Err(VaultError::invalid("cannot delete \"root\" policy")),
        "default" => Err(VaultError::invalid("cannot delete default policy")),
        name => {
            let key = policy_key(name);
            if cx.revision(&key)? != 0 {
                cx.delete(&key);
            }
            Ok(())
        }
    }
}

/// The names of all policies, sorted.
///
/// # Errors
/// The store failed.
pub fn list(cx: &Context<'_>) -> Result<Vec<String>, VaultError> {
    let mut names: BTreeSet<String> = cx.keys(POLICIES, "", NAMES_MAX)?.into_iter().collect();
    names.extend(["default".to_owned(), "root".to_owned()]);
    Ok(names.into_iter().collect())
}

/// Whether a policy of this name exists; the built-in ones always do.
pub(crate) fn exists(cx: &mut Context<'_>, name: &str) -> Result<bool, VaultError> {
    Ok(matches!(name, "root" | "default") || cx.revision(&policy_key(name))? != 0)
}

/// A policy other than `root`, parsed.
pub(super) fn parsed(cx: &mut Context<'_>, name: &str) -> Result<Option<Arc<Policy>>, VaultError> {
    let policy = cx.get_shared(&policy_key(name))?;
    if policy.is_none() && name == "default" {
        let parsed = Policy::parse(DEFAULT_POLICY).map_err(VaultError::Internal)?;
        return Ok(Some(Arc::new(parsed)));
    }
    Ok(policy)
}

pub(super) fn policy_key(name: &str) -> String {
    format!("{POLICIES}{name}")
}

fn checked_name(name: &str) -> Result<String, VaultError> {
    let name = name.trim_matches('/').to_lowercase();
    if name.is_empty() {
        return Err(VaultError::invalid("missing name in path"));
    }
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(VaultError::invalid("invalid policy name"));
    }
    Ok(name)
}

/// Policies may come in base64.
fn decoded(text: &str) -> String {
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or_else(|| text.to_owned())
}
