//! Tokens: what a client shows to be let in.
//!
//! A service token is one entry under `sys/token/id/<hash>`; its lease is part of
//! it. Everything that a login writes is that entry and two index entries, in
//! the transaction of the login itself: there is no token without its lease,
//! and no lease without its token.
//!
//! * [`secret`]: ids, and how the store does without them;
//! * [`issue`], [`authenticate`], [`renew`], [`revoke`]: a token's life;
//! * [`handle`]: the paths of `auth/token/`.
//!
//! Roles (`auth/token/roles`) and entities are not supported.

pub(crate) mod authenticate;
mod create;
pub(crate) mod entry;
mod handle;
pub(crate) mod issue;
pub(crate) mod lookup;
pub mod policies;
pub(crate) mod renew;
pub(crate) mod revoke;
pub(crate) mod secret;
#[cfg(test)]
pub(crate) mod support;
#[cfg(test)]
mod tests;
pub(crate) mod ttl;
mod whose;

use std::sync::Arc;

use crate::context::Context;
use crate::error::VaultError;
use crate::token::entry::id_key;
use crate::token::secret::TokenKeys;

pub use crate::token::authenticate::Authenticated;
pub use crate::token::entry::{TokenEntry, TokenKind};
pub use crate::token::handle::TokenCall;
pub use crate::token::issue::{Issued, NewToken, TOKEN_DEPTH_MAX};
pub use crate::token::secret::TOKEN_BYTES_MAX;
pub use crate::token::ttl::Ttls;

/// The token functions with the keys they need. Exists while the server is
/// unsealed; cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenService {
    keys: Arc<TokenKeys>,
}

impl TokenService {
    /// `hash_key` turns ids into what is stored, `batch_key` protects batch
    /// tokens: two random keys, made at initialisation and kept behind the
    /// barrier. Whoever loses the first loses all tokens.
    pub fn new(hash_key: &[u8; 32], batch_key: &[u8; 32]) -> Self {
        Self { keys: Arc::new(TokenKeys::new(hash_key, batch_key)) }
    }
}

/// The entry of a token that can be used, leaving its ancestors aside.
pub(crate) fn live(cx: &mut Context<'_>, hash: &str) -> Result<Option<TokenEntry>, VaultError> {
    let now = cx.now();
    Ok(cx.get::<TokenEntry>(&id_key(hash))?.filter(|entry| entry.is_live(now)))
}
