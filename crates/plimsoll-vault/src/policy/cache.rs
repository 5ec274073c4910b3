//! Compiled ACLs, shared by all tokens with the same policies.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_store::Revision;

use crate::context::Context;
use crate::error::VaultError;
use crate::policy::acl::Acl;
use crate::policy::store::policy_key;

/// Combinations of policies kept at most; half of them go when it is full.
const ACLS_MAX: usize = 4096;

/// A combination of policies, each in one version. A policy that changes makes
/// another combination: there is nothing to invalidate.
type Versions = Vec<(String, Revision)>;
type Generation = HashMap<Versions, Arc<Acl>>;

/// See the module.
#[derive(Debug, Default)]
pub struct AclCache {
    generations: Mutex<(Generation, Generation)>,
}

impl AclCache {
    /// As [`Acl::load`]. The revisions of the policies count as read.
    ///
    /// # Errors
    /// As there.
    pub fn load(&self, cx: &mut Context<'_>, names: &[String]) -> Result<Arc<Acl>, VaultError> {
        if names.iter().any(|name| name == "root") {
            return Ok(Arc::new(Acl::root()));
        }
        let mut versions = Versions::with_capacity(names.len());
        for name in names {
            versions.push((name.clone(), cx.revision(&policy_key(name))?));
        }
        if let Some(acl) = self.get(&versions) {
            return Ok(acl);
        }
        let acl = Arc::new(Acl::load(cx, names)?);
        self.insert(versions, Arc::clone(&acl));
        Ok(acl)
    }

    /// Forgets everything: the server was sealed.
    pub fn clear(&self) {
        *self.lock() = (Generation::new(), Generation::new());
    }

    fn get(&self, versions: &Versions) -> Option<Arc<Acl>> {
        let mut generations = self.lock();
        if let Some(acl) = generations.0.get(versions) {
            return Some(Arc::clone(acl));
        }
        let (versions, acl) = generations.1.remove_entry(versions)?;
        drop(generations);
        self.insert(versions, Arc::clone(&acl));
        Some(acl)
    }

    fn insert(&self, versions: Versions, acl: Arc<Acl>) {
        let mut generations = self.lock();
        if generations.0.len() >= ACLS_MAX / 2 {
            generations.1 = core::mem::take(&mut generations.0);
        }
        generations.0.insert(versions, acl);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Generation, Generation)> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
