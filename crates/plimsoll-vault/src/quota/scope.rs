//! What a quota is about.

use serde::{Deserialize, Serialize};

use crate::error::VaultError;
use crate::mounts::{MountEntry, Routes, Target};

/// Longer paths are nobody's.
const PATH_BYTES_MAX: usize = 1024;

/// A mount and what of it; the default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Scope {
    /// With a slash at its end, and with `auth/`; empty for everything.
    pub(crate) mount: String,
    /// A path below the mount; with a `*` at its end, a prefix.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) suffix: String,
    /// Logins with this role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) role: String,
}

/// How specific a scope is, the most specific last. A longer prefix is more
/// specific than a shorter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precedence {
    Global,
    Mount,
    Prefix(usize),
    Path,
    Role,
}

impl Scope {
    /// As a client writes it: a mount, with a path of it behind it.
    pub(crate) fn parse(path: &str, role: &str, routes: &Routes) -> Result<Self, VaultError> {
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            return match role {
                "" => Ok(Self::default()),
                _ => Err(unsuitable("")),
            };
        }
        let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
        let mut segments = path.strip_suffix('/').unwrap_or(path).split('/');
        let is_readable = path.len() <= PATH_BYTES_MAX
            && !path.chars().any(char::is_control)
            && !segments.any(is_odd);
        let routed = routes.route(path).filter(|_| is_readable);
        let (entry, suffix) = routed.ok_or_else(|| invalid_mount(path))?;
        if suffix.trim_end_matches('*').contains('*') || suffix.ends_with("**") {
            return Err(VaultError::invalid("a '*' may only stand at the end of a quota's path"));
        }
        let mount = entry.route();
        if !role.is_empty() {
            if !suffix.is_empty() {
                return Err(VaultError::invalid(
                    "a quota cannot have both a role and a path suffix",
                ));
            }
            has_roles(entry, &mount)?;
        }
        let suffix = suffix.trim_end_matches('/').to_owned();
        // All of the mount is the mount.
        let suffix = if suffix == "*" { String::new() } else { suffix };
        Ok(Self { mount, suffix, role: role.to_owned() })
    }

    /// Mount and path together, as clients see it.
    pub(crate) fn path(&self) -> String {
        format!("{}{}", self.mount, self.suffix)
    }

    pub(crate) fn is_global(&self) -> bool {
        self.mount.is_empty()
    }

    pub(crate) fn precedence(&self) -> Precedence {
        if self.is_global() {
            Precedence::Global
        } else if !self.role.is_empty() {
            Precedence::Role
        } else if let Some(prefix) = self.suffix.strip_suffix('*') {
            Precedence::Prefix(self.mount.len() + prefix.len())
        } else if self.suffix.is_empty() {
            Precedence::Mount
        } else {
            Precedence::Path
        }
    }

    /// Whether a request to `path`, with `role` if it is a login, is in it.
    pub(crate) fn covers(&self, path: &str, role: Option<&str>) -> bool {
        if self.is_global() {
            return true;
        }
        let Some(below) = below(path, &self.mount) else { return false };
        if !self.role.is_empty() {
            return role == Some(self.role.as_str());
        }
        match self.suffix.strip_suffix('*') {
            Some(prefix) => below.starts_with(prefix),
            None => self.suffix.is_empty() || below.trim_end_matches('/') == self.suffix,
        }
    }
}

/// What of a path is below a mount, whether or not the path ends with a slash.
fn below<'p>(path: &'p str, mount: &str) -> Option<&'p str> {
    path.strip_prefix(mount).or_else(|| (mount.strip_suffix('/') == Some(path)).then_some(""))
}

fn has_roles(entry: &MountEntry, mount: &str) -> Result<(), VaultError> {
    match entry.target() {
        Some(Target::Engine(engine)) if mount.starts_with("auth/") => match engine.has_roles() {
            true => Ok(()),
            false => Err(VaultError::invalid(format!(
                "Mount path {mount:?} does not support use with role-based quotas"
            ))),
        },
        _ => Err(unsuitable(mount)),
    }
}

fn unsuitable(mount: &str) -> VaultError {
    VaultError::invalid(format!(
        "Mount path {mount:?} is not a valid auth method and therefore unsuitable for use with \
         role-based quotas"
    ))
}

fn invalid_mount(path: &str) -> VaultError {
    // The text is a client's own; shown at a length that fits a log line.
    let shown: String = path.chars().take(256).collect();
    VaultError::invalid(format!("invalid mount path {shown:?}"))
}
