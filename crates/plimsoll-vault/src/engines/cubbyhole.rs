//! A cubbyhole per token: nobody else can read it, not even root, and it goes
//! when the token does: the core revokes everything below its hash.

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::backend::{Answer, Backend, Call};
use crate::engines::kv1::writable;
use crate::engines::listing;
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// The engine.
#[derive(Debug)]
pub struct Cubbyhole;

impl Backend for Cubbyhole {
    fn kind(&self) -> &'static str {
        "cubbyhole"
    }

    fn exists(&self, call: &mut Call<'_, '_>) -> Result<Option<bool>, VaultError> {
        let key = key(call)?;
        Ok(Some(call.storage.get::<IgnoredAny>(&key)?.is_some()))
    }

    fn handle(&self, call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
        let key = key(call)?;
        match call.request.operation {
            Operation::Write => {
                writable(call.path, &call.request.data)?;
                call.storage.put(&key, &call.request.data)?;
                Ok(Response::default().into())
            }
            Operation::Read if call.path.is_empty() => Err(VaultError::invalid("missing path")),
            Operation::Read => {
                let data: Option<Map<String, Value>> = call.storage.get(&key)?;
                Ok(Response::data(data.ok_or_else(VaultError::not_found)?).into())
            }
            Operation::Delete => {
                call.storage.delete(&key);
                Ok(Response::default().into())
            }
            Operation::List => listing::list(call, "", &key),
            Operation::Patch => Err(VaultError::Unsupported),
        }
    }
}

/// Where a path of the caller's own cubbyhole is stored.
fn key(call: &Call<'_, '_>) -> Result<String, VaultError> {
    let caller = call.caller.ok_or_else(VaultError::permission_denied)?;
    Ok(format!("{}/{}", caller.token_hash, call.path))
}
