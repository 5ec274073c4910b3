//! The engines: what stands behind a mount.
//!
//! An engine has no state and no locks. It reads and writes through its scope
//! of the transaction, so everything that one request writes is one commit, and
//! the committer may decide it again when something that was read has changed.
//! Secrets engines are [`kv1`], [`kv2`] and [`cubbyhole`]; auth methods, which
//! grant tokens, are [`approle`] and [`userpass`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::backend::Backend;
use crate::error::VaultError;

pub mod approle;
pub mod cubbyhole;
pub(crate) mod fields;
pub(crate) mod go_format;
pub mod kv1;
pub mod kv2;
mod listing;
mod token_params;
pub mod userpass;

#[cfg(test)]
mod tests;

pub use crate::engines::listing::LIST_NAMES_MAX;

/// Flow keys are no longer than this, whatever a client sends.
const FLOW_KEY_BYTES_MAX: usize = 128;

/// The engine of a kind of mount; `None` if there is none, or none of the
/// version that the options ask for.
pub fn backend_for(kind: &str, options: &BTreeMap<String, String>) -> Option<Arc<dyn Backend>> {
    let version = options.get("version").map(String::as_str);
    match (kind, version) {
        ("kv-v2", _) | ("kv", Some("2")) => Some(Arc::new(kv2::Kv2)),
        ("kv-v1" | "generic", _) | ("kv", None | Some("" | "1")) => Some(Arc::new(kv1::Kv1)),
        ("cubbyhole", _) => Some(Arc::new(cubbyhole::Cubbyhole)),
        ("userpass", _) => Some(Arc::new(userpass::UserPass)),
        ("approle", _) => Some(Arc::new(approle::AppRole)),
        _ => None,
    }
}

/// Whose login this is, for fairness, before anything is verified: the role or
/// the user that it names. `path` is the one below the mount.
pub fn login_flow_key(kind: &str, path: &str, data: &Map<String, Value>) -> Option<String> {
    let name = match (kind, path.strip_prefix("login")?) {
        ("approle", "") => data.get("role_id")?.as_str()?.trim().to_owned(),
        ("userpass", user) => user.strip_prefix('/')?.to_lowercase(),
        _ => return None,
    };
    (!name.is_empty() && name.len() <= FLOW_KEY_BYTES_MAX).then_some(name)
}

/// 404 for a path that no engine serves, in Vault's words.
fn unsupported_path() -> VaultError {
    VaultError::NotFound(one_error("unsupported path"))
}

/// How Go prints a list of one error.
fn one_error(message: &str) -> String {
    format!("1 error occurred:\n\t* {message}\n\n")
}

/// Whether a role or user may be called this: letters, digits, `_`, and inside
/// also `-` and `.`.
fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= NAME_BYTES_MAX
        && bytes.first().copied().is_some_and(is_word)
        && bytes.last().copied().is_some_and(is_word)
        && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'-' | b'.'))
}

/// Names of roles and users are no longer than this.
const NAME_BYTES_MAX: usize = 512;
