//! Lists of policy names.

use serde_json::Value;

use crate::error::VaultError;

/// Policies of a token, and names in any list that a client sends.
pub const NAMES_MAX: usize = 1024;

/// In lower case, sorted, without doubles; `root` is alone, and otherwise
/// `default` is added if asked for.
pub fn sanitized(policies: &[String], add_default: bool) -> Vec<String> {
    let mut names: Vec<String> = policies
        .iter()
        .map(|policy| policy.trim().to_lowercase())
        .filter(|policy| !policy.is_empty())
        .collect();
    if names.iter().any(|policy| policy == "root") {
        return vec!["root".to_owned()];
    }
    if add_default {
        names.push("default".to_owned());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// A list of names in a body: an array, or one string with commas.
///
/// # Errors
/// It is something else, or too long.
pub fn names_field(value: Option<&Value>, field: &str) -> Result<Vec<String>, VaultError> {
    let names = match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => {
            Some(text.split(',').map(|name| name.trim().to_owned()).collect())
        }
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(|name| name.trim().to_owned())).collect()
        }
        Some(_) => None,
    };
    let mut names: Vec<String> =
        names.ok_or_else(|| conversion_error(field, "a list of strings"))?;
    names.retain(|name| !name.is_empty());
    if names.len() > NAMES_MAX {
        return Err(VaultError::invalid(format!("more than {NAMES_MAX} names in \"{field}\"")));
    }
    Ok(names)
}

/// Vault's words for a field of the wrong type.
pub(crate) fn conversion_error(field: &str, expected: &str) -> VaultError {
    VaultError::invalid(format!(
        "Field validation failed: error converting input for field \"{field}\": \
         expected {expected}"
    ))
}
