//! A new token: itself, its lease and its place under its parent, written
//! together with whatever else the decision writes.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use crate::backend::Grant;
use crate::context::Context;
use crate::error::VaultError;
use crate::lease::index;
use crate::response::AuthResponse;
use crate::token::entry::{TokenEntry, TokenKind, child_key, id_key, millis, revocation_key};
use crate::token::policies::sanitized;
use crate::token::secret::random_service_id;
use crate::token::ttl::{Terms, Ttls, granted_ttl};
use crate::token::{TokenService, live};

/// A token has at most this many ancestors, each of which is looked at whenever
/// it is used.
pub const TOKEN_DEPTH_MAX: u32 = 32;

/// What a token is to be. Everything is decided: durations are granted, policies
/// are sanitized.
#[derive(Debug, Default)]
pub struct NewToken {
    /// Chosen by the client, else random.
    pub id: Option<SecretString>,
    /// All of them.
    pub policies: Vec<String>,
    /// The request path.
    pub path: String,
    /// For people.
    pub display_name: String,
    /// Told to the client.
    pub meta: Option<BTreeMap<String, String>>,
    /// 0 is unlimited.
    pub num_uses: u64,
    /// Seconds; 0 is for ever.
    pub ttl: u64,
    /// Seconds from now beyond which no renewal goes, unless it is periodic.
    pub max_ttl: u64,
    /// Seconds; 0 is none.
    pub explicit_max_ttl: u64,
    /// Seconds; 0 is not periodic.
    pub period: u64,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// The parent's hash.
    pub parent: Option<String>,
    /// Where it may be used from.
    pub bound_cidrs: Vec<String>,
    /// Service or batch.
    pub kind: TokenKind,
}

/// A token that was issued, if the decision is committed.
#[derive(Debug)]
pub struct Issued {
    /// For the client.
    pub auth: AuthResponse,
    /// What it is stored under, or would be if it is a batch token.
    pub hash: String,
    /// For the client.
    pub warnings: Vec<String>,
}

impl TokenService {
    /// The first token: `root`, for ever.
    ///
    /// # Errors
    /// `id` is taken, or the store failed.
    pub fn issue_root(
        &self,
        cx: &mut Context<'_>,
        id: Option<SecretString>,
    ) -> Result<Issued, VaultError> {
        let token = NewToken {
            id,
            policies: vec!["root".to_owned()],
            path: "auth/token/root".to_owned(),
            display_name: "root".to_owned(),
            ..NewToken::default()
        };
        self.issue(cx, token)
    }

    /// The token of a login. `path` is that of the request, `mount` the path of
    /// the auth method (`auth/approle/`).
    ///
    /// # Errors
    /// The grant is not allowed, or the store failed.
    pub fn issue_login(
        &self,
        cx: &mut Context<'_>,
        grant: Grant,
        path: &str,
        mount: &str,
        ttls: Ttls,
    ) -> Result<Issued, VaultError> {
        let policies = sanitized(&grant.policies, !grant.no_default_policy);
        if policies.iter().any(|policy| policy == "root") {
            return Err(VaultError::invalid("auth methods cannot create root tokens"));
        }
        let kind = match grant.token_type.as_str() {
            "batch" | "default-batch" => TokenKind::Batch,
            _ => TokenKind::Service,
        };
        let mut warnings = Vec::new();
        let terms = Terms {
            ttl: grant.ttl,
            period: grant.period,
            max_ttl: grant.max_ttl,
            explicit_max_ttl: grant.explicit_max_ttl,
            ..Terms::default()
        };
        let ttl = granted_ttl(terms, ttls, &mut warnings)?;
        let is_service = kind == TokenKind::Service;
        let token = NewToken {
            id: None,
            policies,
            path: path.to_owned(),
            display_name: login_display_name(mount, &grant.display_name),
            meta: Some(grant.metadata),
            num_uses: if is_service { grant.num_uses } else { 0 },
            ttl,
            max_ttl: match grant.max_ttl {
                0 => ttls.max,
                of_role => of_role.min(ttls.max),
            },
            explicit_max_ttl: grant.explicit_max_ttl,
            period: grant.period,
            renewable: is_service,
            parent: None,
            bound_cidrs: grant.bound_cidrs,
            kind,
        };
        let mut issued = self.issue(cx, token)?;
        issued.warnings.append(&mut warnings);
        Ok(issued)
    }

    /// Any token.
    ///
    /// # Errors
    /// Its id is taken, its parent is gone or too deep, or the store failed.
    pub fn issue(&self, cx: &mut Context<'_>, token: NewToken) -> Result<Issued, VaultError> {
        let mut entry = entry_of(cx, &token);
        if entry.kind == TokenKind::Batch {
            let id = self.keys.seal_batch(&entry)?;
            return Ok(Issued {
                auth: auth_response(&entry, id.expose_secret(), entry.ttl),
                hash: self.keys.hash(&id),
                warnings: Vec::new(),
            });
        }
        let is_custom = token.id.is_some();
        let id = token.id.map_or_else(random_service_id, Ok)?;
        entry.accessor = self.keys.accessor(&id);
        let hash = self.keys.hash_of_accessor(&entry.accessor);
        if is_custom {
            refuse_taken(cx, &hash)?;
        }
        if let Some(parent) = &token.parent {
            entry.depth = adopt(cx, parent, &hash)?;
        }
        index::add(cx, &mut entry, &hash)?;
        cx.put(&id_key(&hash), &entry)?;
        let auth = auth_response(&entry, id.expose_secret(), entry.ttl);
        Ok(Issued { auth, hash, warnings: Vec::new() })
    }
}

fn entry_of(cx: &Context<'_>, token: &NewToken) -> TokenEntry {
    let now_ms = millis(cx.now());
    TokenEntry {
        policies: token.policies.clone(),
        path: token.path.clone(),
        display_name: token.display_name.clone(),
        meta: token.meta.clone().filter(|meta| !meta.is_empty()),
        created_ms: now_ms,
        ttl: token.ttl,
        max_ttl: token.max_ttl,
        explicit_max_ttl: token.explicit_max_ttl,
        period: token.period,
        num_uses: token.num_uses,
        expires_ms: (token.ttl > 0).then(|| now_ms.saturating_add(token.ttl * 1000)),
        renewable: token.renewable,
        parent: token.parent.clone(),
        bound_cidrs: token.bound_cidrs.clone(),
        kind: token.kind,
        ..TokenEntry::default()
    }
}

/// A chosen id must be free: of a token, and of what a revoked one left behind.
fn refuse_taken(cx: &mut Context<'_>, hash: &str) -> Result<(), VaultError> {
    let is_taken = cx.revision(&id_key(hash))? != 0 || cx.revision(&revocation_key(hash))? != 0;
    if is_taken {
        return Err(VaultError::invalid("cannot create a token with a duplicate ID"));
    }
    Ok(())
}

/// Puts a child under its parent, whose entry is thereby compared at commit:
/// there are no children of a parent that was revoked meanwhile.
fn adopt(cx: &mut Context<'_>, parent: &str, child: &str) -> Result<u32, VaultError> {
    let mut entry = live(cx, parent)?.ok_or_else(VaultError::permission_denied)?;
    let depth = entry.depth + 1;
    if depth > TOKEN_DEPTH_MAX {
        return Err(VaultError::invalid(format!(
            "tokens may have at most {TOKEN_DEPTH_MAX} ancestors"
        )));
    }
    if !entry.has_children {
        entry.has_children = true;
        cx.put(&id_key(parent), &entry)?;
    }
    cx.put(&child_key(parent, child), &())?;
    Ok(depth)
}

/// The `auth` object for a token. `id` is empty where its caller must not learn
/// it.
pub(crate) fn auth_response(entry: &TokenEntry, id: &str, lease_duration: u64) -> AuthResponse {
    AuthResponse {
        client_token: id.to_owned(),
        accessor: entry.accessor.clone(),
        policies: entry.policies.clone(),
        token_policies: entry.policies.clone(),
        metadata: entry.meta.clone(),
        lease_duration,
        renewable: entry.renewable,
        entity_id: String::new(),
        token_type: entry.kind.as_str().to_owned(),
        orphan: entry.parent.is_none(),
        mfa_requirement: None,
        num_uses: entry.num_uses,
    }
}

/// `auth/ldap/eu/` and `bob` make `ldap-eu-bob`.
fn login_display_name(mount: &str, name: &str) -> String {
    let source = mount.strip_prefix("auth/").unwrap_or(mount).replace('/', "-");
    format!("{source}{name}").trim_end_matches('-').to_owned()
}
