//! The syntax of configuration files: HCL or JSON, as Vault reads them.
//!
//! Every error is one line, for an operator's log.

mod blocks;
pub mod values;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use crate::config::blocks::{Block, take_labelled, take_single};

/// A file's keys and blocks; JSON if it begins with a brace, HCL otherwise.
///
/// # Errors
/// It is neither.
pub fn syntax(text: &str) -> Result<Map<String, Value>, String> {
    let value: Value = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| one_line(&error))?
    } else {
        hcl::from_str(text).map_err(|error| one_line(&error))?
    };
    match value {
        Value::Object(file) => Ok(file),
        _ => Err("expected keys and blocks".to_owned()),
    }
}

/// The typed form of what stands in `block`; `""` is the file itself.
///
/// # Errors
/// What is unknown, missing or of the wrong type, naming the block.
pub fn typed<T: for<'de> Deserialize<'de>>(block: &str, value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| match block {
        "" => one_line(&error),
        block => format!("{block}: {}", one_line(&error)),
    })
}

/// Parsers draw pictures of their errors; an operator's log wants a line.
fn one_line(error: &dyn core::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
