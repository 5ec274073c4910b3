//! The policies of a token that somebody else asks about.

use secrecy::SecretString;

use crate::context::Context;
use crate::error::VaultError;
use crate::token::authenticate::ancestors_live;
use crate::token::entry::TokenEntry;
use crate::token::{TokenService, live};

impl TokenService {
    /// The policies of a token that can be used; `None` if there is none.
    pub(crate) fn policies(
        &self,
        cx: &mut Context<'_>,
        id: &SecretString,
    ) -> Result<Option<Vec<String>>, VaultError> {
        let found = self.find(cx, id)?.filter(|(_, entry)| entry.is_live(cx.now()));
        let Some((_, entry)) = found else { return Ok(None) };
        if_ancestors_live(cx, &entry)
    }

    /// As [`TokenService::policies`], of the token with this accessor.
    pub(crate) fn policies_of_accessor(
        &self,
        cx: &mut Context<'_>,
        accessor: &str,
    ) -> Result<Option<Vec<String>>, VaultError> {
        let hash = self.keys.hash_of_accessor(accessor);
        let Some(entry) = live(cx, &hash)? else { return Ok(None) };
        if_ancestors_live(cx, &entry)
    }
}

fn if_ancestors_live(
    cx: &mut Context<'_>,
    entry: &TokenEntry,
) -> Result<Option<Vec<String>>, VaultError> {
    Ok(ancestors_live(cx, entry)?.then(|| entry.policies.clone()))
}
