//! The policies of a token, merged, as they answer requests.

use core::cmp::Reverse;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::VaultError;
use crate::policy::capability::Capabilities;
use crate::policy::parse::{Pattern, Permissions, Policy};
use crate::policy::store;
use crate::request::Operation;

/// What is to be done, as policies distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A write to what does not exist.
    Create,
    /// A write to what exists, or where the difference is unknown.
    Update,
    /// See [`Operation::Read`].
    Read,
    /// See [`Operation::List`].
    List,
    /// See [`Operation::Delete`].
    Delete,
    /// See [`Operation::Patch`].
    Patch,
}

impl Access {
    /// `exists` is what the engine said of the target of a write.
    pub const fn of(operation: Operation, exists: Option<bool>) -> Self {
        match (operation, exists) {
            (Operation::Write, Some(false)) => Self::Create,
            (Operation::Write, _) => Self::Update,
            (Operation::Read, _) => Self::Read,
            (Operation::List, _) => Self::List,
            (Operation::Delete, _) => Self::Delete,
            (Operation::Patch, _) => Self::Patch,
        }
    }

    const fn capability(self) -> Capabilities {
        match self {
            Self::Create => Capabilities::CREATE,
            Self::Update => Capabilities::UPDATE,
            Self::Read => Capabilities::READ,
            Self::List => Capabilities::LIST,
            Self::Delete => Capabilities::DELETE,
            Self::Patch => Capabilities::PATCH,
        }
    }

    /// Whether limits on parameters bind it.
    const fn has_parameters(self) -> bool {
        !matches!(self, Self::List | Self::Delete)
    }
}

/// No policy allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied;

impl From<Denied> for VaultError {
    fn from(_: Denied) -> Self {
        Self::permission_denied()
    }
}

/// See the module. Immutable; to be shared.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    is_root: bool,
    exact: HashMap<String, Permissions>,
    /// Sorted by prefix.
    prefixes: Vec<(String, Permissions)>,
    /// The first that matches is the one that counts.
    segments: Vec<SegmentRule>,
}

#[derive(Clone, Debug)]
struct SegmentRule {
    text: String,
    is_prefix: bool,
    permissions: Permissions,
}

/// Which of several matching patterns counts: the greatest. The position of the
/// first wildcard; no `*` at the end; few `+`; length; the alphabet.
type Priority<'a> = (usize, bool, Reverse<usize>, usize, &'a str);

impl Acl {
    /// What the policy `root` allows: everything.
    pub fn root() -> Self {
        Self { is_root: true, ..Self::default() }
    }

    /// Merges policies.
    pub fn compile(policies: &[Arc<Policy>]) -> Self {
        let mut merged: BTreeMap<&Pattern, Permissions> = BTreeMap::new();
        for rule in policies.iter().flat_map(|policy| &policy.rules) {
            merged
                .entry(&rule.pattern)
                .and_modify(|permissions| permissions.merge(&rule.permissions))
                .or_insert_with(|| rule.permissions.clone());
        }
        let mut acl = Self::default();
        for (pattern, permissions) in merged {
            match pattern.clone() {
                Pattern::Exact(path) => drop(acl.exact.insert(path, permissions)),
                Pattern::Prefix(prefix) => acl.prefixes.push((prefix, permissions)),
                Pattern::Segments { text, is_prefix } => {
                    acl.segments.push(SegmentRule { text, is_prefix, permissions });
                }
            }
        }
        // The prefixes come sorted out of the map.
        acl.segments.sort_by(|one, other| other.priority().cmp(&one.priority()));
        acl
    }

    /// The ACL of a token with these policies. Those that do not exist allow
    /// nothing.
    ///
    /// # Errors
    /// The store failed, or holds a policy that cannot be read.
    pub fn load(cx: &mut Context<'_>, names: &[String]) -> Result<Self, VaultError> {
        if names.iter().any(|name| name == "root") {
            return Ok(Self::root());
        }
        let mut policies = Vec::with_capacity(names.len());
        for name in names {
            policies.extend(store::parsed(cx, name)?);
        }
        Ok(Self::compile(&policies))
    }

    /// Whether it stands for the policy `root`.
    pub const fn is_root(&self) -> bool {
        self.is_root
    }

    /// Whether a request is allowed. `data` are its parameters, query included.
    ///
    /// # Errors
    /// It is not.
    pub fn allows(
        &self,
        access: Access,
        path: &str,
        data: &Map<String, Value>,
    ) -> Result<(), Denied> {
        if self.is_root {
            return Ok(());
        }
        let permissions = match access {
            Access::List => self.permissions_to_list(path),
            _ => self.permissions(path.trim_start_matches('/')),
        };
        let permissions = permissions.ok_or(Denied)?;
        let is_allowed = permissions.capabilities.contains(access.capability())
            && (!access.has_parameters() || permissions.parameters.allow(data));
        if is_allowed { Ok(()) } else { Err(Denied) }
    }

    /// Whether `sudo` is granted on a path, or on the folder of that name: what
    /// else the request needs is for [`Acl::allows`] to say.
    pub fn has_sudo(&self, path: &str) -> bool {
        let grants = |path: &str| self.capabilities_of(path).contains(Capabilities::SUDO);
        self.is_root || grants(path) || (!path.ends_with('/') && grants(&format!("{path}/")))
    }

    /// What is granted on a path, sorted: `["root"]` for root, `["deny"]` for
    /// nothing.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.is_root { vec!["root"] } else { self.capabilities_of(path).names() }
    }

    /// Whether anything is granted at the mount `path`, which ends with a
    /// slash, or below it: whether a client may know that it is there.
    pub fn reaches(&self, path: &str) -> bool {
        let grants = |permissions: &Permissions| {
            let capabilities = permissions.capabilities;
            capabilities != Capabilities::default() && !capabilities.contains(Capabilities::DENY)
        };
        let below = |pattern: &String, permissions: &Permissions| {
            pattern.starts_with(path) && grants(permissions)
        };
        let at = self.is_root
            || self.permissions_of_wildcards(path).is_some_and(grants)
            || self.exact.get(path.trim_end_matches('/')).is_some_and(grants);
        at || self.exact.iter().any(|(path, permissions)| below(path, permissions))
            || self.prefixes.iter().any(|(prefix, permissions)| below(prefix, permissions))
            || self.segments.iter().any(|rule| rule.reaches(path) && grants(&rule.permissions))
    }

    fn capabilities_of(&self, path: &str) -> Capabilities {
        let path = path.trim_start_matches('/');
        let permissions = if path.ends_with('/') {
            self.permissions_of_folder(path)
        } else {
            self.permissions(path)
        };
        permissions.map(|permissions| permissions.capabilities).unwrap_or_default()
    }

    fn permissions(&self, path: &str) -> Option<&Permissions> {
        self.exact.get(path).or_else(|| self.permissions_of_wildcards(path))
    }

    fn permissions_to_list(&self, path: &str) -> Option<&Permissions> {
        let path = path.trim_start_matches('/');
        let folder =
            if path.ends_with('/') { Cow::from(path) } else { Cow::from(format!("{path}/")) };
        self.permissions_of_folder(&folder)
    }

    /// A folder has a slash at its end, and a rule for it may have none: of
    /// either kind of rule, one with the slash comes first.
    fn permissions_of_folder(&self, folder: &str) -> Option<&Permissions> {
        let name = folder.strip_suffix('/').unwrap_or(folder);
        let exact = self.exact.get(folder).or_else(|| self.exact.get(name));
        exact
            .or_else(|| self.permissions_of_wildcards(folder))
            .or_else(|| self.permissions_of_wildcards(name))
    }

    fn permissions_of_wildcards(&self, path: &str) -> Option<&Permissions> {
        let prefix = self.longest_prefix(path);
        let segments = self.segments.iter().find(|rule| rule.matches(path));
        match (prefix, segments) {
            (Some((prefix, permissions)), Some(rule)) => {
                let of_prefix: Priority<'_> =
                    (prefix.len(), false, Reverse(0), prefix.len(), prefix);
                Some(if of_prefix > rule.priority() { permissions } else { &rule.permissions })
            }
            (Some((_, permissions)), None) => Some(permissions),
            (None, rule) => rule.map(|rule| &rule.permissions),
        }
    }

    /// A binary search for the path; what is just before it is either a prefix
    /// of it, or shares with it all that any shorter prefix can be a prefix of.
    fn longest_prefix(&self, path: &str) -> Option<&(String, Permissions)> {
        let mut head = path.as_bytes();
        loop {
            let after = self.prefixes.partition_point(|(prefix, _)| prefix.as_bytes() <= head);
            let candidate = self.prefixes.get(after.checked_sub(1)?)?;
            let prefix = candidate.0.as_bytes();
            if head.starts_with(prefix) {
                return Some(candidate);
            }
            let common = head.iter().zip(prefix).take_while(|(one, other)| one == other).count();
            head = &head[..common];
        }
    }
}

impl SegmentRule {
    fn priority(&self) -> Priority<'_> {
        let is_wildcard = |segment: &&str| *segment == "+";
        let wildcards = self.text.split('/').filter(is_wildcard).count();
        // As in Vault, any plus sign counts as the first wildcard here.
        let first = self.text.find('+').unwrap_or(self.text.len());
        (first, !self.is_prefix, Reverse(wildcards), self.text.len(), &self.text)
    }

    /// Whether it can match something below the folder `path`.
    fn reaches(&self, path: &str) -> bool {
        let folders = path.trim_end_matches('/').split('/');
        let mut parts = self.text.split('/');
        folders
            .into_iter()
            .all(|folder| parts.next().is_some_and(|part| part == "+" || part == folder))
    }

    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        let mut parts = self.text.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(segment) = segments.next() else { return false };
            let is_last = parts.peek().is_none();
            if self.is_prefix && is_last && part != "+" {
                return segment.starts_with(part);
            }
            if part != "+" && part != segment {
                return false;
            }
        }
        segments.next().is_none()
    }
}
