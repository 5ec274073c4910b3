//! What is stored of a token, and where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::context::UnixTime;

/// Tokens by hash.
pub(crate) const IDS: &str = "sys/token/id/";
/// Children by their parent's hash: `<parent>/<child>`.
pub(crate) const CHILDREN: &str = "sys/token/parent/";
/// Revocations whose background work is not done: see [`super::revoke`].
pub(crate) const REVOCATIONS: &str = "sys/token/revoke/";
/// Where the cubbyhole of a token is: `<hash>/`.
pub(crate) const CUBBYHOLES: &str = "logical/cubbyhole/";

/// Kept in the store or sealed into the token itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// `hvs.`: stored, can be renewed, revoked and have children.
    #[default]
    Service,
    /// `hvb.`: everything is in the token; nothing is stored.
    Batch,
}

impl TokenKind {
    /// As Vault names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }
}

/// What may be done with a stored token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TokenState {
    /// It is good until it expires.
    #[default]
    Active,
    /// Its last use is under way or was not followed by its removal.
    Spent,
    /// Revoked; it stays as a sign that its children live on as orphans, until
    /// each of them has been told.
    LeavesOrphans,
}

/// A token without its id. Times are milliseconds since the Unix epoch,
/// durations are seconds; 0 is "none" where it says so.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TokenEntry {
    /// Names the token without giving the right to use it; empty for batch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub accessor: String,
    /// In lower case, sorted.
    pub policies: Vec<String>,
    /// The request path that created it.
    pub path: String,
    /// For people.
    pub display_name: String,
    /// As the creator said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<BTreeMap<String, String>>,
    /// When.
    pub created_ms: u64,
    /// How long it was to live; 0 is for ever.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ttl: u64,
    /// The limit of its renewals, counted from its creation: what its mount and
    /// its role allowed then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_ttl: u64,
    /// The limit that also binds periodic tokens; 0 is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub explicit_max_ttl: u64,
    /// What every renewal renews to; 0 is not periodic.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub period: u64,
    /// Uses left; 0 is unlimited.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub num_uses: u64,
    /// When it ends; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Where its entry in the index of expiries is: at or before `expires_ms`.
    /// Renewals leave it alone; whoever finds it due moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed_ms: Option<u64>,
    /// The last renewal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_ms: Option<u64>,
    /// Whether it may be renewed.
    #[serde(default)]
    pub renewable: bool,
    /// The hash of the parent, without which it is nothing; `None`: an orphan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How many ancestors it has.
    #[serde(default)]
    pub(crate) depth: u32,
    /// Whether a child was ever made. So that the revocation of a token without
    /// any needs no background work, yet rests on no range being empty.
    #[serde(default)]
    pub(crate) has_children: bool,
    /// See [`TokenState`].
    #[serde(default)]
    pub(crate) state: TokenState,
    /// Where it may be used from; empty is anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<String>,
    /// See [`TokenKind`].
    #[serde(default)]
    pub kind: TokenKind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl TokenEntry {
    /// Whether it has come to its end.
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_ms.is_some_and(|end| end <= millis(now))
    }

    /// Whether it can be used, leaving its ancestors aside.
    pub(crate) fn is_live(&self, now: UnixTime) -> bool {
        self.state == TokenState::Active && !self.is_expired(now)
    }

    /// Whole seconds that are left; 0 if there is no end.
    pub fn ttl_left(&self, now: UnixTime) -> u64 {
        self.expires_ms.map_or(0, |end| end.saturating_sub(millis(now)) / 1000)
    }

    /// Whether it is `root`.
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    /// The id of its lease, as `sys/leases` shows it.
    pub fn lease_id(&self, hash: &str) -> String {
        format!("{}/h{hash}", self.path)
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis(time: UnixTime) -> u64 {
    u64::try_from(time.0.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn id_key(hash: &str) -> String {
    format!("{IDS}{hash}")
}

pub(crate) fn child_key(parent: &str, child: &str) -> String {
    format!("{CHILDREN}{parent}/{child}")
}

pub(crate) fn revocation_key(hash: &str) -> String {
    format!("{REVOCATIONS}{hash}")
}
