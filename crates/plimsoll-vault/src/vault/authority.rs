//! What the bearer of a token may do.

use crate::context::Context;
use crate::error::VaultError;
use crate::request::Request;
use crate::token::Authenticated;

/// The policies of a caller, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    is_root: bool,
}

impl Authority {
    pub(crate) fn of(_context: &mut Context<'_>, who: &Authenticated) -> Result<Self, VaultError> {
        Ok(Self { is_root: who.entry.is_root() })
    }

    pub(crate) fn sudo(&self, _path: &str) -> bool {
        self.is_root
    }

    pub(crate) fn may_see(&self, _path: &str) -> bool {
        self.is_root
    }

    pub(crate) fn check(
        &self,
        _request: &Request,
        _exists: impl FnOnce() -> Result<Option<bool>, VaultError>,
    ) -> Result<(), VaultError> {
        if self.is_root { Ok(()) } else { Err(VaultError::permission_denied()) }
    }
}
