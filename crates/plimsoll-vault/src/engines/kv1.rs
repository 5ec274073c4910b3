//! Key/value, version 1: what is written is what is read. One put per write,
//! and nothing is read for it.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::backend::{Answer, Backend, Call};
use crate::duration::parse_duration;
use crate::engines::listing;
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// The engine.
#[derive(Debug)]
pub struct Kv1;

impl Backend for Kv1 {
    fn kind(&self) -> &'static str {
        "kv"
    }

    fn exists(&self, call: &mut Call<'_, '_>) -> Result<Option<bool>, VaultError> {
        Ok(Some(call.storage.get::<IgnoredAny>(call.path)?.is_some()))
    }

    fn handle(&self, call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
        match call.request.operation {
            Operation::Write => write(call),
            Operation::Read => read(call),
            Operation::Delete => {
                call.storage.delete(call.path);
                Ok(Response::default().into())
            }
            Operation::List => listing::list(call, "", call.path),
            Operation::Patch => Err(VaultError::Unsupported),
        }
    }
}

fn write(call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
    writable(call.path, &call.request.data)?;
    call.storage.put(call.path, &call.request.data)?;
    Ok(Response::default().into())
}

/// Refuses a write to no key and a write of nothing.
pub(crate) fn writable(path: &str, data: &Map<String, Value>) -> Result<(), VaultError> {
    if path.is_empty() {
        return Err(VaultError::invalid("missing path"));
    }
    if path.ends_with('/') {
        return Err(VaultError::invalid("cannot write to a path ending in '/'"));
    }
    if data.is_empty() {
        return Err(VaultError::invalid("missing data fields"));
    }
    Ok(())
}

fn read(call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
    let data: Map<String, Value> =
        call.storage.get(call.path)?.ok_or_else(VaultError::not_found)?;
    // A hint from whoever wrote it when to read it again; nothing expires.
    let hint = data.get("ttl").or_else(|| data.get("lease"));
    let lease_duration = hint.and_then(|hint| parse_duration(hint).ok());
    Ok(Response {
        lease_duration: lease_duration.unwrap_or(call.mount.default_lease_ttl),
        ..Response::data(data)
    }
    .into())
}
