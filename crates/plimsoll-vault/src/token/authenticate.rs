//! Who presents a token, and whether it is still good.
//!
//! A child is nothing without its parent, so its ancestors are looked at every
//! time: the revocation of one token ends all its descendants in one commit,
//! however many there are, and removing them can wait.

use core::net::IpAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::cidr;
use crate::context::Context;
use crate::error::VaultError;
use crate::token::entry::{TokenEntry, TokenKind, TokenState, id_key};
use crate::token::issue::TOKEN_DEPTH_MAX;
use crate::token::secret::{BATCH_PREFIX, TOKEN_BYTES_MAX};
use crate::token::{TokenService, revoke};

/// A token that was presented and is good.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// What it is stored under, or would be if it is a batch token.
    pub hash: String,
    /// As it was before this use was counted.
    pub entry: Arc<TokenEntry>,
    /// Whether this was its last use: [`TokenService::finish`] removes it.
    pub is_last_use: bool,
}

impl TokenService {
    /// What a token's entry is stored under: for caches and flows.
    pub fn hash(&self, id: &SecretString) -> String {
        self.keys.hash(id)
    }

    /// Checks a presented token and, if its uses are counted, counts this one:
    /// the decision then has something to write even if the request is a read.
    /// To be kept when the request itself fails, so take the savepoint after.
    ///
    /// # Errors
    /// `permission denied` whatever the reason, or the store failed.
    pub fn authenticate(
        &self,
        cx: &mut Context<'_>,
        id: &SecretString,
        remote: IpAddr,
    ) -> Result<Authenticated, VaultError> {
        let denied = VaultError::permission_denied;
        let (hash, entry) = self.find(cx, id)?.ok_or_else(denied)?;
        if !entry.is_live(cx.now()) || !ancestors_live(cx, &entry)? {
            return Err(denied());
        }
        if !cidr::allowed(&entry.bound_cidrs, remote) {
            return Err(denied());
        }
        let is_last_use = count_use(cx, &hash, &entry)?;
        Ok(Authenticated { hash, entry, is_last_use })
    }

    /// A key for one purpose, from the server's own.
    pub(crate) fn derive(&self, purpose: &str, from: &[u8]) -> [u8; 32] {
        self.keys.derive(purpose, from)
    }

    /// Whether a presented token is good; this is not a use of it.
    pub(crate) fn admits(
        &self,
        cx: &mut Context<'_>,
        id: &SecretString,
        remote: IpAddr,
    ) -> Result<bool, VaultError> {
        let Some((_, entry)) = self.find(cx, id)? else { return Ok(false) };
        Ok(entry.is_live(cx.now())
            && ancestors_live(cx, &entry)?
            && cidr::allowed(&entry.bound_cidrs, remote))
    }

    /// To be called when the request is done, whatever came of it, before the
    /// transaction is made: removes a token after its last use.
    ///
    /// # Errors
    /// The store failed. The token is of no use all the same.
    pub fn finish(&self, cx: &mut Context<'_>, caller: &Authenticated) -> Result<(), VaultError> {
        if caller.is_last_use { revoke::tree(cx, &caller.hash) } else { Ok(()) }
    }

    /// The entry of a token in whatever state, and its hash.
    pub(crate) fn find(
        &self,
        cx: &mut Context<'_>,
        id: &SecretString,
    ) -> Result<Option<(String, Arc<TokenEntry>)>, VaultError> {
        let text = id.expose_secret();
        if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
            return Ok(None);
        }
        let hash = self.keys.hash(id);
        let entry = if text.starts_with(BATCH_PREFIX) {
            self.keys.open_batch(id).map(Arc::new)
        } else {
            cx.get_shared(&id_key(&hash))?
        };
        Ok(entry.map(|entry| (hash, entry)))
    }
}

/// Whether every ancestor can still be used. Each is compared at commit.
pub(crate) fn ancestors_live(cx: &mut Context<'_>, entry: &TokenEntry) -> Result<bool, VaultError> {
    let now = cx.now();
    let mut parent = entry.parent.clone();
    for _ in 0..=TOKEN_DEPTH_MAX {
        let Some(hash) = parent else { return Ok(true) };
        let Some(entry) = cx.get_shared::<TokenEntry>(&id_key(&hash))? else { return Ok(false) };
        match entry.state {
            TokenState::LeavesOrphans => return Ok(true),
            TokenState::Active if !entry.is_expired(now) => parent = entry.parent.clone(),
            TokenState::Active | TokenState::Spent => return Ok(false),
        }
    }
    Ok(false)
}

/// Whether it was the last.
fn count_use(cx: &mut Context<'_>, hash: &str, entry: &TokenEntry) -> Result<bool, VaultError> {
    if entry.num_uses == 0 || entry.kind == TokenKind::Batch {
        return Ok(false);
    }
    let mut used = entry.clone();
    used.num_uses -= 1;
    let is_last_use = used.num_uses == 0;
    if is_last_use {
        used.state = TokenState::Spent;
    }
    cx.put(&id_key(hash), &used)?;
    Ok(is_last_use)
}
