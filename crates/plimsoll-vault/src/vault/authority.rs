//! What the bearer of a token may do.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::VaultError;
use crate::policy::{Access, Acl};
use crate::request::{Operation, Request};

/// The policies of a caller, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Authority(pub(crate) Arc<Acl>);

impl Authority {
    /// Whether `sudo` is granted on a path.
    pub(crate) fn sudo(&self, path: &str) -> bool {
        self.0.has_sudo(path)
    }

    /// Whether the caller may know that a mount is there.
    pub(crate) fn may_see(&self, mount: &str) -> bool {
        self.0.reaches(mount)
    }

    /// Whether anything is granted on a path.
    pub(crate) fn grants(&self, path: &str) -> bool {
        self.0.capabilities(path) != ["deny"]
    }

    /// Whether a request is allowed. `exists` says whether what it writes to is
    /// there already, and is asked only if that makes a difference.
    pub(crate) fn check(
        &self,
        request: &Request,
        exists: impl FnOnce() -> Result<Option<bool>, VaultError>,
    ) -> Result<(), VaultError> {
        if self.0.is_root() {
            return Ok(());
        }
        let parameters = parameters(request);
        let parameters = parameters.as_ref().unwrap_or(&request.data);
        let allows = |access| self.0.allows(access, &request.path, parameters).is_ok();
        let is_allowed = match request.operation {
            Operation::Write => match (allows(Access::Create), allows(Access::Update)) {
                (true, true) => true,
                (false, false) => false,
                (creates, _) => (exists()? == Some(false)) == creates,
            },
            operation => allows(Access::of(operation, None)),
        };
        if is_allowed { Ok(()) } else { Err(denied()) }
    }
}

/// Body and query together, if there is a query.
fn parameters(request: &Request) -> Option<Map<String, Value>> {
    if request.query.is_empty() {
        return None;
    }
    let mut parameters = request.data.clone();
    for (key, value) in &request.query {
        parameters.entry(key).or_insert_with(|| value.as_str().into());
    }
    Some(parameters)
}

/// As Go prints a list of one error, which clients know it by.
fn denied() -> VaultError {
    VaultError::Denied("1 error occurred:\n\t* permission denied\n\n".to_owned())
}
