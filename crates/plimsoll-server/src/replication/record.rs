//! What a primary knows of its secondaries: one record behind the barrier, changed in
//! transactions, so that a token is taken once whoever else asks at the same moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_vault::{Vault, VaultError};
use serde::{Deserialize, Serialize};

use crate::replication::api::ApiError;
use crate::replication::credentials::{Certified, Token};

const RECORD: &str = "primary";
/// Secondaries of one primary.
const SECONDARIES_MAX: usize = 64;

/// A primary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) ca: Certified,
    /// Where secondaries reach it, if that is not where it listens.
    pub(super) address: Option<String>,
    pub(super) secondaries: BTreeMap<String, Secondary>,
}

/// A token that was given out, and who came with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Secondary {
    secret: String,
    /// In seconds since the Unix epoch, by the primary's clock.
    expires: u64,
    /// The cluster that has used it.
    pub(super) cluster_id: Option<String>,
}

impl Record {
    pub(super) const fn new(ca: Certified, address: Option<String>) -> Self {
        Self { ca, address, secondaries: BTreeMap::new() }
    }

    pub(super) fn read(vault: &Vault) -> Result<Option<Self>, ApiError> {
        let record = vault.replication_record(RECORD)?;
        Ok(record.map(serde_json::from_value).transpose()?)
    }

    /// Changes it; `None` removes it.
    pub(super) async fn change<T: Send + 'static>(
        vault: &Arc<Vault>,
        mut change: impl FnMut(Option<Self>) -> Result<(Option<Self>, T), VaultError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let json = |error: serde_json::Error| VaultError::invalid(error.to_string());
        let changed = vault.change_replication_record(RECORD, move |record| {
            let record = record.map(serde_json::from_value).transpose().map_err(json)?;
            let (next, answer) = change(record)?;
            Ok((next.map(serde_json::to_value).transpose().map_err(json)?, answer))
        });
        Ok(changed.await?)
    }

    /// Gives out a token; an unused one of the same name is worth nothing then.
    pub(super) fn expect(
        &mut self,
        id: &str,
        secret: &str,
        now: Duration,
        ttl: Duration,
    ) -> Result<(), VaultError> {
        let known = self.secondaries.get(id);
        if known.is_some_and(|known| known.cluster_id.is_some()) {
            return Err(VaultError::invalid(format!("the secondary {id:?} is known already")));
        }
        if known.is_none() && self.secondaries.len() >= SECONDARIES_MAX {
            return Err(VaultError::invalid(format!("{SECONDARIES_MAX} secondaries are known")));
        }
        let expires = (now + ttl).as_secs();
        let secret = secret.to_owned();
        self.secondaries.insert(id.to_owned(), Secondary { secret, expires, cluster_id: None });
        Ok(())
    }

    /// Whether a token was given out here.
    pub(super) fn issued(&self, token: &Token) -> bool {
        self.secondaries.get(&token.id).is_some_and(|known| known.secret == token.secret)
    }

    /// Takes a token from a cluster: once, or again from the same one, which may have
    /// been killed before it could note that it was taken.
    pub(super) fn activate(
        &mut self,
        id: &str,
        secret: &str,
        cluster_id: &str,
        now: Duration,
    ) -> Result<(), VaultError> {
        let refuse = |why: &str| Err(VaultError::invalid(format!("the secondary token {why}")));
        let Some(known) = self.secondaries.get_mut(id) else { return refuse("is not known") };
        let (ours, theirs) = (known.secret.as_bytes(), secret.as_bytes());
        if aws_lc_rs::constant_time::verify_slices_are_equal(ours, theirs).is_err() {
            return refuse("is not known");
        }
        match &known.cluster_id {
            Some(other) if other != cluster_id => refuse("was used already, by another cluster"),
            Some(_) => Ok(()),
            None if now.as_secs() >= known.expires => refuse("has expired"),
            None => {
                known.cluster_id = Some(cluster_id.to_owned());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn record() -> Record {
        let none = Certified { certificate: String::new(), key: String::new() };
        let mut record = Record::new(none, None);
        record.expect("east", "secret", TTL, TTL).unwrap();
        record
    }

    fn refused(result: Result<(), VaultError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_token_is_taken_once_and_in_time() {
        let mut record = record();
        assert!(refused(record.activate("west", "secret", "c", TTL)).contains("not known"));
        assert!(refused(record.activate("east", "guess", "c", TTL)).contains("not known"));
        assert!(refused(record.activate("east", "secret", "c", TTL * 2)).contains("expired"));
        record.activate("east", "secret", "c", TTL).unwrap();
        // The same cluster, killed before it could note it; however late.
        record.activate("east", "secret", "c", TTL * 9).unwrap();
        let twice = refused(record.activate("east", "secret", "d", TTL));
        assert_eq!(twice, "the secondary token was used already, by another cluster");
        assert!(refused(record.expect("east", "new", TTL, TTL)).contains("known already"));
    }

    #[test]
    fn a_token_that_nobody_has_used_gives_way_to_the_next() {
        let mut record = record();
        record.expect("east", "next", TTL, TTL).unwrap();
        assert!(refused(record.activate("east", "secret", "c", TTL)).contains("not known"));
        record.activate("east", "next", "c", TTL).unwrap();
    }
}
