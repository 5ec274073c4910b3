//! What an engine is: secrets and auth methods behind a mount.

use core::fmt::Debug;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::context::Scope;
use crate::error::VaultError;
use crate::request::Request;
use crate::response::Response;

/// The mount that a request was routed to, as its engine sees it.
#[derive(Clone, Debug)]
pub struct MountView {
    /// Where it is mounted, with a trailing slash: `secret/`, `auth/approle/`.
    pub path: String,
    /// Its accessor, as `auth list` prints it.
    pub accessor: String,
    /// Options given when it was enabled or tuned, e.g. `version` of kv.
    pub options: BTreeMap<String, String>,
    /// Its default and longest time to live in seconds, after the system's.
    pub default_lease_ttl: u64,
    /// See `default_lease_ttl`.
    pub max_lease_ttl: u64,
}

/// Who asks, after authentication. Absent on login paths.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What the token is stored under: never the token.
    pub token_hash: String,
    /// `display_name` of the token.
    pub display_name: String,
}

/// Everything an engine may use while it decides.
pub struct Call<'c, 'v> {
    /// The request; its `path` is still the whole one.
    pub request: &'c Request,
    /// The rest of the path, below the mount.
    pub path: &'c str,
    /// The mount.
    pub mount: &'c MountView,
    /// Who asks.
    pub caller: Option<&'c Caller>,
    /// The mount's own keys in the store.
    pub storage: Scope<'c, 'v>,
    /// What was computed beforehand, see [`Backend::prepare`].
    pub prepared: &'c Prepared,
}

impl Debug for Call<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Call").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Slow work that must be done before a decision, on the crypto pool: never on
/// the committer, never on an I/O thread.
#[derive(Debug, Default)]
pub enum Preparation {
    /// None.
    #[default]
    Nothing,
    /// Compare a password with a bcrypt hash.
    VerifyPassword {
        /// As the client sent it.
        password: secrecy::SecretString,
        /// As stored.
        hash: String,
    },
    /// Hash a password with bcrypt.
    HashPassword {
        /// As the client sent it.
        password: secrecy::SecretString,
    },
}

/// What came of a [`Preparation`].
#[derive(Debug, Default)]
pub enum Prepared {
    /// Nothing was asked for.
    #[default]
    Nothing,
    /// The password does, or does not, match that hash.
    PasswordVerified {
        /// The hash that was compared: the decision must find it still stored.
        hash: String,
        /// Whether it matched.
        matches: bool,
    },
    /// The hash of the password.
    PasswordHashed {
        /// In bcrypt's own format.
        hash: String,
    },
}

/// What a login grants: the core makes the token, its accessor and its lease
/// of it, in the same transaction as whatever the engine wrote.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Policies, `default` added by the core unless `no_default_policy`.
    pub policies: Vec<String>,
    /// Leave out `default`.
    pub no_default_policy: bool,
    /// Who it is, for people.
    pub display_name: String,
    /// Told to the client and the audit log.
    pub metadata: BTreeMap<String, String>,
    /// Seconds; 0 is the mount's default.
    pub ttl: u64,
    /// Seconds; 0 is the mount's.
    pub max_ttl: u64,
    /// Seconds; makes a periodic token.
    pub period: u64,
    /// Seconds; a hard end that no renewal moves.
    pub explicit_max_ttl: u64,
    /// Uses; 0 is unlimited.
    pub num_uses: u64,
    /// Addresses from which the token is accepted, in CIDR notation.
    pub bound_cidrs: Vec<String>,
    /// `service`, `batch` or empty for the mount's default.
    pub token_type: String,
}

/// What an engine decided.
#[derive(Debug, Default)]
pub struct Answer {
    /// What to tell the client.
    pub response: Response,
    /// Set by a login.
    pub grant: Option<Grant>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self { response, grant: None }
    }
}

/// An engine. It has no state of its own: everything is in the store, so that
/// a decision can be made again by the committer.
pub trait Backend: Debug + Send + Sync {
    /// `kv`, `cubbyhole`, `approle`, ...
    fn kind(&self) -> &'static str;

    /// Whether a path below the mount is open to clients without a token.
    fn is_login(&self, _path: &str) -> bool {
        false
    }

    /// Whether a login has a role, by which a quota can be told to apply.
    fn has_roles(&self) -> bool {
        false
    }

    /// The role that a login asks for, whether or not it will be granted.
    ///
    /// # Errors
    /// The store could not be read.
    fn login_role(&self, _call: &mut Call<'_, '_>) -> Result<Option<String>, VaultError> {
        Ok(None)
    }

    /// Whether a read of this path can write, so that it needs a place in the
    /// write queue like any other write.
    fn read_writes(&self, _path: &str) -> bool {
        false
    }

    /// Whether a write to this path gives space back, so that it is admitted when
    /// the disk is full; deletes are without being asked.
    fn frees(&self, _path: &str) -> bool {
        false
    }

    /// Whether what a write goes to exists already: the difference between
    /// the capabilities `create` and `update`. `None`: the engine does not
    /// distinguish, and it is an update.
    ///
    /// # Errors
    /// The store could not be read.
    fn exists(&self, _call: &mut Call<'_, '_>) -> Result<Option<bool>, VaultError> {
        Ok(None)
    }

    /// What must be computed before [`Backend::handle`] can decide.
    ///
    /// # Errors
    /// The request can be refused without computing anything.
    fn prepare(&self, _call: &mut Call<'_, '_>) -> Result<Preparation, VaultError> {
        Ok(Preparation::Nothing)
    }

    /// Decides. Pure but for `call.storage`, whose writes happen only if this
    /// returns `Ok`, all of them or none. May be called more than once.
    ///
    /// # Errors
    /// What the client is to be told.
    fn handle(&self, call: &mut Call<'_, '_>) -> Result<Answer, VaultError>;

    /// Called in the transaction that enables the mount.
    ///
    /// # Errors
    /// The options are not acceptable.
    fn initialize(&self, _call: &mut Call<'_, '_>) -> Result<(), VaultError> {
        Ok(())
    }
}

/// A JSON object from pairs: what every answer is made of.
pub fn object<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
