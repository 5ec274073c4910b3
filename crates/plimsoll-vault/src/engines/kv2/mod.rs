//! Key/value, version 2: every write of a key makes a new version, and old ones
//! can be read, deleted, undeleted and destroyed.
//!
//! # Keys
//! | key | value |
//! |---|---|
//! | `config` | what holds for all keys of the mount |
//! | `metadata/<path>` | the versions of a key and its settings, without data |
//! | `versions/<path>/<number>` | the data of one version |
//!
//! The last segment below `versions/` is always the number, so `a` and `a/1` do
//! not collide. Every write reads and writes the metadata of its key, so two
//! writes of one key never decide on the same state: versions are numbered in
//! the order of commits. A write is one transaction of the version, the metadata
//! and the removal of versions that are too old.

mod config;
mod data;
mod merge;
mod metadata;
mod record;
mod versions;

use serde::de::IgnoredAny;

use crate::backend::{Answer, Backend, Call};
use crate::engines::listing;
use crate::error::VaultError;
use crate::request::Operation;
use crate::response::Response;

/// The engine.
#[derive(Debug)]
pub struct Kv2;

impl Backend for Kv2 {
    fn kind(&self) -> &'static str {
        "kv"
    }

    fn frees(&self, path: &str) -> bool {
        path.starts_with("delete/") || path.starts_with("destroy/")
    }

    fn exists(&self, call: &mut Call<'_, '_>) -> Result<Option<bool>, VaultError> {
        match split(call.path) {
            ("data" | "metadata", path) => {
                let metadata = call.storage.get::<IgnoredAny>(&record::key(path))?;
                Ok(Some(metadata.is_some()))
            }
            _ => Ok(None),
        }
    }

    fn handle(&self, call: &mut Call<'_, '_>) -> Result<Answer, VaultError> {
        let (verb, path) = split(call.path);
        let operation = call.request.operation;
        if matches!(operation, Operation::Write | Operation::Patch) && path.ends_with('/') {
            return Err(VaultError::invalid("cannot write to a path ending in '/'"));
        }
        match (verb, operation) {
            ("data", Operation::Read) => data::read(call, path),
            ("data", Operation::Write) => data::write(call, path),
            ("data", Operation::Patch) => data::patch(call, path),
            ("data", Operation::Delete) => versions::delete_current(call, path),
            ("subkeys", Operation::Read) => data::read_subkeys(call, path),
            ("delete", Operation::Write) => versions::delete(call, path),
            ("undelete", Operation::Write) => versions::undelete(call, path),
            ("destroy", Operation::Write) => versions::destroy(call, path),
            ("metadata", Operation::Read) => metadata::read(call, path),
            ("metadata", Operation::Write) => metadata::write(call, path),
            ("metadata", Operation::Patch) => metadata::patch(call, path),
            ("metadata", Operation::Delete) => metadata::delete(call, path),
            ("metadata", Operation::List) => listing::list(call, "metadata/", path),
            ("config", Operation::Read) if path.is_empty() => config::read(call),
            ("config", Operation::Write) if path.is_empty() => config::write(call),
            ("data" | "subkeys" | "delete" | "undelete" | "destroy", _) => {
                Err(VaultError::Unsupported)
            }
            ("config", _) if path.is_empty() => Err(VaultError::Unsupported),
            _ => Ok(version_1_path(operation).into()),
        }
    }
}

/// What is asked for, and of which key.
fn split(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

/// The answer to a client that takes the mount for version 1.
fn version_1_path(operation: Operation) -> Response {
    let verb = match operation {
        Operation::Write => "put",
        Operation::Read => "get",
        Operation::List => "list",
        Operation::Delete => "delete",
        Operation::Patch => "patch",
    };
    let warning = format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate \
         API endpoints to use. If using the Vault CLI, use 'vault kv {verb}' for this operation."
    );
    Response { status: Some(404), warnings: vec![warning], ..Response::default() }
}
