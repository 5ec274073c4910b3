//! A table of mounts, and the search for the one that a path belongs to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::VaultError;
use crate::mounts::entry::{MountEntry, MountKind};

/// Mounts in a table at most: about half of what fits into its entry.
pub(crate) const MOUNTS_MAX: usize = 2_000;

/// Segments of a mount's path at most, and so the steps of a search.
pub(crate) const MOUNT_SEGMENTS_MAX: usize = 16;

/// What nothing can be mounted at or below, and what cannot be unmounted.
const PROTECTED: [&str; 5] = ["audit/", "auth/", "sys/", "cubbyhole/", "identity/"];

/// Mounts by their path.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct MountTable(BTreeMap<String, MountEntry>);

impl MountTable {
    /// The table of one kind, counted as read.
    pub(crate) fn read(
        context: &mut Context<'_>,
        kind: MountKind,
    ) -> Result<Arc<Self>, VaultError> {
        let table = context.get_shared(kind.table_key())?;
        table.ok_or_else(|| VaultError::Internal("no mount table".to_owned()))
    }

    /// The mounts in the order of their paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &MountEntry> {
        self.0.values()
    }

    /// The mount at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&MountEntry> {
        self.0.get(path)
    }

    /// Adds a mount.
    pub(crate) fn add(&mut self, entry: MountEntry) -> Result<(), VaultError> {
        check_mountable(entry.kind, &entry.path)?;
        if let Some(taken) = self.overlapping(&entry.path) {
            return Err(VaultError::invalid(format!("path is already in use at {taken}")));
        }
        if self.0.len() >= MOUNTS_MAX {
            return Err(VaultError::invalid(format!("no more than {MOUNTS_MAX} mounts")));
        }
        self.replace(entry);
        Ok(())
    }

    /// Puts a mount in the place of what was at its path.
    pub(crate) fn replace(&mut self, entry: MountEntry) {
        self.0.insert(entry.path.clone(), entry);
    }

    /// Takes a mount out; `None` if there is none.
    pub(crate) fn remove(
        &mut self,
        kind: MountKind,
        path: &str,
    ) -> Result<Option<MountEntry>, VaultError> {
        if kind == MountKind::Auth && path == "token/" {
            return Err(VaultError::invalid("token credential backend cannot be disabled"));
        }
        if kind == MountKind::Secret && is_protected(path) {
            return Err(VaultError::invalid(format!("cannot unmount {path:?}")));
        }
        Ok(self.0.remove(path))
    }

    /// The mount with the longest path in front of `path`, and the rest.
    pub(crate) fn route<'p>(&self, path: &'p str) -> Option<(&MountEntry, &'p str)> {
        let slashes = path.match_indices('/').map(|(index, _)| index + 1);
        let mut found = None;
        for end in slashes.take(MOUNT_SEGMENTS_MAX) {
            if let Some(entry) = self.0.get(&path[..end]) {
                found = Some((entry, &path[end..]));
            }
        }
        if found.is_none() && !path.ends_with('/') {
            let entry = self.0.get(&format!("{path}/"))?;
            return Some((entry, ""));
        }
        found
    }

    /// A mount above or below this path.
    fn overlapping(&self, path: &str) -> Option<&str> {
        let at_or_below = self.0.range(path.to_owned()..).next().map(|(taken, _)| taken);
        let at_or_below = at_or_below.filter(|taken| taken.starts_with(path));
        let above = || self.route(path).map(|(entry, _)| &entry.path);
        at_or_below.or_else(above).map(String::as_str)
    }
}

/// The table that a request's path leads to, and the path there.
pub(crate) fn kind_of(path: &str) -> (MountKind, &str) {
    match path.strip_prefix(MountKind::Auth.route_prefix()) {
        Some(below) => (MountKind::Auth, below),
        None => (MountKind::Secret, path),
    }
}

fn is_protected(path: &str) -> bool {
    PROTECTED.iter().any(|protected| path.starts_with(protected))
}

fn check_mountable(kind: MountKind, path: &str) -> Result<(), VaultError> {
    if kind == MountKind::Secret && is_protected(path) {
        return Err(VaultError::invalid(format!("cannot mount {path:?}")));
    }
    if path.matches('/').count() > MOUNT_SEGMENTS_MAX {
        return Err(VaultError::invalid("too many segments in the path of a mount"));
    }
    Ok(())
}

/// Both tables.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    pub(crate) secret: Arc<MountTable>,
    pub(crate) auth: Arc<MountTable>,
}

impl Routes {
    /// Both tables, counted as read.
    pub(crate) fn read(context: &mut Context<'_>) -> Result<Self, VaultError> {
        let mut table = |kind| MountTable::read(context, kind);
        Ok(Self { secret: table(MountKind::Secret)?, auth: table(MountKind::Auth)? })
    }

    /// One of the tables.
    pub(crate) const fn table(&self, kind: MountKind) -> &Arc<MountTable> {
        match kind {
            MountKind::Secret => &self.secret,
            MountKind::Auth => &self.auth,
        }
    }

    /// The mount that a request's path leads to, and what its engine sees of
    /// the path.
    pub(crate) fn route<'p>(&self, path: &'p str) -> Option<(&MountEntry, &'p str)> {
        let (kind, below) = kind_of(path);
        self.table(kind).route(below)
    }
}
