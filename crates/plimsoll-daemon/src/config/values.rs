//! Values as Vault's files spell them: booleans and numbers may be strings.

use std::net::{SocketAddr, ToSocketAddrs};

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// `true`, `1`, `"true"`, `"1"` and their opposites.
///
/// # Errors
/// None of them.
pub fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(value) => Ok(value),
        Value::String(text) if matches!(text.as_str(), "true" | "1") => Ok(true),
        Value::String(text) if matches!(text.as_str(), "false" | "0" | "") => Ok(false),
        Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
        Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
        other => Err(D::Error::custom(format!("{other} is neither true nor false"))),
    }
}

/// A number of bytes.
///
/// # Errors
/// Not a whole number that is at least zero.
pub fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(from)?;
    let size = match &value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let size = size.ok_or_else(|| D::Error::custom(format!("{value} is not a size in bytes")))?;
    Ok(Some(size))
}

/// A list of strings, or one string with commas.
///
/// # Errors
/// Neither.
pub fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let value = Value::deserialize(from)?;
    let items = match &value {
        Value::String(text) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(items.map(str::to_owned).collect())
        }
        Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    items.ok_or_else(|| D::Error::custom(format!("{value} is not a list of strings")))
}

/// Where to listen: a host and a port. `what` names it in the error.
///
/// # Errors
/// It is none, or the host has no address.
pub fn address(what: &str, text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("{what}: \"{text}\" is not an address with a port"))
}
